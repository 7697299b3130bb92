// How the address keeps what is seen of a map.
import { COLOURS, firstView, keepInSight, type MapView } from "./view";
import type { MapData } from "./data";

const NUMBERS = ["x", "y", "z", "grid", "size", "only"] as const;
const WHERE = ["x", "y", "z"] as const;
const HOW = ["mode", "colour", "grid", "size", "only"] as const;

/** The view as settings of the address; what is as at first does not stand there. */
export function writeView(view: MapView, data: MapData): Record<string, string> {
  const first = firstView(data), kept: Record<string, string> = {};
  for (const name of WHERE) kept[name] = view[name].toPrecision(data.tiles ? 11 : 7);
  for (const name of HOW) if (view[name] !== first[name]) kept[name] = String(view[name]);
  if (view.off.size) kept["off"] = [...view.off].join(",");
  return kept;
}

/** Puts what the address keeps into a view; what it does not keep, or what nothing can be made of, is as at first. */
export function readView(view: MapView, data: MapData, kept: URLSearchParams): void {
  Object.assign(view, firstView(data));
  for (const name of NUMBERS) {
    const text = kept.get(name)?.trim(), value = Number(text);
    if (text && Number.isFinite(value)) view[name] = value;
  }
  keepInSight(view, data);
  const mode = kept.get("mode"), colour = COLOURS.find((known) => known === kept.get("colour"));
  if (mode === "images" || mode === "dots") view.mode = mode;
  if (colour) view.colour = colour;
  const off = kept.get("off")?.split(",").filter((text) => text.trim());
  if (off) view.off = new Set(off.map(Number).filter(Number.isInteger));
}
