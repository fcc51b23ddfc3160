/** One way in which a server wants to be convinced (RFC 9110, 11.6.1). */
export interface Challenge {
  /** In small letters: `basic`, `bearer`. */
  readonly scheme: string;
  /** By name in small letters: `realm`, `service`, `scope`, `error`. */
  readonly parameters: Readonly<Record<string, string>>;
}

/** A token, or a quoted string with its escapes (RFC 9110, 5.6). */
const word = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;
const quotedText = /"((?:[^"\\]|\\.)*)"/y;

/**
 * Reads `WWW-Authenticate`, which may hold several challenges, parted by the same commas as their parameters.
 * What cannot be read ends it: what was read until there is returned.
 */
export function parseChallenges(header: string): readonly Challenge[] {
  const challenges: { readonly scheme: string; readonly parameters: Record<string, string> }[] = [];
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at;
    const match = pattern.exec(header) ?? undefined;
    if (match) at += match[0].length;
    return match;
  };
  const skip = (characters: string): void => {
    while (at < header.length && characters.includes(header[at] ?? "")) at++;
  };
  for (skip(" \t,"); at < header.length; skip(" \t,")) {
    const name = take(word)?.[0].toLowerCase();
    if (name === undefined) break;
    skip(" \t");
    if (header[at] !== "=") {
      challenges.push({ scheme: name, parameters: Object.create(null) as Record<string, string> });
      continue;
    }
    at++;
    skip(" \t");
    const value = take(quotedText)?.[1]?.replaceAll(/\\(.)/g, "$1") ?? take(word)?.[0];
    const challenge = challenges.at(-1);
    if (value === undefined || challenge === undefined) break;
    challenge.parameters[name] = value;
  }
  return challenges;
}
