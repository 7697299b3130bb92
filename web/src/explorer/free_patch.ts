// A patch anywhere on a picture, of any size: where it lies, how it moves, and how the address keeps it.
import type { Settings } from "./address";

export interface FreePatch {
  y: number; // its middle, pixels as the network sees them
  x: number;
  height: number;
  width: number;
}

export type Size = readonly [height: number, width: number];

const FIRST_SHARE = 0.25; // of the shorter side

/** How large a patch is at first: a quarter of the picture. */
export const firstSide = ([height, width]: Size) => Math.max(1, Math.round(Math.min(height, width) * FIRST_SHARE));

const between = (value: number, low: number, high: number) => Math.min(Math.max(value, low), high);

/** Keeps the middle on the picture, and the patch no larger than it. */
export function within(patch: FreePatch, [height, width]: Size): FreePatch {
  return {
    y: between(patch.y, 0, height),
    x: between(patch.x, 0, width),
    height: between(Math.round(patch.height), 1, height),
    width: between(Math.round(patch.width), 1, width),
  };
}

/** The first row and column; half pixels are rounded as the network's grid of pixels wants it. */
export function corner(patch: FreePatch): { top: number; left: number } {
  return { top: Math.round(patch.y - patch.height / 2), left: Math.round(patch.x - patch.width / 2) };
}

/** The part of the picture that is covered, cut at the border, as shares of the picture. */
export function covered(patch: FreePatch, [height, width]: Size): { top: number; left: number; height: number; width: number } {
  const { top, left } = corner(patch);
  const first = { y: between(top, 0, height), x: between(left, 0, width) };
  const last = { y: between(top + patch.height, 0, height), x: between(left + patch.width, 0, width) };
  return { top: first.y / height, left: first.x / width, height: (last.y - first.y) / height, width: (last.x - first.x) / width };
}

/** What an arrow key does: a pixel, or with shift a whole patch; null where a key does nothing. */
export function moved(patch: FreePatch, key: string, far: boolean): FreePatch | null {
  const down = far ? patch.height : 1, across = far ? patch.width : 1;
  switch (key) {
    case "ArrowUp":
      return { ...patch, y: patch.y - down };
    case "ArrowDown":
      return { ...patch, y: patch.y + down };
    case "ArrowLeft":
      return { ...patch, x: patch.x - across };
    case "ArrowRight":
      return { ...patch, x: patch.x + across };
    default:
      return null;
  }
}

/** The patch as the address keeps it: `y,x,height,width`. */
export function patchSettings(patch: FreePatch | null): Settings {
  const digits = (value: number) => String(Math.round(100 * value) / 100);
  return { patch: patch ? [patch.y, patch.x, patch.height, patch.width].map(digits).join(",") : "" };
}

export function readPatch(settings: Settings, size: Size): FreePatch | null {
  const numbers = (settings["patch"] ?? "").split(",").map(Number);
  const [y, x, height, width] = numbers;
  if (numbers.length !== 4 || !numbers.every(Number.isFinite)) return null;
  return within({ y: y ?? 0, x: x ?? 0, height: height ?? 1, width: width ?? 1 }, size);
}
