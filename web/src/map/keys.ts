// What keys do on a map, on every page that shows one.
import type { MapBoard } from "./board";
import { COLOURS } from "./view";

const STEP = 80; // pixels that an arrow key moves the map by

/** What the page around a map does when the keys change more than what is seen. */
export interface KeyListener {
  refresh: () => void; // the way in which images are drawn is another
  colours: () => readonly (typeof COLOURS)[number][]; // those that can be chosen
}

/** Does what a key asks; whether it asked for something. */
export function press(board: MapBoard, key: string, listener: KeyListener): boolean {
  const { view, data } = board;
  const keys: Record<string, () => void> = {
    ArrowLeft: () => board.move(STEP, 0),
    ArrowRight: () => board.move(-STEP, 0),
    ArrowUp: () => board.move(0, STEP),
    ArrowDown: () => board.move(0, -STEP),
    "+": () => board.zoom(1.4),
    "=": () => board.zoom(1.4),
    "-": () => board.zoom(1 / 1.4),
    0: () => board.home(),
    d: () => {
      view.mode = view.mode === "dots" ? "images" : "dots";
      listener.refresh();
    },
    g: () => {
      if (!data.grid) return;
      view.grid = view.grid ? 0 : 1;
      listener.refresh();
    },
    c: () => {
      const usable = listener.colours();
      view.colour = usable[(usable.indexOf(view.colour) + 1) % usable.length] ?? view.colour;
      view.off.clear();
      listener.refresh();
    },
    n: () => {
      const [nearest] = view.picked >= 0 ? board.near(view.picked) : [];
      if (nearest !== undefined) board.choose(nearest, true);
    },
    Enter: () => board.chooseMiddle(),
    Escape: () => board.choose(-1),
  };
  const does = keys[key];
  does?.();
  return does !== undefined;
}
