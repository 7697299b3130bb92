// What the address keeps of a map, and of a second one beside it: where one is on each, all else for both.
import { writeView } from "../map/address";
import type { MapBoard } from "../map/board";
import type { Settings } from "./address";
import type { MapPage } from "./schema";

const PLACE = ["x", "y", "z"];
const SHARED = ["mode", "colour", "grid", "size", "only", "off"];

const written = (name: string, second: boolean) => (second && PLACE.includes(name) ? `${name}2` : name);

/** What of the address a map follows, by the names that a map knows. */
export function viewSettings(settings: Settings, second: boolean): Settings {
  const kept = [...PLACE, ...SHARED, "image"].map((name) => [name, settings[written(name, second)] ?? ""]);
  return Object.fromEntries(kept.filter(([, value]) => value !== "")) as Settings;
}

/** Tells whether two addresses show a map alike. */
export const viewKey = (settings: Settings) => [...PLACE, ...SHARED, "image"].map((name) => settings[name] ?? "").join(" ");

/** What the address keeps of a map, by the names that a map knows. */
export function settingsOf(board: MapBoard, page: MapPage): Settings {
  const none = Object.fromEntries(SHARED.map((name) => [name, ""]));
  const picked = board.view.picked;
  return { ...none, ...writeView(board.view, board.data), image: picked < 0 ? "" : String(page.numbers[picked] ?? "") };
}

/** The same by the names that the address has for it. */
export const addressed = (settings: Settings, second: boolean): Settings =>
  Object.fromEntries(Object.entries(settings).map(([name, value]) => [written(name, second), value]));

/** The image that the address names, as the map numbers it. */
export const pickedIn = (settings: Settings, page: MapPage) => (settings["image"] ? page.numbers.indexOf(Number(settings["image"])) : -1);
