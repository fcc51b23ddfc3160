let latest = { second: Number.NaN, text: "" };

/** `metav1.Time`: RFC 3339 in whole seconds. The API server drops anything finer. */
export function timeText(ms: number): string {
  const second = Math.floor(ms / 1000);
  // Thousands of objects share a second.
  if (second !== latest.second) latest = { second, text: `${new Date(second * 1000).toISOString().slice(0, 19)}Z` };
  return latest.text;
}
