import type { Draft } from "../machinery/draft.ts";

export { encodeObject } from "../schema/encode.ts";

export const parseObject = (bytes: Buffer): Draft => JSON.parse(bytes.toString()) as Draft;
