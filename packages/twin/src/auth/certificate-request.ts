/** What a PKCS#10 request says about who the certificate is for. */
export interface RequestSubject {
  readonly commonName: string;
  readonly organizations: readonly string[];
}

interface Element {
  readonly tag: number;
  readonly content: Buffer;
  /** Where the next element begins. */
  readonly end: number;
}

const commonNameOid = Buffer.from([0x55, 0x04, 0x03]);
const organizationOid = Buffer.from([0x55, 0x04, 0x0a]);

function readElement(bytes: Buffer, at: number): Element {
  const tag = bytes[at];
  const first = bytes[at + 1];
  if (tag === undefined || first === undefined) throw new Error("asn1: syntax error: data truncated");
  let length = first;
  let start = at + 2;
  if (first >= 0x80) {
    const count = first & 0x7f;
    if (count === 0 || count > 4) throw new Error("asn1: structure error: length too large");
    length = 0;
    for (let index = 0; index < count; index += 1) length = length * 256 + (bytes[start + index] ?? 0);
    start += count;
  }
  const end = start + length;
  if (end > bytes.length) throw new Error("asn1: syntax error: data truncated");
  return { tag, content: bytes.subarray(start, end), end };
}

function elementsOf(bytes: Buffer): Element[] {
  const elements: Element[] = [];
  for (let at = 0; at < bytes.length;) {
    const element = readElement(bytes, at);
    elements.push(element);
    at = element.end;
  }
  return elements;
}

/** One level below: the second element of a request's own sequence is the subject. */
function subjectName(request: Buffer): Buffer {
  const outer = readElement(request, 0);
  const info = elementsOf(outer.content)[0];
  const name = info === undefined ? undefined : elementsOf(info.content)[1];
  if (outer.tag !== 0x30 || info?.tag !== 0x30 || name?.tag !== 0x30) {
    throw new Error("asn1: structure error: not a certificate request");
  }
  return name.content;
}

/**
 * The subject of a CertificateSigningRequest's `spec.request` (base64 of PEM). Throws with what is wrong
 * (pkg/apis/certificates `ParseCSR`).
 */
export function requestSubject(request: string): RequestSubject {
  const pem = Buffer.from(request, "base64").toString("latin1");
  const match = /-----BEGIN CERTIFICATE REQUEST-----([A-Za-z0-9+/=\s]*)-----END CERTIFICATE REQUEST-----/.exec(pem);
  if (match === null) throw new Error("PEM block type must be CERTIFICATE REQUEST");
  let commonName = "";
  const organizations: string[] = [];
  for (const set of elementsOf(subjectName(Buffer.from(match[1] ?? "", "base64")))) {
    for (const attribute of elementsOf(set.content)) {
      const [oid, value] = elementsOf(attribute.content);
      if (oid === undefined || value === undefined) continue;
      // A BMPString has two bytes for each character; all others that are used are UTF-8 or a part of it.
      const text =
        value.tag === 0x1e ? Buffer.from(value.content).swap16().toString("utf16le") : value.content.toString();
      if (oid.content.equals(commonNameOid)) commonName = text;
      else if (oid.content.equals(organizationOid)) organizations.push(text);
    }
  }
  return { commonName, organizations };
}
