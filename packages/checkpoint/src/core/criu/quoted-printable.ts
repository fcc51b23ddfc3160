/** Bytes as crit writes a socket's name: printable ASCII as it is, the rest as `=XX`. No soft line breaks. */
export function toQuotedPrintable(bytes: Uint8Array): string {
  let text = "";
  for (const [index, byte] of bytes.entries()) {
    const inner = byte === 0x20 && index + 1 < bytes.length;
    if (inner || (byte > 0x20 && byte < 0x7f && byte !== 0x3d)) text += String.fromCharCode(byte);
    else text += `=${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return text;
}

/** The bytes of quoted-printable text; `undefined` when it is not. */
export function fromQuotedPrintable(text: string): Uint8Array | undefined {
  const joined = text.replaceAll(/=\r?\n/g, "");
  const bytes: number[] = [];
  for (let at = 0; at < joined.length; at += 1) {
    const code = joined.charCodeAt(at);
    if (code > 0x7f) return undefined;
    if (code === 0x3d) {
      const digits = joined.slice(at + 1, at + 3);
      if (!/^[0-9a-fA-F]{2}$/.test(digits)) return undefined;
      bytes.push(Number.parseInt(digits, 16));
      at += 2;
    } else bytes.push(code);
  }
  return Uint8Array.from(bytes);
}
