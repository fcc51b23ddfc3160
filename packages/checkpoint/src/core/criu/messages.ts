import { createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import type { DescField, DescMessage, FileRegistry } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { criuDescriptors } from "./descriptors.generated.ts";

let registry: FileRegistry | undefined;

function registryOfCriu(): FileRegistry {
  registry ??= createFileRegistry(fromBinary(FileDescriptorSetSchema, Buffer.from(criuDescriptors, "base64")));
  return registry;
}

/** The descriptor of one of CRIU's messages (`mm_entry`); throws when CRIU has none of that name. */
export function messageDescriptor(name: string): DescMessage {
  const descriptor = registryOfCriu().getMessage(name);
  if (descriptor === undefined) throw new Error(`CRIU has no message ${name}`);
  return descriptor;
}

/** How crit writes a field: CRIU's own options in images/opts.proto. */
export interface FieldStyle {
  readonly hex: boolean;
  /** Bytes as quoted-printable text: a socket's name. */
  readonly text: boolean;
}

const plain: FieldStyle = { hex: false, text: false };
const styles = new WeakMap<DescField, FieldStyle>();
/** `extend google.protobuf.FieldOptions { optional CRIU_Opts criu = 1018; }` */
const optionNumber = 1018;

function readStyle(field: DescField): FieldStyle {
  const option = field.proto.options?.$unknown?.find(({ no }) => no === optionNumber);
  if (option === undefined) return plain;
  const descriptor = messageDescriptor("CRIU_Opts");
  const options = reflect(descriptor, fromBinary(descriptor, new BinaryReader(option.data).bytes()));
  const value = (name: string): unknown => {
    const found = descriptor.fields.find((candidate) => candidate.name === name);
    return found && options.isSet(found) ? options.get(found) : undefined;
  };
  return { hex: value("hex") === true, text: value("conv") === "unix_name" };
}

export function fieldStyle(field: DescField): FieldStyle {
  let style = styles.get(field);
  if (style === undefined) styles.set(field, (style = readStyle(field)));
  return style;
}
