import { dyn, isDynamic, mapParameters, parametersOf, type Type } from "./types.ts";

/** What type variables stand for (cel-go `checker/mapping.go` and `types.go`). */
export class Substitution {
  #bound = new Map<string, Type>();
  #count = 0;

  fresh(): Type {
    this.#count += 1;
    return { kind: "parameter", name: `_var${this.#count}` };
  }

  /** With variables replaced; those that stand for nothing become `dyn` when `final`. */
  resolve(type: Type, final = false): Type {
    if (type.kind === "parameter") {
      const bound = this.#bound.get(type.name);
      if (bound !== undefined) return this.resolve(bound, final);
      return final ? dyn : type;
    }
    return mapParameters(type, (parameter) => this.resolve(parameter, final));
  }

  /** Whether all values fit; variables are bound only when they do. */
  accept(from: readonly Type[], to: readonly Type[]): boolean {
    if (from.length !== to.length) return false;
    const before = new Map(this.#bound);
    const fits = from.every((type, at) => this.#assignable(type, to[at] ?? dyn));
    if (!fits) this.#bound = before;
    return fits;
  }

  #assignable(from: Type, to: Type): boolean {
    if (to.kind === "parameter") return this.#bind(to.name, from, (bound) => this.#assignable(from, bound));
    if (from.kind === "parameter") return this.#bind(from.name, to, (bound) => this.#assignable(bound, to));
    if (isDynamic(from) || isDynamic(to)) return true;
    if (from.kind === "null") return to.kind === "null" || isNullable(to);
    if (from.kind !== to.kind) return false;
    if (from.kind === "object" && to.kind === "object") return from === to || from.name === to.name;
    if (from.kind === "type") return true;
    const parameters = parametersOf(to);
    return parametersOf(from).every((parameter, at) => this.#assignable(parameter, parameters[at] ?? dyn));
  }

  #bind(name: string, other: Type, agrees: (bound: Type) => boolean): boolean {
    const bound = this.#bound.get(name);
    if (bound !== undefined) {
      if (!agrees(bound)) return false;
      // The wider one stays, so that `[1, dyn(x)]` is a list of anything.
      if (isDynamic(other) && !isDynamic(bound)) this.#bound.set(name, other);
      return true;
    }
    const resolved = this.resolve(other);
    if (resolved.kind === "parameter" && resolved.name === name) return true;
    if (mentions(resolved, name)) return false;
    this.#bound.set(name, resolved);
    return true;
  }
}

const mentions = (type: Type, name: string): boolean =>
  type.kind === "parameter" ? type.name === name : parametersOf(type).some((parameter) => mentions(parameter, name));

const isNullable = (type: Type): boolean =>
  type.kind === "object" || type.kind === "duration" || type.kind === "timestamp";
