// The page of an activation atlas: the board, and beside it what is known of the cell that was picked.
import { bytes } from "../map/packed";
import { number as written, say } from "../map/words";
import { AtlasBoard } from "./board";
import { decimals, readView, writeView, type AtlasData } from "./view";

/** What `activation_atlas_page.py` writes. */
interface PageData extends AtlasData {
  counts: number[];
  classes: [name: string, lead: number][][]; // that each cell speaks for, the strongest first
  examples: number[][]; // numbers of crops
  ids: string[]; // of the crops' images
  labels: string[];
  crop: number; // side of a crop, pixels
}

const get = (id: string): HTMLElement => {
  const element = document.getElementById(id);
  if (!element) throw new Error(`The page has no ${id}.`);
  return element;
};

const sheetsOf = (kind: string) =>
  [...document.querySelectorAll(`script.${kind}`)].map((element) => {
    const blob = new Blob([bytes(element.textContent ?? "")], { type: "image/jpeg" });
    element.remove();
    return blob;
  });

function made<Name extends keyof HTMLElementTagNameMap>(name: Name, text = "", className = ""): HTMLElementTagNameMap[Name] {
  const element = document.createElement(name);
  element.textContent = text;
  element.className = className;
  return element;
}

/** A photograph's part around an answer, cut out of its sheet. */
function cropFigure(data: PageData, sheets: readonly ImageBitmap[], number: number): HTMLElement {
  const figure = made("figure"), canvas = made("canvas"), across = Math.floor(data.page / data.crop);
  const sheet = sheets[Math.floor(number / (across * across))], index = number % (across * across);
  canvas.width = canvas.height = data.crop;
  const x = (index % across) * data.crop, y = Math.floor(index / across) * data.crop;
  if (sheet) canvas.getContext("2d")?.drawImage(sheet, x, y, data.crop, data.crop, 0, 0, data.crop, data.crop);
  canvas.title = data.ids[number] ?? "";
  figure.append(canvas, made("figcaption", data.labels[number] ?? ""));
  return figure;
}

/** A class that a cell speaks for, with a bar as long as its share of the strongest. */
function classLine(name: string, lead: number, most: number): HTMLElement {
  const line = made("li", "", lead < 0 ? "against" : ""), bar = made("i"), track = made("span", "", "bar");
  bar.style.width = `${String((100 * Math.abs(lead)) / most)}%`;
  track.append(bar);
  line.append(made("span", name), track, made("span", written(lead, decimals(most)), "number"));
  return line;
}

/** Says beside the board what is known of a cell; of none, how one is picked. */
function tell(data: PageData, crops: readonly ImageBitmap[], board: AtlasBoard, cell: number): void {
  get("picked").hidden = cell < 0;
  get("hint").hidden = cell >= 0;
  if (cell < 0) return;
  board.portrait(get("portrait") as HTMLCanvasElement, cell);
  const [grid = 0, row = 0, column = 0] = data.cells[cell] ?? [], count = data.counts[cell] ?? 0, side = String(data.grids[grid]);
  get("where").textContent = say("{side}, row {row}, column {column}", { side: `${side}x${side}`, row: row + 1, column: column + 1 });
  get("count").textContent = written(count);
  const strongest = data.classes[cell] ?? [], most = Math.max(...strongest.map(([, lead]) => Math.abs(lead)), 1e-12);
  get("classes").replaceChildren(...strongest.map(([name, lead]) => classLine(name, lead, most)));
  get("examples").replaceChildren(...(data.examples[cell] ?? []).map((number) => cropFigure(data, crops, number)));
}

async function show(): Promise<void> {
  const data = JSON.parse(get("data").textContent ?? "") as PageData;
  const crops = await Promise.all(sheetsOf("crops").map((sheet) => createImageBitmap(sheet)));
  let later = 0;
  const remember = () => {
    window.clearTimeout(later);
    later = window.setTimeout(() => {
      const kept = Object.entries(writeView(board.view, data)).filter(([, value]) => value);
      history.replaceState(null, "", `#${new URLSearchParams(kept).toString()}`);
    }, 200);
  };
  const board = new AtlasBoard(get("atlas") as HTMLCanvasElement, data, {
    moved: remember,
    picked: (cell) => {
      tell(data, crops, board, cell);
      remember();
    },
    drawn: (grid) => (get("shown").textContent = say("grid {side}", { side: `${String(data.grids[grid])}x${String(data.grids[grid])}` })),
  });
  const follow = () => {
    const kept = new URLSearchParams(location.hash.slice(1));
    board.view = readView((name) => kept.get(name), data);
    board.paint();
    tell(data, crops, board, board.view.picked);
  };
  await board.load(sheetsOf("pictures"));
  follow();
  window.addEventListener("hashchange", follow);
  get("close").addEventListener("click", () => board.pick(-1));
  get("home").addEventListener("click", () => board.look({ ...board.view, x: 0.5, y: 0.5, z: 1 }));
  document.body.dataset["ready"] = "yes";
}

show().catch((error: unknown) => {
  get("trouble").hidden = false;
  get("trouble").textContent = say("The pictures cannot be shown: {why}", { why: error instanceof Error ? error.message : String(error) });
});
