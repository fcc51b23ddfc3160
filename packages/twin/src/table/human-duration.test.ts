import { expect, it } from "vitest";
import { humanDuration } from "./human-duration.ts";

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

/** k8s.io/apimachinery/pkg/util/duration/duration_test.go, and the edges between units. */
it.each([
  [-2 * second, "<invalid>"],
  [-second, "0s"],
  [-1, "0s"],
  [0, "0s"],
  [second - 1, "0s"],
  [2 * minute - 1, "119s"],
  [2 * minute, "2m"],
  [2 * minute + second, "2m1s"],
  [10 * minute - 1, "9m59s"],
  [10 * minute, "10m"],
  [3 * hour - 1, "179m"],
  [3 * hour, "3h"],
  [3 * hour + minute, "3h1m"],
  [8 * hour - 1, "7h59m"],
  [8 * hour, "8h"],
  [48 * hour - 1, "47h"],
  [48 * hour, "2d"],
  [48 * hour + hour, "2d1h"],
  [8 * day - 1, "7d23h"],
  [8 * day, "8d"],
  [730 * day - 1, "729d"],
  [730 * day, "2y"],
  [731 * day, "2y1d"],
  [8 * 365 * day - 1, "7y364d"],
  [8 * 365 * day, "8y"],
])("%d ms is %s", (durationMs, text) => {
  expect(humanDuration(durationMs)).toBe(text);
});
