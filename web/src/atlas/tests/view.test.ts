import { describe, expect, it } from "vitest";
import { cellAt, cellsSeen, decimals, dragged, finestGrid, firstView, gridSeen, onAtlas, onScreen, readView, writeView, zoomed, type AtlasData } from "../view";

const data: AtlasData = { grids: [2, 4], cells: [[0, 0, 1], [0, 1, 0], [1, 0, 3], [1, 3, 3]], inks: [], side: 32, page: 4096 };
const screen = { width: 200, height: 100 };

describe("the view of an atlas", () => {
  it("shows finer grids the nearer one is, and never none", () => {
    expect(gridSeen([10, 20, 40], 100)).toBe(0);
    expect(gridSeen([10, 20, 40], 800)).toBe(1);
    expect(gridSeen([10, 20, 40], 1600)).toBe(2);
  });
  it("finds the cell of the grid that is seen under a point", () => {
    expect(cellAt(data, firstView(), screen, 140, 10)).toBe(0); // the atlas stands in the middle of a wide screen
    expect(cellAt(data, firstView(), screen, 60, 10)).toBe(-1);
    expect(cellAt(data, { ...firstView(), z: 2, x: 0.9, y: 0.9 }, screen, 110, 55)).toBe(3);
  });
  it("keeps a coarse cell where none of its finer ones has enough vectors", () => {
    expect(cellsSeen(data, 0)).toEqual([0, 1]);
    expect(cellsSeen(data, 1)).toEqual([2, 3, 1]); // the first lies behind a finer one
    expect(cellAt(data, { ...firstView(), z: 2, x: 0.1, y: 0.9 }, screen, 100, 50)).toBe(1);
    expect(cellsSeen({ ...data, grids: [2, 4, 8] }, 2)).toEqual([2, 3, 1]); // also where the finest grid has none at all
  });
  it("names the grid that is seen, and not a finer one that has no cell there", () => {
    expect(finestGrid(data, [0, 1], 1)).toBe(0);
    expect(finestGrid(data, [2, 1], 1)).toBe(1);
    expect(finestGrid(data, [], 1)).toBe(1);
  });
  it("keeps the point that one zooms at", () => {
    const before = onAtlas(firstView(), screen, 120, 40), view = zoomed(firstView(), screen, 3, 120, 40);
    const [x, y] = onScreen(view, screen, ...before);
    expect(x).toBeCloseTo(120);
    expect(y).toBeCloseTo(40);
    expect(zoomed(firstView(), screen, 0.1, 0, 0).z).toBe(1);
  });
  it("stays on the atlas however far it is dragged", () => {
    expect(dragged(firstView(), screen, 1e4, -1e4)).toMatchObject({ x: 0, y: 1 });
  });
  it("writes numbers of one list alike", () => {
    expect([0.158, 12.3, 1234].map(decimals)).toEqual([3, 1, 0]);
  });
  it("comes back from an address", () => {
    const view = { x: 0.25, y: 0.5, z: 3, picked: 3 }, kept = writeView(view, data);
    expect(kept).toEqual({ x: "0.25000", y: "", z: "3.0000", cell: "4,3,3" });
    expect(readView((name) => kept[name], data)).toEqual(view);
    expect(readView(() => "nonsense", data)).toEqual(firstView());
  });
});
