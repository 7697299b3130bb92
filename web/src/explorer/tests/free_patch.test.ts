import { describe, expect, it } from "vitest";
import { corner, covered, moved, patchSettings, readPatch, within, type Size } from "../free_patch";

const SIZE: Size = [32, 48];

describe("a patch", () => {
  it("is cut at the border", () => {
    expect(covered({ y: 1, x: 48, height: 8, width: 8 }, SIZE)).toEqual({ top: 0, left: 44 / 48, height: 5 / 32, width: 4 / 48 });
  });

  it("has its middle on the picture and is no larger than it", () => {
    expect(within({ y: -3, x: 90, height: 99, width: 0.2 }, SIZE)).toEqual({ y: 0, x: 48, height: 32, width: 1 });
  });

  it("moves by a pixel, or by itself", () => {
    const patch = { y: 10, x: 10, height: 4, width: 6 };
    expect(moved(patch, "ArrowUp", false)?.y).toBe(9);
    expect(moved(patch, "ArrowRight", true)?.x).toBe(16);
    expect(moved(patch, "Tab", false)).toBeNull();
  });

  it("comes back from the address", () => {
    const patch = { y: 10.25, x: 11.5, height: 4, width: 6 };
    expect(readPatch(patchSettings(patch), SIZE)).toEqual(patch);
    expect(readPatch(patchSettings(null), SIZE)).toBeNull();
    expect(readPatch({ patch: "1,2,x,4" }, SIZE)).toBeNull();
  });

  it("begins at whole pixels", () => {
    expect(corner({ y: 10, x: 10.7, height: 5, width: 4 })).toEqual({ top: 8, left: 9 });
  });
});
