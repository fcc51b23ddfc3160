import type { Logger } from "../core/logger.ts";

/**
 * The texts of a `Warning` header (RFC 7234 §5.5: `299 - "text"`), several joined by commas. Other codes than 299 are
 * caches' and not for users.
 */
export function parseWarnings(header: string): string[] {
  const texts: string[] = [];
  for (const match of header.matchAll(/(\d{3}) \S+ "((?:[^"\\]|\\.)*)"(?: "[^"]*")?/g)) {
    if (match[1] === "299") texts.push(decode((match[2] ?? "").replaceAll(/\\(.)/g, "$1")));
  }
  return texts;
}

/** Node gives header bytes as latin1; Kubernetes writes UTF-8. */
const decode = (text: string): string => Buffer.from(text, "latin1").toString("utf8");

const rememberedWarnings = 256;

/** Logs each text once; of many different ones, the last 256 are remembered. */
export function warnOnce(
  logger: Logger,
): (text: string, call: { readonly method: string; readonly path: string }) => void {
  const seen = new Set<string>();
  return (text, { method, path }) => {
    if (seen.has(text)) return;
    seen.add(text);
    if (seen.size > rememberedWarnings) {
      for (const oldest of seen) {
        seen.delete(oldest);
        break;
      }
    }
    logger.warn({ warning: text, method, path: path.split("?")[0] }, "the API server warns");
  };
}
