// In which order the units of a layer stand.
import type { UnitSummary } from "./schema";

export type Order = "number" | "selectivity" | "answered" | "likeness";

/** Puts units in order; `class` by the scores of a search. Units without a value come last, equal ones by their number. */
export function ordered(units: readonly UnitSummary[], order: Order | "class", scores: ReadonlyMap<string, number>): UnitSummary[] {
  const value = (unit: UnitSummary): number | null => {
    switch (order) {
      case "number":
        return -unit.number;
      case "selectivity":
        return unit.selectivity;
      case "answered":
        return unit.answered;
      case "likeness":
        return unit.likeness;
      case "class":
        return scores.get(unit.unit) ?? null;
    }
  };
  return [...units].sort((one, other) => (value(other) ?? -Infinity) - (value(one) ?? -Infinity) || one.number - other.number);
}
