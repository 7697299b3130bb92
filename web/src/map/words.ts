// The words of a page, whose scripts stand in English: it brings them in its own language by the English ones.

const brought = () => JSON.parse(document.getElementById("words")?.textContent ?? "{}") as Record<string, string>;

let words: Record<string, string> | undefined;

/** Gives a text in the language of the page, with values in the place of {names}; numbers as the language writes them. */
export function say(text: string, values: Record<string, string | number> = {}): string {
  words ??= brought();
  return (words[text] ?? text).replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name] ?? "";
    return typeof value === "number" ? number(value) : value;
  });
}

/** Writes a number as the language of the page does, with so many decimals; without, as it is. */
export function number(value: number, decimals?: number): string {
  const digits = decimals === undefined ? {} : { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
  const grouped = { useGrouping: "always" as unknown as boolean };
  return new Intl.NumberFormat(document.documentElement.lang || "en", { ...grouped, ...digits }).format(value);
}
