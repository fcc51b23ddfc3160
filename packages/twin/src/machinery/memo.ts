/**
 * Remembers what was made of texts that come again and again (names of managers, elements of field sets). Clients choose texts: when there are
 * too many, it begins anew.
 *
 * @returns what was made of the text before, or makes it
 */
export function createMemo<T>(limit = 1000): (text: string, make: (text: string) => T) => T {
  const made = new Map<string, T>();
  return (text, make) => {
    const known = made.get(text);
    if (known !== undefined) return known;
    const value = make(text);
    if (made.size >= limit) made.clear();
    made.set(text, value);
    return value;
  };
}
