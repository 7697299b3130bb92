import { expect, test } from "vitest";
import { fits, readQuery } from "../search";
import type { MapData } from "../data";

const CLASSES = ["cat", "fire truck", "truck", "polecat"];

test("what is typed is a part of an id, classes and mistakes, in any order", () => {
  const query = readQuery('Train/00 label:cat wrong prediction:"Fire Truck" 12', CLASSES);
  expect(query.text).toBe("train/00 12");
  expect([...(query.label ?? [])]).toEqual([0]);
  expect([...(query.prediction ?? [])]).toEqual([1]);
  expect(query.wrong).toBe(true);
  expect(readQuery("wrongly.jpg", CLASSES)).toEqual({ text: "wrongly.jpg", label: null, prediction: null, wrong: false });
});

test("a class that has no such name is looked for by a part of it, and none is none", () => {
  expect([...(readQuery("label:tru", CLASSES).label ?? [])]).toEqual([1, 2]);
  expect(readQuery("label:dog", CLASSES).label?.size).toBe(0);
});

test("an image fits by all that is asked", () => {
  const data = { labels: Int16Array.of(0, 0, 1), predictions: Int16Array.of(0, 1, 1), wrong: Uint8Array.of(0, 1, 0) } as unknown as MapData;
  const fitting = (typed: string) => [0, 1, 2].filter((index) => fits(readQuery(typed, CLASSES), data, index));
  expect(fitting("label:cat")).toEqual([0, 1]);
  expect(fitting('prediction:"fire truck"')).toEqual([1, 2]);
  expect(fitting("wrong")).toEqual([1]);
  expect(fitting("wrong label:truck")).toEqual([]);
});
