import type { CheckpointObject, RestoreObject } from "./resources.ts";

/** Milliseconds since the epoch; NaN when there is no time. */
export const time = (text: string | undefined): number => (text === undefined ? Number.NaN : Date.parse(text));
export const takenAt = ({ metadata, status }: CheckpointObject): number =>
  time(status?.completionTime ?? metadata.creationTimestamp ?? undefined);
/** Times are read once each: a fleet's schedule has tens of thousands. */
export const newestFirst = (all: readonly CheckpointObject[]): readonly CheckpointObject[] =>
  all
    .map((checkpoint) => ({ checkpoint, at: takenAt(checkpoint) }))
    .toSorted((a, b) => b.at - a.at)
    .map(({ checkpoint }) => checkpoint);
/** Its archives are whole on their node, and in the registry or on their way there. */
export const isDone = ({ status }: CheckpointObject): boolean =>
  status?.phase === "Completed" || status?.phase === "Stored";
export const isOpen = ({ status }: CheckpointObject): boolean =>
  !isDone({ status } as CheckpointObject) && status?.phase !== "Failed";
export const restoreIsOpen = ({ status }: RestoreObject): boolean =>
  status?.phase !== "Succeeded" && status?.phase !== "Failed";
