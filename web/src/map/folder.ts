// A map whose images are fetched where they are seen, from the folder that `map_folder.py` writes.
import type { MapBoard } from "./board";
import type { MapData } from "./data";
import { fetchFile, message, wholeBuffer, wholeList, wholePicture } from "./files";
import { bytes, type PackedClasses } from "./packed";
import { Tiles } from "./tiles";
import { say } from "./words";

/** What the page of a folder holds; arrays of numbers are base64. */
export interface PackedFolder extends PackedClasses {
  count: number;
  side: number;
  page: number;
  near: number;
  answers: number; // of the classes, those that the network answers; later ones are labels alone
  tiles: { levels: string; columns: string; lines: string; firsts: string };
  deepest: number;
  points: number; // images in a file of points
  details: number; // images in a file of ids or neighbours
}

const AT_ONCE = 8; // files that are fetched
const KEPT = 240; // sheets that are held
const PATIENCE = 2000; // milliseconds
const POINT_BYTES = 13; // of an image in a file of points

export class MapFolder {
  readonly data: MapData;
  readonly tiles: Tiles;
  loaded = 0;
  private board: MapBoard | null = null;
  private readonly used = new Map<number, number>(); // when a sheet was last on the screen
  private readonly fetching = new Set<number>();
  private readonly asked = new Set<number>(); // sheets that are wanted wherever the map is
  private readonly failed = new Set<number>(); // sheets that cannot be had
  private readonly ids = new Map<number, Promise<string[]>>();
  private readonly here = new Map<number, string[]>();
  private frame = 0;
  fetched = 0; // bytes

  constructor(
    private readonly packed: PackedFolder,
    private readonly listener: { arrived: () => void; trouble: (text: string) => void },
  ) {
    const { count, tiles } = packed;
    const numbers = (text: string) => new Uint32Array(bytes(text).buffer);
    this.tiles = new Tiles(count, bytes(tiles.levels), numbers(tiles.columns), numbers(tiles.lines), numbers(tiles.firsts), packed.deepest);
    this.data = {
      classes: packed.classes,
      colours: packed.colours,
      count,
      side: packed.side,
      page: packed.page,
      near: packed.near,
      points: new Float64Array(2 * count),
      spacing: 0,
      grid: null,
      labels: new Int16Array(count).fill(-1),
      predictions: new Int16Array(count).fill(-1),
      wrong: new Uint8Array(count),
      neighbours: new Uint32Array(0),
      ids: [],
      tiles: this.tiles,
    };
  }

  private get<Content>(path: string, read: (blob: Blob) => Promise<Content>): Promise<Content> {
    return fetchFile(path, (blob) => {
      this.fetched += blob.size;
      return read(blob);
    });
  }

  /** How many images a file has that begins with one. */
  private countFrom(first: number, most: number): number {
    return Math.min(most, this.packed.count - first);
  }

  /** Fetches where the first images are, of the coarsest tiles. */
  async begin(): Promise<void> {
    await this.fetchPoints(0);
  }

  /** Fetches where the others are; tells after each file. */
  async load(board: MapBoard): Promise<void> {
    this.board = board;
    while (this.loaded < this.packed.count) {
      await this.settled();
      const first = this.loaded;
      try {
        await this.fetchPoints(first);
      } catch (error) {
        const there = { first, count: this.packed.count, why: message(error) };
        this.listener.trouble(say("Only the first {first} of {count} images are shown: {why}", there));
        return;
      }
      board.place(first);
    }
  }

  /** Waits for what is on the screen, but not for long: it comes before points that are not seen yet. */
  private async settled(): Promise<void> {
    for (let waited = 0; waited < PATIENCE && !this.isSettled; waited += 50) await new Promise((go) => setTimeout(go, 50));
  }

  private async fetchPoints(first: number): Promise<void> {
    const count = this.countFrom(first, this.packed.points), path = `points/${String(first / this.packed.points)}.bin`;
    this.take(first, first + count, await this.get(path, (blob) => wholeBuffer(blob, POINT_BYTES * count)));
  }

  private take(first: number, last: number, buffer: ArrayBuffer): void {
    const { data, tiles } = this, count = last - first;
    // Rows of the map come first, four bytes each, which the page does not need.
    tiles.local.set(new Uint16Array(buffer, 4 * count, 2 * count), 2 * first);
    data.labels.set(new Int16Array(buffer, 8 * count, count), first);
    data.predictions.set(new Int16Array(buffer, 10 * count, count), first);
    tiles.depths.set(new Uint8Array(buffer, 12 * count, count), first);
    tiles.spread(data.points, first, last);
    for (let index = first; index < last; index++) {
      const label = data.labels[index] ?? -1;
      data.wrong[index] = label >= 0 && label < this.packed.answers && label !== data.predictions[index] ? 1 : 0;
    }
    this.loaded = tiles.loaded = last;
  }

