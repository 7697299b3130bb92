// The page of a map: the controls around it, and what is said of the image that is picked.
import { readView, writeView } from "./address";
import { MapBoard } from "./board";
import { GREY, RIGHT, WRONG, type MapData } from "./data";
import { message } from "./files";
import type { MapFolder } from "./folder";
import { press } from "./keys";
import { fits, readQuery, type Query } from "./search";
import { COLOURS, firstView, isLabelled } from "./view";
import { number as written, say } from "./words";

export function get<Kind extends HTMLElement>(id: string): Kind {
  const element = document.getElementById(id);
  if (!element) throw new Error(`The page has no ${id}.`);
  return element as Kind;
}

function make<Tag extends keyof HTMLElementTagNameMap>(tag: Tag, ...inside: (Node | string)[]): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  element.append(...inside);
  return element;
}

/** Says what is amiss, over the map. */
export function trouble(text: string): void {
  get("trouble").hidden = false;
  get("trouble").textContent = text;
}

const complain = (error: unknown) => trouble(say("Something cannot be fetched: {why}", { why: message(error) }));

const LATER = 150; // milliseconds without a movement after which the address is written

export class Page {
  readonly board: MapBoard;
  private readonly buttons = [...document.querySelectorAll<HTMLButtonElement>("[data-set]")];
  private later = 0;

  constructor(
    private readonly data: MapData,
    private readonly judged: boolean,
    private readonly folder: MapFolder | null = null, // where the images are fetched from, if they are not in the page
  ) {
    const elements = { stage: get("stage"), canvas: get<HTMLCanvasElement>("map"), over: get<HTMLCanvasElement>("over") };
    this.board = new MapBoard(elements, data, firstView(data), {
      moved: () => this.remember(),
      chosen: (index) => {
        this.tell();
        if (index >= 0) void folder?.nearest(index).then(() => this.arrived(), complain);
      },
      drawn: (shown) => {
        const text = say("showing {shown} of {count}", { shown, count: data.count });
        if (get("shown").textContent !== text) get("shown").textContent = text;
        folder?.follow();
      },
      lines: (index) => [this.idOf(index), ...(this.labelOf(index) < 0 ? [] : [this.sayLabel(index)]), say("network: {name}", { name: this.sayPrediction(index) })],
    });
    this.listen(elements.canvas);
    this.recall().catch(complain);
  }

  /** The id of an image; nothing where it is still to come. */
  private idOf(index: number): string {
    this.folder?.ask(index);
    return this.folder ? this.folder.id(index) : (this.data.ids[index] ?? "");
  }

  /** Draws and says again what was waiting for something that was fetched. */
  arrived(): void {
    this.board.again();
    this.tell();
  }

  private labelOf(index: number): number {
    return this.data.labels[index] ?? -1;
  }

  private sayLabel(index: number): string {
    return this.labelOf(index) < 0 ? say("none") : (this.data.classes[this.labelOf(index)] ?? "");
  }

  private sayPrediction(index: number): string {
    return this.data.classes[this.data.predictions[index] ?? -1] ?? "";
  }

  /** The view is kept in the address. */
  private remember(): void {
    window.clearTimeout(this.later);
    this.later = window.setTimeout(() => {
      const { view } = this.board, kept = new URLSearchParams(writeView(view, this.data));
      if (view.picked >= 0 && this.folder) kept.set("at", String(view.picked));
      if (view.picked >= 0) kept.set("image", this.idOf(view.picked));
      history.replaceState(null, "", `#${kept.toString()}`);
    }, LATER);
  }

  private async recall(): Promise<void> {
    const kept = new URLSearchParams(location.hash.slice(1)), id = kept.get("image"), hint = Number(kept.get("at") ?? -1);
    readView(this.board.view, this.data, kept);
    this.board.view.picked = id === null || this.folder ? -1 : this.data.ids.indexOf(id);
    this.refresh();
    if (id === null || !this.folder) return;
    // Where the folder was written anew, the image may be in another place: then all ids are looked through.
    const index = hint >= 0 && hint < this.data.count && (await this.folder.idOf(hint)) === id ? hint : await this.folder.indexOf(id);
    this.board.choose(index, !kept.has("z"));
  }

  /** Counts and colours again, when more images are there. */
  refresh(): void {
    const { view } = this.board;
    for (const button of this.buttons) {
      const { set = "", value } = button.dataset;
      button.setAttribute("aria-pressed", String(set === "grid" ? Boolean(view.grid) : view[set as "mode" | "colour"] === value));
    }
    get<HTMLInputElement>("size").value = String(view.size);
    get<HTMLInputElement>("only").checked = Boolean(view.only);
    this.board.paint();
    this.legend();
    this.tell();
    this.remember();
  }

  /** Says what the picked image is, and shows what is near it. */
  private tell(): void {
    const index = this.board.view.picked, wrong = this.data.wrong[index];
    get("picked").hidden = index < 0;
    if (index < 0) return;
    const pen = get<HTMLCanvasElement>("portrait").getContext("2d");
    if (pen) this.board.portray(pen, index, 160);
    get("id").textContent = this.idOf(index);
    get("label").textContent = this.sayLabel(index);
    get("prediction").textContent = this.sayPrediction(index);
    get("prediction").className = wrong ? "wrong" : this.labelOf(index) >= 0 ? "right" : "";
    get("near").replaceChildren(...this.board.near(index).map((other) => this.nearButton(other)));
  }

