import type { KindCase } from "./kind-case.ts";
import { accessKinds } from "./kinds-access.ts";
import { coreKinds } from "./kinds-core.ts";
import { networkKinds } from "./kinds-network.ts";
import { otherKinds } from "./kinds-others.ts";
import { workloadKinds } from "./kinds-workloads.ts";

/** The built-in kinds that the mechanical scenarios are made of. */
export const kindCases: readonly KindCase[] = [
  ...workloadKinds,
  ...coreKinds,
  ...networkKinds,
  ...accessKinds,
  ...otherKinds,
];
