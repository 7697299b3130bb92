// What is looked for on a map: part of an id, a class, a prediction, mistakes.
import type { MapData } from "./data";

export interface Query {
  text: string; // part of an id, in small letters
  label: ReadonlySet<number> | null; // numbers of classes; null where any will do
  prediction: ReadonlySet<number> | null;
  wrong: boolean; // mistakes only
}

const WORD = /(label|prediction):(?:"([^"]*)"|(\S+))|(?:^|\s)(wrong)(?=\s|$)/gi;

/** Reads what was typed: `label:cat prediction:"fire truck" wrong`, and what remains is part of an id. */
export function readQuery(typed: string, classes: readonly string[]): Query {
  const query: { -readonly [Name in keyof Query]: Query[Name] } = { text: "", label: null, prediction: null, wrong: false };
  const rest = typed.replace(WORD, (_, kind?: string, quoted?: string, name?: string) => {
    if (kind) query[kind.toLowerCase() as "label" | "prediction"] = classesNamed(quoted ?? name ?? "", classes);
    else query.wrong = true;
    return " ";
  });
  query.text = rest.trim().replace(/\s+/g, " ").toLowerCase();
  return query;
}

/** The classes of a name, or else those that have it in theirs. */
function classesNamed(name: string, classes: readonly string[]): ReadonlySet<number> {
  const wanted = name.toLowerCase(), lower = classes.map((one) => one.toLowerCase());
  const exact = lower.indexOf(wanted);
  if (exact >= 0) return new Set([exact]);
  return new Set(lower.flatMap((one, number) => (one.includes(wanted) ? [number] : [])));
}

/** Whether an image is what a query asks for, its id aside. */
export function fits({ label, prediction, wrong }: Query, data: MapData, index: number): boolean {
  if (wrong && !data.wrong[index]) return false;
  return (!label || label.has(data.labels[index] ?? -1)) && (!prediction || prediction.has(data.predictions[index] ?? -1));
}
