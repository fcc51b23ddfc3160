import type { Controllers } from "../context.ts";
import { claimProtectionController, volumeProtectionController } from "./protection.ts";
import { volumeBinder } from "./volume-binder.ts";

/** What looks after claims and volumes. */
export const volumeControllers: readonly Controllers[] = [
  claimProtectionController,
  volumeProtectionController,
  volumeBinder,
];
