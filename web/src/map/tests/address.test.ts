import { expect, test } from "vitest";
import { readView, writeView } from "../address";
import type { MapData } from "../data";
import { firstView } from "../view";

const data = { count: 6, points: new Float64Array(12), labels: new Int16Array(6), predictions: new Int16Array(6), grid: null, tiles: null } as unknown as MapData;

function read(address: string) {
  const view = firstView(data);
  readView(view, data, new URLSearchParams(address));
  return view;
}

test("what is no number in an address is as at first", () => {
  expect(read("x=NaN&y=&z=wide&size=&grid=a&off=a,b,,NaN")).toEqual(firstView(data));
});

test("an address cannot lead where nothing of the map is seen", () => {
  expect(read("x=-1e99&y=1e99&z=-4&size=1e9&grid=7&only=-1")).toMatchObject({ x: -0.2, y: 1.2, z: 0.2, size: 3, grid: 1, only: 1 });
  expect(read("z=1e99").z).toBe(40);
});

test("an address brings back what was seen", () => {
  const view = { ...firstView(data), x: 0.25, y: 1.125, z: 8, size: -1.5, only: 1, off: new Set([-1, 2]) };
  expect(read(new URLSearchParams(writeView(view, data)).toString())).toEqual(view);
});
