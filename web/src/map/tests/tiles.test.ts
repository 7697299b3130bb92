import { expect, test } from "vitest";
import type { MapData } from "../data";
import { STEPS } from "../data";
import { Tiles } from "../tiles";
import { firstView, Screen } from "../view";

// Level 0, and of level 1 the upper left and the lower right quarter.
const tiles = new Tiles(6, Uint8Array.of(0, 1, 1), Uint32Array.of(0, 0, 1), Uint32Array.of(0, 0, 1), Uint32Array.of(0, 2, 4, 6), 3);
tiles.local.set([0, 0, STEPS, STEPS, 0, 0, STEPS, STEPS, 0, 0, STEPS, STEPS]);
tiles.depths.set([0, 0, 1, 2, 1, 3]);
tiles.loaded = 6;
const data = { count: 6, side: 32, page: 512, points: new Float64Array(12), labels: new Int16Array(6), predictions: new Int16Array(6), grid: null, tiles } as unknown as MapData;
tiles.spread(data.points, 0, 3);
tiles.spread(data.points, 3, 6);

test("places within tiles are places on the map", () => {
  expect([...data.points].map((place) => place / STEPS)).toEqual([0, 0, 1, 1, 0, 0, 0.5, 0.5, 0.5, 0.5, 1, 1]);
  expect([0, 1, 2, 3, 4, 5].map((index) => tiles.tileOf(index))).toEqual([0, 0, 1, 1, 2, 2]);
});

test("tiles on the screen are seen, and others are not", () => {
  const view = { ...firstView(data), x: 0.1, y: 0.1, z: 40 }, screen = new Screen(data, view, () => [400, 400]);
  screen.look();
  expect(screen.batches.map(({ sheet }) => sheet)).toEqual([0, 1]);
  Object.assign(view, { x: 0.5, y: 0.5, z: 1 });
  screen.look();
  expect(screen.batches.map(({ sheet }) => sheet)).toEqual([0, 1, 2]);
  Object.assign(view, { x: 3, y: 3, z: 40 });
  screen.look();
  expect(screen.shown(() => true)).toBe(0);
});

test("following an image makes the map so large that it is drawn as one", () => {
  const view = firstView(data), screen = new Screen(data, view, () => [400, 400]);
  screen.look();
  expect(screen.isImage(5)).toBe(false);
  screen.follow(5);
  screen.look();
  expect(screen.isImage(5)).toBe(true);
  expect(screen.pick(200, 200, false, () => true)).toBe(5);
  expect([view.x, view.y]).toEqual([1, 1]);
});
