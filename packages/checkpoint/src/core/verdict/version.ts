/** The numbers of a version, as `containerd --version`, `uname -r` or a node's status write it: `v1.36.3`, `2.3.7-1+deb`, `6.12.0-cloud`. */
export function versionNumbers(text: string | undefined): readonly number[] | undefined {
  const found = /(\d+)\.(\d+)(?:\.(\d+))?/.exec(text ?? "");
  return found ? [Number(found[1]), Number(found[2]), Number(found[3] ?? 0)] : undefined;
}

/** Whether a version is at least another; one that is not known is. */
export function isAtLeast(text: string | undefined, wanted: string): boolean {
  const [have, want] = [versionNumbers(text), versionNumbers(wanted)];
  if (have === undefined || want === undefined) return true;
  for (const [index, number] of want.entries()) {
    const other = have[index] ?? 0;
    if (other !== number) return other > number;
  }
  return true;
}
