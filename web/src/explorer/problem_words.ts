// What goes wrong is said by the server in English; this says it in the language that is read.
import { language } from "./language";
import spanish from "./words/problems.json";

const escaped = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** From what a message of the server looks like, with {0} for its values, to that in Spanish. */
const PATTERNS = Object.entries(spanish).map(([english, translated]) => ({
  pattern: new RegExp(`^${english.split(/\{\d\}/).map(escaped).join("(.+?)")}$`, "s"),
  translated,
}));

/** Says a message of the server; what the package itself says of networks and files stays as it is. */
export function worded(message: string): string {
  if (language() !== "es") return message;
  for (const { pattern, translated } of PATTERNS) {
    const values = pattern.exec(message);
    if (values) return translated.replace(/\{(\d)\}/g, (_, index: string) => values[Number(index) + 1] ?? "");
  }
  return message;
}
