import { createController, isNotFound, Jobs, watch } from "@fleetwright/kube";
import type { Job } from "@fleetwright/kube";
import type { ControllerContext, Controllers, Part } from "../context.ts";

/** Deletes Jobs some time after their end (pkg/controller/ttlafterfinished). */
export const ttlAfterFinishedController: Controllers = (context) => [start(context)];

function endTime({ status }: Job): number | undefined {
  const end = status?.conditions?.find(
    ({ type, status: value }) => (type === "Complete" || type === "Failed") && value === "True",
  );
  return end?.lastTransitionTime === undefined ? undefined : Date.parse(end.lastTransitionTime);
}

function start({ cache, clientOf, clock, logger }: ControllerContext): Part {
  const jobs = cache.informer(Jobs);
  const client = clientOf("ttl-after-finished-controller");
  const isCandidate = (job: Job): boolean =>
    job.spec?.ttlSecondsAfterFinished !== undefined && endTime(job) !== undefined;
  return createController({
    name: "ttl-after-finished",
    reconciler: {
      async reconcile(key) {
        const cached = jobs.get(key);
        if (cached === undefined || cached.metadata.deletionTimestamp !== undefined) return {};
        const expiry = expiryOf(cached);
        if (expiry === undefined) return {};
        if (expiry > clock.now()) return { requeueAfterMs: expiry - clock.now() };
        try {
          // The cache may be old, and the time to live longer by now.
          const job = await client.get(Jobs, key);
          const live = expiryOf(job);
          if (live === undefined || live > clock.now()) return {};
          const { uid = "", resourceVersion = "" } = job.metadata;
          await client.delete(Jobs, key, { propagationPolicy: "Foreground", preconditions: { uid, resourceVersion } });
        } catch (error) {
          if (!isNotFound(error)) throw error;
        }
        return {};
      },
    },
    sources: [
      watch(jobs, {
        predicates: [{ added: isCandidate, updated: (_, after) => isCandidate(after), deleted: () => false }],
      }),
    ],
    concurrency: 5,
    clock,
    logger,
  });

  function expiryOf(job: Job): number | undefined {
    const [end, seconds] = [endTime(job), job.spec?.ttlSecondsAfterFinished];
    return end === undefined || seconds === undefined ? undefined : end + seconds * 1000;
  }
}
