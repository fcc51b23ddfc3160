/**
 * `node hack/generate-criu-descriptors.ts <CRIU source folder> <version> [protoc…]` writes the descriptors of CRIU's image messages.
 * The source is CRIU's release (`apt-get source criu`, or the tag in github.com/checkpoint-restore/criu); `protoc` is any that runs, e.g. `python -m grpc_tools.protoc`.
 * Apart from `npm run generate`, because neither the source nor protoc comes with this repository.
 */
import { execFileSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const target = "packages/checkpoint/src/core/criu/descriptors.generated.ts";
const [source, version, ...protoc] = process.argv.slice(2);
if (source === undefined || version === undefined) {
  console.error("usage: node hack/generate-criu-descriptors.ts <CRIU source folder> <version> [protoc…]");
  process.exit(2);
}
const [program = "protoc", ...programArguments] = protoc;
const images = join(source, "images");
const plugins = join(source, "plugins/amdgpu");
// rpc.proto is the service's protocol, not an image.
const files = [...(await readdir(images)), ...(await readdir(plugins))]
  .filter((file) => file.endsWith(".proto") && file !== "rpc.proto")
  .toSorted();
const folder = await mkdtemp(join(tmpdir(), "criu-descriptors-"));
try {
  const output = join(folder, "set.binpb");
  const paths = [`--proto_path=${images}`, `--proto_path=${plugins}`];
  execFileSync(program, [
    ...programArguments,
    ...paths,
    "--include_imports",
    `--descriptor_set_out=${output}`,
    ...files,
  ]);
  const lines = (await readFile(output)).toString("base64").match(/.{1,140}/g) ?? [];
  await writeFile(
    target,
    `// Written by hack/generate-criu-descriptors.ts from CRIU ${version} (images/*.proto, plugins/amdgpu/*.proto). Do not edit.
// CRIU's images/ are Copyright (c) 2020 The CRIU developers, MIT licence (images/LICENSE in CRIU's source).
/** A google.protobuf.FileDescriptorSet, base64. */
export const criuDescriptors =
  "${lines.join('" +\n  "')}";
`,
  );
  console.log(`wrote ${target}: ${files.length} files`);
} finally {
  await rm(folder, { recursive: true });
}
