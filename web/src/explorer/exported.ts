// An explorer that was written as a folder: its answers stand in scripts, since a page that is opened from a folder may not fetch files.
import type { ImageSearch, UnitsFound } from "./schema";

declare global {
  interface Window {
    iconoscopeData?: (key: string, value: unknown) => void;
  }
}

export const isExported = () => document.documentElement.hasAttribute("data-export");

const answers = new Map<string, unknown>();
const scripts = new Map<string, Promise<void>>();

/** The file in which the answer to an address stands; `script_name` in export.py says the same. */
export function scriptName(key: string): string {
  const hundreds = key.replace(/^images\/(\d+)/, (_, number: string) => `images/${Math.floor(Number(number) / 100)}`);
  return hundreds.toLowerCase().replace(/[^a-z0-9.-]/g, "_").slice(0, 100);
}

function loaded(name: string): Promise<void> {
  window.iconoscopeData = (key, value) => answers.set(key, value);
  const before = scripts.get(name);
  if (before) return before;
  const loading = new Promise<void>((resolve) => {
    const script = document.createElement("script");
    script.src = `data/${name}.js`;
    script.onload = script.onerror = () => resolve(); // what is not there is not known, which is said where it is asked for
    document.head.append(script);
  });
  scripts.set(name, loading);
  return loading;
}

/** What was written down for an address below /api; null where nothing was. */
export async function writtenAnswer(path: string): Promise<unknown> {
  const [key, narrow] = asWritten(path);
  await loaded(scriptName(key));
  const answer = answers.get(key);
  return answer === undefined ? null : narrow(answer);
}

type Narrowing = (answer: unknown) => unknown;

/** Under which address an answer was written, and what makes it the answer to a narrower question. */
function asWritten(path: string): [string, Narrowing] {
  const [name = "", query = ""] = path.split("?"), asked = new URLSearchParams(query);
  const network = asked.get("network"), own = network ? `network=${network}` : "";
  const key = (...parts: string[]) => [name, parts.filter(Boolean).join("&")].filter(Boolean).join("?");
  if (name === "search") return [key(own), (answer) => searchedImages(answer as ImageSearch, asked)];
  if (name === "find") return [key(`class=${encodeURIComponent(asked.get("class") ?? "")}`, own), (answer) => narrowedUnits(answer as UnitsFound, asked)];
  return [path, (answer) => answer];
}

export function searchedImages(all: ImageSearch, asked: URLSearchParams): ImageSearch {
  const text = (asked.get("q") ?? "").toLowerCase(), label = asked.get("label"), prediction = asked.get("prediction");
  const images = all.images.filter(
    (image) =>
      (!text || [image.id, image.label, image.prediction].some((name) => name.toLowerCase().includes(text))) &&
      (!label || image.label === label) &&
      (!prediction || image.prediction === prediction) &&
      (!asked.get("differ") || (image.other !== "" && image.other !== image.prediction)) &&
      (!asked.get("mistakes") || image.wrong === true),
  );
  const from = Number(asked.get("from") ?? 0);
  return { total: images.length, images: images.slice(from, from + Number(asked.get("limit") ?? images.length)) };
}

export function narrowedUnits(all: UnitsFound, asked: URLSearchParams): UnitsFound {
  const layer = asked.get("layer");
  const units = all.units.filter((each) => !layer || each.unit.slice(0, each.unit.lastIndexOf(":")) === layer);
  return { ...all, units: units.slice(0, Number(asked.get("limit") ?? units.length)) };
}

/** Bytes that were written as base64. */
export const decoded = (text: string): ArrayBuffer => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0)).buffer;
