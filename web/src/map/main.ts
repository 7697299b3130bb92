// Where the page of a map begins: all that it knows stands in it, or is fetched from the folder in which it lies.
import { NoGraphics } from "./board";
import type { MapData } from "./data";
import { message } from "./files";
import { MapFolder, type PackedFolder } from "./folder";
import { bytes, type PackedClasses } from "./packed";
import { get, Page, trouble } from "./page";
import { say } from "./words";

/** What `map_page.py` writes; arrays of numbers are base64. */
interface PackedMap extends PackedClasses {
  count: number;
  side: number;
  page: number;
  points: string;
  labels: string;
  predictions: string;
  wrong: string;
  neighbours: string;
  near: number;
  ids: string[];
  grid: { points: string; spacing: number } | null;
  spacing: number;
}

function unpacked(packed: PackedMap): MapData {
  return {
    ...packed,
    points: new Uint16Array(bytes(packed.points).buffer),
    labels: new Int16Array(bytes(packed.labels).buffer),
    predictions: new Int16Array(bytes(packed.predictions).buffer),
    wrong: bytes(packed.wrong),
    neighbours: new Uint32Array(bytes(packed.neighbours).buffer),
    grid: packed.grid && { points: new Uint16Array(bytes(packed.grid.points).buffer), spacing: packed.grid.spacing },
  };
}

/** What is said of a folder's page that was opened as a file; the line between is typed. */
const unserved = () =>
  [
    say("This map is a folder: its images are fetched where you look, which a browser does not allow a page that was opened as a file."),
    say("Let any web server give the folder out. In a terminal, in the folder in which this page lies:"),
    "    python -m http.server",
    say("and then open localhost:8000 in the browser."),
  ].join("\n\n");

async function showWhole(packed: PackedMap): Promise<void> {
  const page = new Page(unpacked(packed), packed.judged);
  const sheets = [...document.querySelectorAll("script.page")].map((element) => {
    const text = element.textContent ?? "";
    element.remove();
    return Promise.resolve(new Blob([bytes(text)], { type: "image/jpeg" }));
  });
  await page.board.load(sheets);
  page.arrived();
}

async function showFolder(packed: PackedFolder): Promise<void> {
  if (location.protocol === "file:") {
    trouble(unserved());
    return;
  }
  let page: Page | null = null;
  const folder = new MapFolder(packed, { arrived: () => page?.arrived(), trouble });
  await folder.begin();
  page = new Page(folder.data, packed.judged, folder);
  Object.assign(window, { map: { page, folder } }); // for whoever measures
  await folder.load(page.board);
  page.refresh();
}

async function show(): Promise<void> {
  const packed = JSON.parse(get("data").textContent ?? "") as PackedMap | PackedFolder;
  try {
    await ("tiles" in packed ? showFolder(packed) : showWhole(packed));
    document.body.dataset["ready"] = "yes";
  } catch (error) {
    if (error instanceof NoGraphics) {
      trouble(say("This browser has no WebGL2, which draws the map. Another browser, or graphics switched on in this one, will show it."));
    } else trouble(say("The images cannot be shown: {why}", { why: message(error) }));
  }
}

void show();
