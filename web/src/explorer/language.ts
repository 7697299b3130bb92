// The words of the pages and how numbers are written, in the language that is read.
import english from "./words/en.json";
import spanish from "./words/es.json";

export type Word = keyof typeof english;

// That Spanish has every word is what this assignment checks.
const WORDS: Record<"en" | "es", Record<Word, string>> = { en: english, es: spanish };

export type Language = keyof typeof WORDS;
export const LANGUAGES = Object.keys(WORDS) as Language[];

const COUNTED = ["count", "total", "channels", "pixels"]; // values that are numbers of things

const KEPT = "iconoscope-language";

function first(): Language {
  const kept = localStorage.getItem(KEPT) ?? navigator.language.slice(0, 2);
  return LANGUAGES.find((known) => known === kept) ?? "en";
}

let current: Language = first();

export const language = () => current;

export function read(chosen: Language): void {
  current = chosen;
  localStorage.setItem(KEPT, chosen);
  document.documentElement.lang = chosen;
}

/** Gives a text, with values in the place of {names}; of one thing there may be words of its own. */
export function say(word: Word, values: Record<string, string | number> = {}): string {
  const own = `${word} one`, single = COUNTED.some((name) => values[name] === 1) && own in WORDS[current];
  return WORDS[current][single ? (own as Word) : word].replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name];
    return typeof value === "number" ? number(value) : (value ?? "");
  });
}

/** Whether there are words for what a server calls it, as for kinds of fills. */
export function sayName(group: string, name: string): string {
  const word = `${group} ${name}`;
  return word in WORDS[current] ? WORDS[current][word as Word] : name;
}

const formats = new Map<string, Intl.NumberFormat>();

/** What writes numbers in the language that is read; it is made once, since that takes longer than to write one. */
function format(kind: string, options: Intl.NumberFormatOptions): Intl.NumberFormat {
  const key = `${current} ${kind}`, known = formats.get(key) ?? new Intl.NumberFormat(current, options);
  formats.set(key, known);
  return known;
}

/** Writes a number with so many decimals; without, as it is. */
export function number(value: number, decimals?: number): string {
  const digits = decimals === undefined ? {} : { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
  return format(`number ${decimals ?? ""}`, { useGrouping: "always" as unknown as boolean, ...digits }).format(value);
}

/** Writes a number of any size by three digits that matter. */
export function figures(value: number): string {
  return format("figures", { maximumSignificantDigits: 3 }).format(value);
}

export function percent(share: number, decimals = 0): string {
  const options = { style: "percent", minimumFractionDigits: decimals, maximumFractionDigits: decimals } as const;
  return format(`percent ${decimals}`, options).format(share);
}

/** Says in the browser's tab what a page is about. */
export const entitle = (name: string) => {
  document.title = `${name} \u00b7 iconoscope`;
};
