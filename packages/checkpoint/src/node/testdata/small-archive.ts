import { tarEnd, tarHeader, tarPadding } from "../../core/archive/tar-writer.ts";
import { encodeImage } from "../../core/criu/image.ts";

/** An archive as containerd writes it, of one process without memory; for tests. */
export function smallArchive(of: {
  readonly container: string;
  readonly pod: string;
  readonly namespace?: string;
  readonly podUid?: string;
  readonly id?: string;
  readonly checkpointedAt?: string;
}): Buffer {
  const { container, pod, namespace = "default", podUid = "", id = "", checkpointedAt = "2026-11-21T00:04:56Z" } = of;
  const cri = "io.kubernetes.cri";
  const annotations = {
    [`${cri}.container-name`]: container,
    [`${cri}.sandbox-name`]: pod,
    [`${cri}.sandbox-namespace`]: namespace,
    [`${cri}.sandbox-uid`]: podUid,
  };
  const config = { id, rootfsImageName: "app:1", runtime: "runc", checkpointedTime: checkpointedAt };
  const members = {
    "config.dump": JSON.stringify(config),
    "spec.dump": JSON.stringify({ annotations }),
    "checkpoint/pstree.img": encodeImage({
      magic: "PSTREE",
      entries: [{ pid: 1, ppid: 0, pgid: 1, sid: 1, threads: [1] }],
    }),
  };
  return Buffer.concat([
    ...Object.entries(members).flatMap(([name, content]) => {
      const data = Buffer.from(content);
      return [tarHeader({ name, kind: "file", size: data.length, mode: 0o600 }), data, tarPadding(data.length)];
    }),
    tarEnd,
  ]);
}
