import type { Controllers } from "../context.ts";
import { cronJobController } from "./cron-job.ts";
import { jobController } from "./job.ts";
import { ttlAfterFinishedController } from "./ttl-after-finished.ts";

/** Work that ends. */
export const batchControllers: readonly Controllers[] = [jobController, cronJobController, ttlAfterFinishedController];
