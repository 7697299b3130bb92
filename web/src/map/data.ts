// What a map knows of its images: where they lie, what they are and what is near.

import type { Tiles } from "./tiles";

/** Places count from 0 to this across the map. */
export const STEPS = 65535;

/** Where images lie; between two steps where these are too coarse. */
export type Places = Uint16Array | Float64Array;

export interface MapData {
  count: number;
  side: number; // of a thumbnail, pixels
  page: number; // of a page of thumbnails, pixels
  points: Places; // x and y of every image
  spacing: number; // between images, as a share of the map, where they just touch
  grid: { points: Uint16Array; spacing: number } | null; // the same images on a full grid
  labels: Int16Array; // numbers of classes; -1 where there is none
  predictions: Int16Array;
  wrong: Uint8Array;
  neighbours: Uint32Array; // `near` for every image
  near: number;
  ids: string[];
  classes: string[];
  colours: string[]; // of the classes, #rrggbb
  tiles?: Tiles; // of a map whose images are fetched where they are seen
}

export type Ink = [red: number, green: number, blue: number];

export const ink = (hex: string): Ink => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)) as Ink;

export const GREY: Ink = [150, 150, 150], RIGHT: Ink = [190, 190, 190], WRONG: Ink = [214, 39, 40];

export const neighboursOf = (data: MapData, index: number): number[] =>
  data.tiles?.neighbours(index) ?? [...data.neighbours.subarray(index * data.near, (index + 1) * data.near)];