  private nearButton(other: number): HTMLButtonElement {
    const picture = make("canvas");
    picture.width = picture.height = 64;
    const pen = picture.getContext("2d");
    if (pen) this.board.portray(pen, other, 64);
    const button = make("button", picture, this.labelOf(other) < 0 ? this.sayPrediction(other) : this.sayLabel(other));
    button.type = "button";
    button.title = this.idOf(other);
    button.addEventListener("click", () => this.board.choose(other, true));
    return button;
  }

  private legend(): void {
    const { view } = this.board, counts = new Map<number, number>();
    for (let index = 0; index < (this.data.tiles?.loaded ?? this.data.count); index++) {
      const own = this.board.numberOf(index);
      counts.set(own, (counts.get(own) ?? 0) + 1);
    }
    get("legend-title").textContent = view.colour === "prediction" ? say("The network says") : say("Labels");
    const keys = view.colour !== "mistake" ? [] : ([["right", RIGHT], ["wrong", WRONG]] as const).map(([name, ink]) => {
      const mark = make("i"), key = make("span", mark, say(name));
      key.className = "key";
      mark.style.background = `rgb(${ink.join(",")})`;
      return key;
    });
    const buttons = [...counts].sort(([one], [other]) => one - other).map(([number, count]) => this.classButton(number, count));
    get("legend").replaceChildren(...keys, ...buttons);
  }

  private classButton(number: number, count: number): HTMLButtonElement {
    const { view } = this.board, mark = make("i");
    const plain = view.colour === "mistake" || view.colour === "none";
    mark.style.background = number < 0 ? `rgb(${GREY.join(",")})` : (this.data.colours[number] ?? "");
    const name = number < 0 ? say("no label") : (this.data.classes[number] ?? "");
    const button = make("button", ...(plain ? [] : [mark]), name, make("small", written(count)));
    button.type = "button";
    button.setAttribute("aria-pressed", String(!view.off.has(number)));
    button.addEventListener("click", () => {
      if (!view.off.delete(number)) view.off.add(number);
      this.refresh();
    });
    return button;
  }

  private listen(canvas: HTMLCanvasElement): void {
    const { board, data } = this, { view } = board;
    for (const button of this.buttons) button.addEventListener("click", () => this.set(button));
    for (const id of ["togrid", "gridkey"]) get(id).hidden = !data.grid;
    get("only").parentElement?.toggleAttribute("hidden", !this.judged);
    document.querySelector('[data-value="mistake"]')?.toggleAttribute("hidden", !this.judged);
    document.querySelector('[data-value="label"]')?.toggleAttribute("hidden", !isLabelled(data));
    get<HTMLInputElement>("size").addEventListener("input", (event) => {
      view.size = Number((event.target as HTMLInputElement).value);
      this.remember();
      board.again();
    });
    get<HTMLInputElement>("only").addEventListener("change", (event) => {
      view.only = (event.target as HTMLInputElement).checked ? 1 : 0;
      this.refresh();
    });
    get("all").addEventListener("click", () => {
      view.off.clear();
      this.refresh();
    });
    get("none").addEventListener("click", () => {
      for (let index = 0; index < data.count; index++) view.off.add(board.numberOf(index));
      this.refresh();
    });
    get("home").addEventListener("click", () => board.home());
    get("close").addEventListener("click", () => board.choose(-1));
    get("find").addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.find(event.target as HTMLInputElement).catch(complain);
    });
    get("find").addEventListener("input", (event) => (event.target as HTMLInputElement).setCustomValidity(""));
    document.addEventListener("keydown", (event) => this.key(event, canvas));
    window.addEventListener("hashchange", () => void this.recall().catch(complain));
    canvas.addEventListener("webglcontextlost", () => trouble(say("The graphics card let go of the map; load the page again.")));
  }

  private set(button: HTMLButtonElement): void {
    const { set, value } = button.dataset, { view } = this.board;
    if (set === "colour" && value !== view.colour && (value === "prediction" || view.colour === "prediction")) view.off.clear();
    if (set === "grid") view.grid = view.grid ? 0 : 1;
    else Object.assign(view, { [set ?? ""]: value });
    this.refresh();
  }

  /** Goes to the next image that is looked for, of those that are not switched off. */
  private async find(field: HTMLInputElement): Promise<void> {
    const typed = field.value.trim(), query = readQuery(typed, this.data.classes);
    if (!typed) return;
    const index = await this.next(query);
    if (field.value.trim() !== typed) return; // something else is looked for by now
    if (index >= 0) {
      this.board.choose(index, true);
      return;
    }
    field.setCustomValidity(say("No image that is shown has this."));
    field.reportValidity();
  }

  private async next(query: Query): Promise<number> {
    const { data, board, folder } = this, { count } = data, begin = board.view.picked;
    for (let step = 1; step <= count; step++) {
      const index = (begin + step) % count;
      if (!board.visible(index) || !fits(query, data, index)) continue;
      if (!query.text) return index;
      const id = folder ? await folder.idOf(index) : data.ids[index];
      if (id?.toLowerCase().includes(query.text)) return index;
    }
    return -1;
  }

  private key(event: KeyboardEvent, canvas: HTMLCanvasElement): void {
    const target = event.target as Element;
    const typing = target.matches("input[type=search], input[type=range]") || (event.key === "Enter" && target !== canvas);
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const colours = () => COLOURS.filter((name) => !document.querySelector<HTMLElement>(`[data-value="${name}"]`)?.hidden);
    if (press(this.board, event.key, { refresh: () => this.refresh(), colours })) event.preventDefault();
  }
}
