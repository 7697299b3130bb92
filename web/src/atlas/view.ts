// Where one looks at an atlas: which part of it, and which of its grids.

/** What is drawn of an atlas; cells count as in the result. */
export interface AtlasData {
  grids: number[]; // cells on a side, the coarsest first
  cells: [grid: number, row: number, column: number][];
  inks: string[]; // the frame of each cell; empty for none
  side: number; // of a picture on its sheet, pixels
  page: number; // of a sheet of pictures, pixels
}

export interface AtlasView {
  x: number; // what is in the middle, 0 to 1 from the left
  y: number; // and from above
  z: number; // how many times larger than the whole
  picked: number; // a cell; -1 for none
}

export interface Screen {
  width: number;
  height: number;
}

export const MOST = 24;
const LEAST = 36; // pixels of a cell on the screen, so that one sees what is on it

export const firstView = (): AtlasView => ({ x: 0.5, y: 0.5, z: 1, picked: -1 });

/** How many pixels the whole atlas is wide. */
export const extent = (view: AtlasView, screen: Screen) => Math.min(screen.width, screen.height) * view.z;

/** The finest grid whose cells are large enough to be seen, else the coarsest. */
export function gridSeen(grids: readonly number[], pixels: number): number {
  let seen = 0;
  grids.forEach((side, grid) => {
    if (pixels / side >= LEAST) seen = grid;
  });
  return seen;
}

/** The cells that are drawn: those of the grid, and of coarser ones where no finer cell has enough vectors to be there. */
export function cellsSeen(data: AtlasData, grid: number): number[] {
  const seen: number[] = [], covered = new Set<string>();
  for (let level = grid; level >= 0; level--) {
    const side = data.grids[level] ?? 1;
    data.cells.forEach(([own, row, column], number) => {
      if (own !== level || covered.has(`${level},${row},${column}`)) return;
      seen.push(number);
      for (let coarser = 0; coarser < level; coarser++) {
        const there = data.grids[coarser] ?? 1;
        covered.add(`${coarser},${Math.floor((row * there) / side)},${Math.floor((column * there) / side)}`);
      }
    });
  }
  return seen;
}

/** The finest grid of which one of these cells is; `grid` where there are none. */
export function finestGrid(data: AtlasData, cells: readonly number[], grid: number): number {
  return cells.length ? Math.max(...cells.map((number) => data.cells[number]?.[0] ?? 0)) : grid;
}

/** Where a place of the atlas is on the screen. */
export function onScreen(view: AtlasView, screen: Screen, x: number, y: number): [number, number] {
  const pixels = extent(view, screen);
  return [screen.width / 2 + (x - view.x) * pixels, screen.height / 2 + (y - view.y) * pixels];
}

/** What place of the atlas a point of the screen is. */
export function onAtlas(view: AtlasView, screen: Screen, across: number, down: number): [number, number] {
  const pixels = extent(view, screen);
  return [view.x + (across - screen.width / 2) / pixels, view.y + (down - screen.height / 2) / pixels];
}

/** The cell that is drawn at a point of the screen; -1 where there is none. */
export function cellAt(data: AtlasData, view: AtlasView, screen: Screen, across: number, down: number): number {
  const [x, y] = onAtlas(view, screen, across, down);
  const hit = cellsSeen(data, gridSeen(data.grids, extent(view, screen))).find((number) => {
    const [grid = 0, row = 0, column = 0] = data.cells[number] ?? [], side = data.grids[grid] ?? 1;
    return row === Math.floor(y * side) && column === Math.floor(x * side);
  });
  return hit ?? -1;
}

/** Zooms so that a point of the screen stays where it is. */
export function zoomed(view: AtlasView, screen: Screen, factor: number, across: number, down: number): AtlasView {
  const z = Math.min(MOST, Math.max(1, view.z * factor)), [x, y] = onAtlas(view, screen, across, down);
  const pixels = extent({ ...view, z }, screen);
  return inSight({ ...view, z, x: x - (across - screen.width / 2) / pixels, y: y - (down - screen.height / 2) / pixels });
}

export function dragged(view: AtlasView, screen: Screen, dx: number, dy: number): AtlasView {
  const pixels = extent(view, screen);
  return inSight({ ...view, x: view.x - dx / pixels, y: view.y - dy / pixels });
}

const inSight = (view: AtlasView): AtlasView => ({ ...view, x: Math.min(1, Math.max(0, view.x)), y: Math.min(1, Math.max(0, view.y)) });

/** With how many decimals numbers up to this are written, so that the largest has three digits that matter. */
export const decimals = (most: number): number => Math.min(8, Math.max(0, 2 - Math.floor(Math.log10(Math.max(most, 1e-12)))));

/** The view as settings of an address; what is as at first does not stand there. */
export function writeView(view: AtlasView, data: AtlasData): Record<string, string> {
  const first = firstView(), kept: Record<string, string> = {};
  for (const name of ["x", "y", "z"] as const) kept[name] = view[name] === first[name] ? "" : view[name].toPrecision(5);
  const [grid = 0, row = 0, column = 0] = data.cells[view.picked] ?? [];
  kept["cell"] = view.picked < 0 ? "" : `${data.grids[grid] ?? 0},${row},${column}`;
  return kept;
}

/** What an address keeps; what nothing can be made of is as at first. */
export function readView(kept: (name: string) => string | null | undefined, data: AtlasData): AtlasView {
  const view = firstView();
  for (const name of ["x", "y", "z"] as const) {
    const text = kept(name)?.trim(), value = Number(text);
    if (text && Number.isFinite(value)) view[name] = value;
  }
  view.z = Math.min(MOST, Math.max(1, view.z));
  const [side, row, column] = (kept("cell") ?? "").split(",").map(Number);
  view.picked = data.cells.findIndex((cell) => data.grids[cell[0]] === side && cell[1] === row && cell[2] === column);
  return inSight(view);
}
