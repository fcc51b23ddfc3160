import { isAbsolute, join } from "node:path";
import type { YamlFile } from "./yaml-file.ts";

/** Typed reading of one mapping of the file. */
export class YamlFields {
  readonly #file: YamlFile;
  readonly #record: Readonly<Record<string, unknown>>;
  readonly #path: readonly (string | number)[];

  constructor(file: YamlFile, value: unknown, path: readonly (string | number)[]) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw file.error(path, `${nameOf(path)} must be a mapping, not ${kindOf(value)}`);
    }
    this.#file = file;
    this.#record = value as Record<string, unknown>;
    this.#path = path;
  }

  error(key: string, message: string): Error {
    return this.#file.error([...this.#path, key], message);
  }

  text(key: string): string | undefined {
    const value = this.#record[key];
    if (value === undefined || value === null || value === "") return undefined;
    if (typeof value !== "string") throw this.error(key, `${key} must be a string, not ${kindOf(value)}; quote it`);
    return value;
  }

  required(key: string): string {
    const value = this.text(key);
    if (value === undefined) throw this.error(key, `${nameOf(this.#path)} lacks ${key}; add it`);
    return value;
  }

  flag(key: string): boolean | undefined {
    const value = this.#record[key];
    if (value === undefined || value === null) return undefined;
    if (typeof value !== "boolean") throw this.error(key, `${key} must be true or false, not ${kindOf(value)}`);
    return value;
  }

  /** Text made absolute against the file's folder. */
  path(key: string, folder: string): string | undefined {
    const value = this.text(key);
    return value === undefined || isAbsolute(value) ? value : join(folder, value);
  }

  texts(key: string): readonly string[] | undefined {
    return this.#array(key)?.map((value, index) => {
      if (typeof value === "string") return value;
      throw this.#file.error(
        [...this.#path, key, index],
        `${key}[${index}] must be a string, not ${kindOf(value)}; quote it`,
      );
    });
  }

  list(key: string): readonly YamlFields[] {
    return (this.#array(key) ?? []).map(
      (value, index) => new YamlFields(this.#file, value, [...this.#path, key, index]),
    );
  }

  child(key: string): YamlFields | undefined {
    const value = this.#record[key];
    return value === undefined || value === null ? undefined : new YamlFields(this.#file, value, [...this.#path, key]);
  }

  keys(): readonly string[] {
    return Object.keys(this.#record);
  }

  raw(key: string): unknown {
    return this.#record[key];
  }

  #array(key: string): readonly unknown[] | undefined {
    const value = this.#record[key];
    if (value === undefined || value === null) return undefined;
    if (!Array.isArray(value)) throw this.error(key, `${key} must be a list, not ${kindOf(value)}`);
    return value;
  }
}

const nameOf = (path: readonly (string | number)[]): string =>
  path.length === 0
    ? "the file"
    : path
        .map((part) => (typeof part === "number" ? `[${part}]` : part))
        .join(".")
        .replaceAll(".[", "[");

const kindOf = (value: unknown): string =>
  value === null
    ? "nothing"
    : Array.isArray(value)
      ? "a list"
      : typeof value === "object"
        ? "a mapping"
        : `the ${typeof value} ${JSON.stringify(value)}`;
