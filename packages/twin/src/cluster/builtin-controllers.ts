import type { Controllers } from "../controllers/context.ts";

/** What kube-controller-manager runs by default, as far as this cluster has it. */
export const builtinControllers: readonly Controllers[] = [];
