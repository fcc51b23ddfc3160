/** `metav1.Time`: whole seconds. The API server drops anything finer. */
export const timeText = (ms: number): string =>
  new Date(Math.floor(ms / 1000) * 1000).toISOString().replace(".000Z", "Z");
