// Which images are chosen on the map, as the address keeps it: a line around them, or what was searched for.
import { STEPS, type MapData } from "../map/data";
import type { Point } from "../map/lasso";

const DIGITS = 5; // of a share of the map: finer than a pixel at any size on a screen

/** A line in the map's steps as the address keeps it. */
export function writeLine(line: readonly Point[]): string {
  return line.map((point) => point.map((part) => Number((part / STEPS).toFixed(DIGITS))).join(",")).join("_");
}

/** Reads it; null where it goes around nothing. */
export function readLine(text: string): Point[] | null {
  const line = text.split("_").map((point) => point.split(",").map((part) => Number(part) * STEPS));
  if (line.length < 3 || !line.every((point) => point.length === 2 && point.every(Number.isFinite))) return null;
  return line as Point[];
}

/** Images whose id has a text in it, or whose label or prediction is what it says. */
export function searched(text: string, data: MapData, title: (name: string) => string, visible: (index: number) => boolean): number[] {
  const wanted = text.trim().toLowerCase();
  const classes = new Set(data.classes.flatMap((name, index) => ([name, title(name)].some((spelling) => spelling.toLowerCase() === wanted) ? [index] : [])));
  const chosen: number[] = [];
  for (let index = 0; index < data.count; index++) {
    const fits = classes.size
      ? classes.has(data.labels[index] ?? -1) || classes.has(data.predictions[index] ?? -1)
      : data.ids[index]?.toLowerCase().includes(wanted);
    if (fits && visible(index)) chosen.push(index);
  }
  return chosen;
}
