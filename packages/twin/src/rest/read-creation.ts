import { timeText } from "@fleetwright/kube";
import { copyJson, frozen, isDraft, typed } from "../machinery/draft.ts";
import type { Draft } from "../machinery/draft.ts";
import type { ServedKind } from "../machinery/kind.ts";
import type { GatheredContext } from "./context.ts";
import { metadataOf } from "./core.ts";
import { decodeObject } from "./decoding.ts";
import { tracker } from "./field-ownership.ts";
import type { WriteOptions } from "./options.ts";
import type { ResourceCall } from "./resource-call.ts";

/** An object that is to be created, decoded and defaulted, and who then owns its fields. */
interface Creation {
  readonly object: Draft;
  readonly trackFields: ReturnType<typeof tracker>;
}

/** What was made of a body. Its parts are frozen where they go on to the objects. */
interface Template {
  readonly object: Draft;
  /** Of managedFields, as it was last. */
  owner?: Draft;
}

const maxTemplates = 256;
/** Larger bodies take more memory than they are worth. */
const maxKeyLength = 64 * 1024;
const templates = new WeakMap<ServedKind, Map<string, Template>>();

/**
 * Reads the body of a POST. A controller sends the same body for each object of its template, and the server names them: of such bodies only the
 * first is decoded.
 *
 * @throws StatusError 400, 415
 */
export async function readCreation(
  request: ResourceCall,
  options: WriteOptions,
  context: GatheredContext,
): Promise<Creation> {
  const { call, kind } = request;
  const track = tracker(request, context);
  const key = keyOf(request, options, context);
  const template = key === undefined ? undefined : templates.get(kind)?.get(key);
  if (template !== undefined)
    return { object: copyJson(template.object), trackFields: trackerOf(template, track, context) };
  const object = await decodeObject(call, kind, options.fieldValidation, context);
  kind.strategy.defaults?.(typed(object));
  if (key === undefined || context.warnings.size > 0) return { object, trackFields: track };
  const made: Template = { object: copyJson(object) };
  remember(kind, key, made);
  return { object, trackFields: trackerOf(made, track, context) };
}

/** All that the outcome depends on, of an object that gets a name of its own. */
function keyOf({ call, kind }: ResourceCall, options: WriteOptions, context: GatheredContext): string | undefined {
  if (!kind.builtin || !isDraft(call.json)) return undefined;
  const { metadata } = call.json;
  if (!isDraft(metadata) || metadata["name"] !== undefined || metadata["generateName"] === undefined) return undefined;
  const key = `${options.fieldValidation} ${context.fieldManager} ${JSON.stringify(call.json)}`;
  return key.length > maxKeyLength ? undefined : key;
}

function remember(kind: ServedKind, key: string, template: Template): void {
  let known = templates.get(kind);
  if (known === undefined) templates.set(kind, (known = new Map()));
  if (known.size >= maxTemplates) known.clear();
  known.set(key, template);
}

function trackerOf(template: Template, track: Creation["trackFields"], context: GatheredContext): typeof track {
  return (object, live) => {
    const metadata = metadataOf(object);
    const time = timeText(context.nowMs);
    if (template.owner === undefined) {
      track(object, live);
      const entries = metadata["managedFields"];
      const [entry, ...others] = Array.isArray(entries) ? entries : [];
      if (isDraft(entry) && others.length === 0 && entry["time"] === time) template.owner = frozen(entry);
      return;
    }
    if (template.owner["time"] !== time) template.owner = Object.freeze({ ...template.owner, time });
    metadata["managedFields"] = [template.owner];
  };
}
