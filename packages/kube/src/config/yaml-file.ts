import { LineCounter, parseDocument, type Document } from "yaml";
import { FleetwrightError } from "../core/errors.ts";

/** The code of every error in a kubeconfig: missing, unreadable, malformed, incomplete. */
export const kubeconfigErrorCode = "FW_KUBECONFIG";

/** A YAML (or JSON) file that remembers where its values stand. */
export interface YamlFile {
  readonly value: unknown;
  /** Makes the error for the value at `path`: `kubeconfig "/x" line 3, column 5: …`. */
  error(path: readonly (string | number)[], message: string): FleetwrightError;
}

/**
 * @param label how the file is called in errors: `kubeconfig "/home/me/.kube/config"`
 * @param code of all its errors
 * @throws FleetwrightError of that code for malformed YAML, with line and column
 */
export function parseYamlFile(text: string, label: string, code: string = kubeconfigErrorCode): YamlFile {
  const lineCounter = new LineCounter();
  const document: Document = parseDocument(text, { lineCounter, prettyErrors: false });
  const place = (offset: number): string => {
    const { line, col } = lineCounter.linePos(offset);
    return `${label} line ${line}, column ${col}`;
  };
  const [problem] = document.errors;
  if (problem) {
    throw new FleetwrightError(code, `${place(problem.pos[0])}: ${firstLine(problem.message)}; correct the file`);
  }
  return {
    value: document.toJS() as unknown,
    error(path, message) {
      for (let length = path.length; length > 0; length--) {
        const node = document.getIn(path.slice(0, length), true) as { readonly range?: readonly number[] } | undefined;
        const offset = node?.range?.[0];
        if (offset !== undefined) return new FleetwrightError(code, `${place(offset)}: ${message}`);
      }
      return new FleetwrightError(code, `${label}: ${message}`);
    },
  };
}

const firstLine = (text: string): string => text.split("\n")[0]?.replace(/[:.]$/, "") ?? text;
