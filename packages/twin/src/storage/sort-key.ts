/**
 * A string that compares with `<` as the key's UTF-8 bytes do, which is etcd's order. JavaScript compares UTF-16 units,
 * which differs only for characters beyond ASCII; those keys (names of RBAC objects may have them) become their bytes.
 */
export function sortKeyOf(key: string): string {
  for (let index = 0; index < key.length; index++) {
    if (key.charCodeAt(index) > 0x7f) return Buffer.from(key).toString("latin1");
  }
  return key;
}
