// The map of all images (drawn by the module that the map page has too).
import type { Settings } from "./address";

export function MapPage({ settings }: { settings: Settings }) {
  return <p>{settings["x"]}</p>;
}
