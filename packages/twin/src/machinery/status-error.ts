import { ApiError, type Status } from "@fleetwright/kube";

/** What `field.Error` says (k8s.io/apimachinery/pkg/util/validation/field): one thing that is wrong in an object. */
export interface FieldError {
  readonly type:
    | "FieldValueRequired"
    | "FieldValueInvalid"
    | "FieldValueNotSupported"
    | "FieldValueDuplicate"
    | "FieldValueForbidden"
    | "FieldValueNotFound"
    | "FieldValueTooLong"
    | "FieldValueTooShort"
    | "FieldValueTooMany"
    | "FieldValueTypeInvalid"
    | "InternalError";
  /** `spec.containers[0].name`, as `field.Path` writes it. */
  readonly field: string;
  /** Without the field: `Invalid value: "A": must be lower case`. */
  readonly message: string;
}

const escapes: Readonly<Record<string, string>> = {
  "\u0007": String.raw`\a`,
  "\b": String.raw`\b`,
  "\f": String.raw`\f`,
  "\n": String.raw`\n`,
  "\r": String.raw`\r`,
  "\t": String.raw`\t`,
  "\v": String.raw`\v`,
  "\\": String.raw`\\`,
  '"': String.raw`\"`,
};

function escaped(character: string): string {
  const known = escapes[character];
  if (known !== undefined) return known;
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x80) return `\\x${code.toString(16).padStart(2, "0")}`;
  if (code < 0x1_0000) return `\\u${code.toString(16).padStart(4, "0")}`;
  return `\\U${code.toString(16).padStart(8, "0")}`;
}

/** Text in double quotes as Go's `%q` writes it. */
export const goQuote = (text: string): string =>
  `"${text.replaceAll(/["\\]|[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu, escaped)}"`;

/** As Go's encoder writes JSON: safe inside of HTML. */
const goJson = (value: object): string =>
  JSON.stringify(value).replaceAll(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );

/** How `field.Error.ErrorBody` writes a value. */
function valueText(value: unknown): string {
  if (value === undefined || value === null) return "null";
  if (typeof value === "string") return goQuote(value);
  if (typeof value === "object") return goJson(value);
  return String(value as bigint | boolean | number);
}

const detailText = (detail: string): string => (detail === "" ? "" : `: ${detail}`);

/** `field.Required` and its siblings, with upstream's wording. `detail` may be empty. */
export const fieldErrors = {
  required: (field: string, detail = ""): FieldError => ({
    type: "FieldValueRequired",
    field,
    message: `Required value${detailText(detail)}`,
  }),
  invalid: (field: string, value: unknown, detail = ""): FieldError => ({
    type: "FieldValueInvalid",
    field,
    message: `Invalid value: ${valueText(value)}${detailText(detail)}`,
  }),
  typeInvalid: (field: string, value: unknown, detail = ""): FieldError => ({
    type: "FieldValueTypeInvalid",
    field,
    message: `Invalid value: ${valueText(value)}${detailText(detail)}`,
  }),
  notSupported: (field: string, value: unknown, supported: readonly string[]): FieldError => ({
    type: "FieldValueNotSupported",
    field,
    message: `Unsupported value: ${valueText(value)}${
      supported.length === 0 ? "" : `: supported values: ${supported.map((text) => JSON.stringify(text)).join(", ")}`
    }`,
  }),
  duplicate: (field: string, value: unknown): FieldError => ({
    type: "FieldValueDuplicate",
    field,
    message: `Duplicate value: ${valueText(value)}`,
  }),
  forbidden: (field: string, detail = ""): FieldError => ({
    type: "FieldValueForbidden",
    field,
    message: `Forbidden${detailText(detail)}`,
  }),
  notFound: (field: string, value: unknown): FieldError => ({
    type: "FieldValueNotFound",
    field,
    message: `Not found: ${valueText(value)}`,
  }),
  tooLong: (field: string, maximum: number): FieldError => ({
    type: "FieldValueTooLong",
    field,
    message: `Too long: may not be more than ${maximum} bytes`,
  }),
  tooMany: (field: string, actual: number, maximum: number): FieldError => ({
    type: "FieldValueTooMany",
    field,
    message: `Too many: ${actual}: must have at most ${maximum} ${maximum === 1 ? "item" : "items"}`,
  }),
  internal: (field: string, detail: string): FieldError => ({
    type: "InternalError",
    field,
    message: `Internal error: ${detail}`,
  }),
};

interface Subject {
  readonly group: string;
  /** The resource's plural, as `NewNotFound` wants it, or the kind for `invalid`. */
  readonly resource: string;
}

/** `pods "a"`, `deployments.apps "a"`. */
const subjectText = ({ group, resource }: Subject, name: string): string =>
  `${group === "" ? resource : `${resource}.${group}`} ${goQuote(name)}`;

