import { BizGroupResourceQuotas } from "@fleetwright/api";
import {
  SubjectAccessReviews,
  type Client,
  type Clock,
  type SubjectAccessReview,
  type UserInfo,
} from "@fleetwright/kube";

export interface AccessReviewOptions {
  readonly client: Client;
  readonly clock: Clock;
  /** How long a yes is remembered, in milliseconds. A no never is. @default 10_000 */
  readonly rememberMs?: number;
}

/** Whether a user may charge workloads to a group: the verb `use` on the bizrq. */
export type MayUse = (user: UserInfo, group: string, signal: AbortSignal) => Promise<boolean>;

const maxRemembered = 10_000;

/** Asks the API server's authorizers (SubjectAccessReview). */
export function createMayUse({ client, clock, rememberMs = 10_000 }: AccessReviewOptions): MayUse {
  const allowedUntil = new Map<string, number>();
  return async (user, group, signal) => {
    const key = JSON.stringify([user.username, user.uid, user.groups, user.extra, group]);
    if ((allowedUntil.get(key) ?? 0) > clock.now()) return true;
    const review: SubjectAccessReview = {
      metadata: {},
      spec: {
        ...(user.username !== undefined && { user: user.username }),
        ...(user.uid !== undefined && { uid: user.uid }),
        ...(user.groups && { groups: [...user.groups] }),
        ...(user.extra && {
          extra: Object.fromEntries(Object.entries(user.extra).map(([name, values]) => [name, [...values]])),
        }),
        resourceAttributes: {
          group: BizGroupResourceQuotas.group,
          version: BizGroupResourceQuotas.version,
          resource: BizGroupResourceQuotas.plural,
          verb: "use",
          name: group,
        },
      },
    };
    const answer = await client.create(SubjectAccessReviews, review, { signal });
    const allowed = answer.status?.allowed === true;
    if (allowed) {
      if (allowedUntil.size >= maxRemembered) allowedUntil.clear();
      allowedUntil.set(key, clock.now() + rememberMs);
    }
    return allowed;
  };
}