  /** Fetches the sheets that are on the screen and not here, and lets old ones go. Called after every frame. */
  follow(): void {
    const { board } = this;
    if (!board) return;
    this.frame++;
    const { screen } = board, { x, y } = screen.view, wanted: [distance: number, tile: number][] = [];
    for (const tile of this.asked) wanted.push([-1, tile]);
    for (const { sheet, left, top, side } of screen.batches) {
      if (this.tiles.levelOf(sheet) > this.tiles.level || screen.view.mode === "dots") continue;
      this.used.set(sheet, this.frame);
      wanted.push([Math.max(Math.abs(left + side / 2 - x), Math.abs(top + side / 2 - y)), sheet]);
    }
    wanted.sort(([one], [other]) => one - other);
    for (const [, tile] of wanted) {
      if (this.fetching.size >= AT_ONCE) break;
      if (board.has(tile) || this.fetching.has(tile) || this.failed.has(tile)) continue;
      void this.fetchSheet(board, tile);
    }
  }

  private async fetchSheet(board: MapBoard, tile: number): Promise<void> {
    this.fetching.add(tile);
    try {
      await this.get(`tiles/${String(tile)}.jpg`, async (blob) => board.loadSheet(tile, await wholePicture(blob)));
      this.used.set(tile, this.frame);
      this.letGo(board);
    } catch (error) {
      this.failed.add(tile);
      this.listener.trouble(say("Some images cannot be fetched: {why}", { why: message(error) }));
    } finally {
      this.fetching.delete(tile);
    }
    if (this.asked.delete(tile)) this.listener.arrived();
    board.again();
  }

  private letGo(board: MapBoard): void {
    const old = [...this.used].filter(([tile, frame]) => frame < this.frame && board.has(tile)).sort(([, one], [, other]) => one - other);
    for (const [tile] of old.slice(0, Math.max(0, this.used.size - KEPT))) {
      board.drop(tile);
      this.used.delete(tile);
    }
  }

  /** Whether nothing that is on the screen is still to come. */
  get isSettled(): boolean {
    const { board, tiles } = this;
    if (!board?.isDrawn || this.fetching.size) return false;
    return board.screen.batches.every(({ sheet }) => tiles.levelOf(sheet) > tiles.level || board.has(sheet) || this.failed.has(sheet));
  }

  /** Has the thumbnail of an image fetched, wherever the map is. */
  ask(index: number): void {
    const tile = this.tiles.tileOf(index);
    if (!this.board || this.board.has(tile) || this.failed.has(tile)) return;
    this.asked.add(tile);
    this.follow();
  }

  /** The id of an image, or nothing until it is here. */
  id(index: number): string {
    const file = Math.floor(index / this.packed.details), ids = this.here.get(file);
    if (!ids) {
      const complain = (error: unknown) => this.listener.trouble(say("Some ids cannot be fetched: {why}", { why: message(error) }));
      void this.idsIn(file).then(() => this.listener.arrived(), complain);
    }
    return ids?.[index % this.packed.details] ?? "";
  }

  private idsIn(file: number): Promise<string[]> {
    let ids = this.ids.get(file);
    if (!ids) {
      const count = this.countFrom(file * this.packed.details, this.packed.details);
      ids = this.get(`ids/${String(file)}.bin`, (blob) => wholeList(blob, count));
      this.ids.set(file, ids);
      void ids.then((list) => this.here.set(file, list), () => this.ids.delete(file));
    }
    return ids;
  }

  /** The id of an image, when it is here. */
  async idOf(index: number): Promise<string> {
    const file = Math.floor(index / this.packed.details), files = Math.ceil(this.packed.count / this.packed.details);
    // Whoever goes through all ids wants the next files soon.
    for (let next = 1; next < AT_ONCE && !this.here.has(file); next++) this.idsIn((file + next) % files).catch(() => undefined);
    return this.here.get(file)?.[index % this.packed.details] ?? (await this.idsIn(file))[index % this.packed.details] ?? "";
  }

  /** The image of an id; -1 where none has it. */
  async indexOf(id: string): Promise<number> {
    for (let first = 0; first < this.packed.count; first += this.packed.details) {
      await this.idOf(first);
      const at = this.here.get(first / this.packed.details)?.indexOf(id) ?? -1;
      if (at >= 0) return first + at;
    }
    return -1;
  }

  /** Fetches which images are nearest to one. */
  async nearest(index: number): Promise<void> {
    if (this.tiles.neighbours(index).length || !this.packed.near) return;
    const { near, details } = this.packed, file = Math.floor(index / details), length = 4 * near * this.countFrom(file * details, details);
    const all = new Uint32Array(await this.get(`near/${String(file)}.bin`, (blob) => wholeBuffer(blob, length)));
    const first = (index % details) * near;
    this.tiles.keepNeighbours(index, [...all.subarray(first, first + near)]);
  }
}
