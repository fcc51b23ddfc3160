/** What a server asks the nodes behind it. */
export interface Kubelets {
  /** A container's log. Throws an Error with the kubelet's words when there is none. */
  logs(
    pod: { readonly namespace: string; readonly name: string },
    options: {
      readonly container?: string;
      readonly follow?: boolean;
      readonly previous?: boolean;
      readonly timestamps?: boolean;
      readonly tailLines?: number;
      readonly sinceSeconds?: number;
      readonly sinceTime?: string;
      readonly limitBytes?: number;
    },
    signal: AbortSignal,
  ): AsyncGenerator<string>;
}
