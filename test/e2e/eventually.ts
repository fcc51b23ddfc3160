import { sleep, systemClock } from "@fleetwright/kube";

/**
 * Looks again, every 50 ms, until it holds, and returns what was seen then.
 *
 * @param what what is waited for, for the message
 * @param holds whether what was read is as wanted; by default, whether it is truthy
 * @throws Error with what was seen last when it does not hold within the time, or whatever `read` throws
 */
export async function eventually<T>(
  what: string,
  read: () => T | Promise<T>,
  holds: (value: T) => boolean = Boolean,
  timeoutMs = 60_000,
): Promise<T> {
  const deadline = systemClock.now() + timeoutMs;
  for (;;) {
    const value = await read();
    if (holds(value)) return value;
    if (systemClock.now() > deadline)
      throw new Error(`${what}: not within ${timeoutMs} ms, still ${JSON.stringify(value)}`);
    await sleep(systemClock, 50);
  }
}
