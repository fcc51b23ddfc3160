/** CEL's words, which a field is named by only between underscores. */
const reservedSymbols = new Set(
  "true false null in as break const continue else for function if import let loop package namespace return var void while".split(
    " ",
  ),
);

const escapes: Readonly<Record<string, string>> = {
  __: "__underscores__",
  ".": "__dot__",
  "-": "__dash__",
  "/": "__slash__",
};

/** A property's name as expressions write it (apiserver/pkg/cel/escaping.go); `undefined` when they cannot. */
export function escapedName(property: string): string | undefined {
  if (!/^[a-zA-Z_./-][a-zA-Z0-9_./-]*$/.test(property)) return undefined;
  if (reservedSymbols.has(property)) return `__${property}__`;
  return property.replaceAll(/__|[-./]/g, (part) => escapes[part] ?? part);
}

/** The property that an escaped name stands for. */
export function unescapedName(name: string): string {
  const reserved = /^__([a-z]+)__$/.exec(name)?.[1];
  if (reserved !== undefined && reservedSymbols.has(reserved)) return reserved;
  return name.replaceAll(/__(underscores|dot|dash|slash)__/g, (_whole, word: string) => {
    const entry = Object.entries(escapes).find(([, escaped]) => escaped === `__${word}__`);
    return entry?.[0] ?? "";
  });
}
