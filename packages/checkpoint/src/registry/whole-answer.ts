import type { RegistryAnswer, RegistryCall, RegistryConnection } from "./connection.ts";
import { maxManifestBytes } from "./manifest.ts";
import { connectionError, RegistryError, registryLies } from "./registry-error.ts";

/** An answer and all of its body. */
export interface WholeAnswer {
  readonly answer: RegistryAnswer;
  readonly bytes: Buffer;
}

async function wholeBody({ url, body }: RegistryAnswer): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      size += chunk.length;
      if (size > maxManifestBytes) break;
    }
  } catch (error) {
    throw connectionError(`GET ${url.origin}${url.pathname}`, error);
  }
  if (size > maxManifestBytes)
    throw new RegistryError(
      "FW_CHECKPOINT_REGISTRY_TOO_LARGE",
      `${url.origin}${url.pathname}: is larger than ${maxManifestBytes} bytes, which no manifest is`,
    );
  return Buffer.concat(chunks);
}

/** A call whose answer is a manifest or a list; reading it is repeated with the call. */
export async function fetchWhole(connection: RegistryConnection, call: RegistryCall): Promise<WholeAnswer> {
  for (const retries = connection.retries(call.signal); ;) {
    try {
      const answer = await connection.once(call);
      return { answer, bytes: await wholeBody(answer) };
    } catch (error) {
      await retries.pause(error);
    }
  }
}

/** The address of the next page (RFC 8288). */
const nextPage = (link: string | undefined): string | undefined =>
  /<([^>]*)>\s*;[^,]*\brel="?next"?/i.exec(link ?? "")?.[1];

/** A list that goes on for more pages than this is no list. */
const maxPages = 10_000;

/** The pages of a list, each with the address of the next one in its `Link`. */
export async function* fetchPages(
  connection: RegistryConnection,
  call: RegistryCall,
): AsyncGenerator<WholeAnswer, void, undefined> {
  let { to } = call;
  for (let page = 0; page < maxPages; page++) {
    const fetched = await fetchWhole(connection, { ...call, to });
    yield fetched;
    const { headers, url } = fetched.answer;
    const next = nextPage(headers["link"]);
    if (next === undefined) return;
    to = connection.resolve(next, url, `${connection.registry}/${call.repository}`);
    if (to.href === url.href) break;
  }
  throw registryLies(`${connection.registry}/${call.repository}: a list does not end (${String(to)})`);
}

/** A JSON object, from a registry. @param what it is, for the error */
export function jsonObject(bytes: Buffer, what: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(bytes.toString("utf8"));
    if (typeof value === "object" && value !== null) return value as Readonly<Record<string, unknown>>;
  } catch {
    // Said below.
  }
  throw registryLies(`${what}: is not a JSON object`);
}
