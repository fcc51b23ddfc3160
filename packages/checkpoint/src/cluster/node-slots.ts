/** How many containers of a node may be frozen at once, in this process. */
export interface NodeSlots {
  /** Takes a slot, if one is free: the function that comes back gives it back. */
  take(nodeName: string, most: number): (() => void) | undefined;
}

export function createNodeSlots(): NodeSlots {
  const used = new Map<string, number>();
  return {
    take(nodeName, most) {
      const now = used.get(nodeName) ?? 0;
      if (now >= most) return undefined;
      used.set(nodeName, now + 1);
      let held = true;
      return () => {
        if (!held) return;
        held = false;
        const left = (used.get(nodeName) ?? 1) - 1;
        if (left === 0) used.delete(nodeName);
        else used.set(nodeName, left);
      };
    },
  };
}
