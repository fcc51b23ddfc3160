import type { Call } from "../machinery/request.ts";
import { refusals, statusError } from "../machinery/status-error.ts";

/** What the client wants to get, after its `Accept` header. */
export interface OutputFormat {
  readonly format: "json" | "yaml";
  readonly pretty: boolean;
  /** JSON may stay a value: the client is in this process. */
  readonly asValue: boolean;
  /** Absent: the object itself. */
  readonly convert?: {
    readonly kind: "Table" | "PartialObjectMetadata" | "PartialObjectMetadataList";
    readonly version: string;
  };
}

interface Clause {
  readonly type: string;
  readonly subtype: string;
  readonly quality: number;
  readonly parameters: Readonly<Record<string, string>>;
}

const header = (call: Call, name: string): string => {
  const value = call.headers[name];
  return typeof value === "string" ? value : (value?.join(",") ?? "");
};

/** The clauses of an Accept header, best first; malformed ones are left out (munnerz/goautoneg). */
function parseAccept(text: string): readonly Clause[] {
  const clauses: Clause[] = [];
  for (const part of text.split(",")) {
    const [media = "", ...rest] = part.split(";").map((piece) => piece.trim());
    const slash = media.indexOf("/");
    const [type, subtype] =
      slash < 0 ? [media, media === "*" ? "*" : ""] : [media.slice(0, slash), media.slice(slash + 1)];
    if (!type || !subtype) continue;
    const parameters: Record<string, string> = {};
    let quality = 1;
    for (const piece of rest) {
      const equals = piece.indexOf("=");
      if (equals < 0) continue;
      const name = piece.slice(0, equals).trim();
      const value = piece
        .slice(equals + 1)
        .trim()
        .replace(/^"(.*)"$/, "$1");
      if (name === "q") quality = Number.parseFloat(value);
      else parameters[name] = value;
    }
    clauses.push({ type, subtype, quality: Number.isNaN(quality) ? 1 : quality, parameters });
  }
  const specificity = ({ type, subtype }: Clause): number => (type === "*" ? 0 : subtype === "*" ? 1 : 2);
  return clauses
    .map((clause, index) => ({ clause, index }))
    .toSorted(
      (left, right) =>
        right.clause.quality - left.clause.quality ||
        specificity(right.clause) - specificity(left.clause) ||
        left.index - right.index,
    )
    .map(({ clause }) => clause);
}

/** What this server can write, in its order of preference. Protobuf is a listed difference. */
const formats = [
  { subtype: "json", format: "json" },
  { subtype: "yaml", format: "yaml" },
] as const;

const mediaTypes = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"] as const;
const streamTypes = ["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"] as const;

const acceptable = `only the following media types are accepted: ${mediaTypes.join(", ")}`;

/** Clients that people read with get indented JSON (`isPrettyPrint`). */
function wantsPretty(call: Call): boolean {
  const pretty = call.query.get("pretty");
  if (pretty) return ["1", "t", "T", "true", "TRUE", "True"].includes(pretty);
  return /^(?:curl|Wget|Mozilla\/5\.0)/.test(header(call, "user-agent"));
}

function convertOf(
  parameters: Readonly<Record<string, string>>,
  allowed: ReadonlySet<string>,
): OutputFormat["convert"] | "refused" {
  const { as, g, v } = parameters;
  if (as === undefined && g === undefined && v === undefined) return undefined;
  if (g !== "meta.k8s.io" || (v !== "v1" && v !== "v1beta1") || as === undefined || !allowed.has(as)) return "refused";
  return { kind: as as NonNullable<OutputFormat["convert"]>["kind"], version: v };
}

/** Nothing but the object itself. */
export const plainOnly: ReadonlySet<string> = new Set();
/** Whether the answer is an object or a list is seen when it is there. */
export const allForms: ReadonlySet<string> = new Set(["Table", "PartialObjectMetadata", "PartialObjectMetadataList"]);
export const watchForms: ReadonlySet<string> = new Set(["Table", "PartialObjectMetadata"]);

/**
 * What the router of built-in kinds says before anybody looks at the request: it knows no wildcards but one
 * (emicklei/go-restful, `Route.matchesAccept`).
 *
 * @throws StatusError 406
 */
export function checkAccept(call: Call, streams: boolean): void {
  const value = call.headers["accept"];
  const accept = (typeof value === "string" ? value : value?.[0]) ?? "";
  if (accept === "" || accept === "application/json") return;
  const produced: readonly string[] = streams ? [...mediaTypes, ...streamTypes] : mediaTypes;
  for (const clause of accept.split(",")) {
    const media = (clause.split(";")[0] ?? "").trim();
    if (media === "*/*" || produced.includes(media)) return;
  }
  throw statusError(
    406,
    "NotAcceptable",
    `406: Not Acceptable\n\nAvailable representations: ${produced.join(", ")}`,
    {},
  );
}

/**
 * The first clause of `Accept` that the server can satisfy (k8s.io/apiserver/pkg/endpoints/handlers/negotiation).
 * @throws StatusError 406
 */
export function negotiate(call: Call, allowed: ReadonlySet<string>): OutputFormat {
  const accept = header(call, "accept");
  const pretty = wantsPretty(call);
  const asValue = call.takesValues === true && !pretty;
  if (accept === "" || accept === "*/*" || accept === "application/json") return { format: "json", pretty, asValue };
  for (const { type, subtype, parameters } of parseAccept(accept)) {
    for (const { subtype: ours, format } of formats) {
      const matches =
        (type === "*" && subtype === "*") || (type === "application" && (subtype === "*" || subtype === ours));
      if (!matches) continue;
      const convert = convertOf(parameters, allowed);
      if (convert === "refused") continue;
      const indented = pretty || parameters["pretty"] === "1";
      return {
        format,
        pretty: indented,
        asValue: asValue && format === "json" && !indented,
        ...(convert === undefined ? {} : { convert }),
      };
    }
  }
  throw refusals.notAcceptable(acceptable);
}