/** A refusal as the client of the API sees it. `ApiError` is what clients throw too, so in-process callers see the same. */
export function statusError(
  code: number,
  reason: string,
  message: string,
  details?: Status["details"],
  headers?: Readonly<Record<string, string>>,
): StatusError {
  return new StatusError(
    {
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message,
      ...(reason === "" ? {} : { reason }),
      ...(details === undefined ? {} : { details }),
      code,
    },
    headers,
  );
}

/** Thrown anywhere in the server; the HTTP layer answers with its `Status`. */
export class StatusError extends Error {
  override readonly name = "StatusError";
  readonly status: Status;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: Status, headers: Readonly<Record<string, string>> = {}) {
    super(status.message);
    this.status = status;
    this.headers = headers;
  }

  get code(): number {
    return this.status.code ?? 500;
  }
}

/** k8s.io/apimachinery/pkg/api/errors: the same constructors, texts and details. */
export const refusals = {
  badRequest: (message: string) => statusError(400, "BadRequest", message),
  unauthorized: () => statusError(401, "Unauthorized", "Unauthorized"),
  forbidden: (subject: Subject, name: string, reason: string) =>
    statusError(
      403,
      "Forbidden",
      subject.group === "" && subject.resource === ""
        ? `forbidden: ${reason}`
        : name === ""
          ? `${subject.group === "" ? subject.resource : `${subject.resource}.${subject.group}`} is forbidden: ${reason}`
          : `${subjectText(subject, name)} is forbidden: ${reason}`,
      details(subject, name),
    ),
  notFound: (subject: Subject, name: string) =>
    statusError(404, "NotFound", `${subjectText(subject, name)} not found`, details(subject, name)),
  /** No such path. */
  pathNotFound: () => statusError(404, "NotFound", "the server could not find the requested resource", {}),
  alreadyExists: (subject: Subject, name: string) =>
    statusError(409, "AlreadyExists", `${subjectText(subject, name)} already exists`, details(subject, name)),
  conflict: (subject: Subject, name: string, reason: string) =>
    statusError(
      409,
      "Conflict",
      `Operation cannot be fulfilled on ${subjectText(subject, name)}: ${reason}`,
      details(subject, name),
    ),
  /** 422; `subject.resource` is the kind. */
  invalid: (subject: Subject, name: string, errors: readonly FieldError[]) => {
    const texts = [...new Set(errors.map(({ field, message }) => `${field}: ${message}`))];
    const list = texts.length === 1 ? (texts[0] ?? "") : `[${texts.join(", ")}]`;
    return statusError(422, "Invalid", `${subjectText(subject, name)} is invalid: ${list}`, {
      ...details(subject, name),
      causes: errors.map(({ type, field, message }) => ({ reason: type, message, field })),
    });
  },
  methodNotAllowed: (subject: Subject, verb: string) =>
    statusError(
      405,
      "MethodNotAllowed",
      `${verb} is not supported on resources of kind ${JSON.stringify(
        subject.group === "" ? subject.resource : `${subject.resource}.${subject.group}`,
      )}`,
      details(subject, ""),
    ),
  tooManyRequests: (message: string, retryAfterSeconds: number) =>
    statusError(429, "TooManyRequests", message, { retryAfterSeconds }, { "retry-after": String(retryAfterSeconds) }),
  expired: (message: string) => statusError(410, "Expired", message),
  tooLarge: (message: string) => statusError(413, "RequestEntityTooLarge", message),
  notAcceptable: (message: string) => statusError(406, "NotAcceptable", message),
  unsupportedMediaType: (message: string) => statusError(415, "UnsupportedMediaType", message),
  timeout: (message: string, retryAfterSeconds = 0) =>
    statusError(504, "Timeout", `Timeout: ${message}`, retryAfterSeconds === 0 ? {} : { retryAfterSeconds }),
  internal: (message: string) =>
    statusError(500, "InternalError", `Internal error occurred: ${message}`, { causes: [{ message }] }),
};

/** What the real server's router says about a method that a path has not got. */
export const methodNotAllowed = (): StatusError =>
  statusError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {});

function details({ group, resource }: Subject, name: string): Status["details"] {
  return {
    ...(name === "" ? {} : { name }),
    ...(group === "" ? {} : { group }),
    ...(resource === "" ? {} : { kind: resource }),
  };
}

/** What an in-process caller gets instead of an HTTP answer. */
export const asStatus = (error: unknown): Status =>
  error instanceof StatusError
    ? error.status
    : error instanceof ApiError && error.status !== undefined
      ? error.status
      : refusals.internal(error instanceof Error ? error.message : String(error)).status;
