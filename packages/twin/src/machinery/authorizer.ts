import type { UserInfo } from "@fleetwright/kube";
import type { Call, RequestInfo } from "./request.ts";

/** Who is calling. Throws 401 (bad credentials); anonymous callers are `system:anonymous`. */
export type Authenticate = (call: Call) => Promise<UserInfo> | UserInfo;

export interface Decision {
  readonly allowed: boolean;
  /** Goes into the refusal's message after the colon; `""` for none. */
  readonly reason: string;
}

/** Whether a user may do it: RBAC, and the node authorizer for nodes. Synchronous: it reads the server's own objects. */
export type Authorize = (user: UserInfo, info: RequestInfo) => Decision;
