// The component: a photograph, a patch that follows mouse, finger or arrow keys, and what the network answers under it.
import { Answers, type Cell, type PackedAnswers, type Ranked } from "./answers";
import { drawHeat, ramp, type Shows } from "./heat";
import style from "./style.css";

export interface PackedPicture {
  picture: string; // address of the photograph; empty where the page shows it already
  alt: string;
  size: [number, number]; // height and width, pixels
  comma: boolean; // whether decimals are written with a comma
  words: Record<string, string>;
  answers: PackedAnswers[];
}

const SHOWN = 5;
const SMALL = 64; // pixels up to which a picture is drawn with sharp edges
const FADED = 70; // percent: how strongly the map covers the photograph at first
const LONG = 14; // letters of a name with which what it says may take two lines
const PAUSE = 250; // milliseconds without a movement after which a screen reader is told

/** Makes an element, its text never read as HTML. */
function make<Tag extends keyof HTMLElementTagNameMap>(tag: Tag, name = "", text = ""): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (text) element.textContent = text;
  return element;
}

export class LivePatch {
  private readonly questions: Answers[];
  private current: Answers;
  private shown: number; // the class whose map is drawn
  private cell: Cell | null; // where the patch is; null where nothing is covered
  private shows: Shows = "change";
  private telling = 0;

  private readonly stage = make("div", "stage");
  private readonly image = make("img");
  private readonly heat = make("canvas", "heat");
  private readonly veil = make("i", "veil"); // over all but a patch that is kept, under the map
  private readonly patch = make("i", "patch");
  private readonly mark = make("i", "mark", "\u00d7");
  private readonly answer = make("p", "answer");
  private readonly bars = make("ol", "bars");
  private readonly place = make("p", "place");
  private readonly facts = make("p", "facts");
  private readonly status = make("p", "status");
  private readonly ends = [make("span"), make("span")] as const;
  private readonly key = make("i", "ramp");
  private readonly classes = make("select", "classes");

  constructor(host: HTMLElement, private readonly packed: PackedPicture, picture: string) {
    this.questions = packed.answers.map((answers) => new Answers(answers, packed.size));
    const first = this.questions[0];
    if (!first) throw new Error("There is nothing to show.");
    this.current = first;
    this.shown = first.of.target;
    this.cell = first.strongest(this.shown);
    const root = host.attachShadow({ mode: "open" });
    root.append(make("style", "", style), this.layOut(picture));
    // A notebook must not take a key for one of its commands: what it sees of a key in here is no field and no button.
    host.dataset.lmSuppressShortcuts = "true";
    root.addEventListener("keydown", (event) => event.stopPropagation());
    this.listen();
    this.choose(first);
  }

  private say(word: string, values: Record<string, string | number> = {}): string {
    return (this.packed.words[word] ?? word).replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ""));
  }

  private number(value: number): string {
    const fixed = this.current.of.probability || this.current.of.most;
    const written = fixed ? value.toFixed(3) : String(Number(value.toPrecision(3)));
    return this.packed.comma ? written.replace(".", ",") : written;
  }

  private layOut(picture: string): HTMLElement {
    const [height, width] = this.packed.size;
    this.image.src = picture;
    this.image.alt = this.packed.alt;
    this.image.draggable = false;
    this.stage.tabIndex = 0;
    this.stage.setAttribute("role", "application");
    this.stage.setAttribute("aria-label", this.say("keys"));
    this.stage.style.aspectRatio = `${width} / ${height}`;
    if (Math.max(height, width) <= SMALL) this.stage.classList.add("small");
    for (const drawn of [this.veil, this.heat, this.patch, this.mark]) drawn.setAttribute("aria-hidden", "true");
    this.stage.append(this.image, this.veil, this.heat, this.patch, this.mark);
    this.status.setAttribute("role", "status");
    this.status.setAttribute("aria-live", "polite");

    this.stage.classList.toggle("places", this.current.of.most);
    const legend = make("p", "legend");
    legend.hidden = this.current.of.most;
    legend.append(make("i", "under"), this.say("under"), make("i", "tick"), this.say("without"));
    if (this.current.of.kept) legend.append(make("i", "tick floor"), this.say("floor"));
    const side = make("div", "side");
    if (this.say("hint")) side.append(make("p", "hint", this.say("hint")));
    side.append(this.answer, this.bars, legend, this.place);
    const all = make("div", "live");
    all.append(this.stage, side, this.controls(), this.facts, this.status);
    return all;
  }

  private controls(): HTMLElement {
    const controls = make("div", "controls");
    if (this.current.of.most) {
      controls.append(labelled(this.say("map"), this.fader()));
      return controls;
    }
    controls.append(
      button("strongest", this.say("strongest"), () => this.move(this.current.strongest(this.shown))),
      button("lift", this.say("lift"), () => this.move(null)),
      labelled(this.say("map"), this.fader()),
    );
    if (this.questions.length > 1) {
      const labels = this.questions.map((question) => question.of.label);
      controls.append(labelled(this.say("question"), select("variants", labels, (index) => this.choose(this.questions[index] ?? this.current))));
    }
    this.classes.addEventListener("change", () => {
      this.shown = Number(this.classes.value);
      this.draw();
    });
    if (this.questions.some((question) => question.of.names.length > 1)) {
      controls.append(labelled(this.say("of"), this.classes));
    }
    const shows: Shows[] = ["change", "answer"];
    const texts = shows.map((each) => this.say(`shows ${each}`));
    const colours = select("shows", texts, (index) => {
      this.shows = shows[index] ?? "change";
      this.draw();
    });
    controls.append(labelled(this.say("shows"), colours));
    const scale = make("p", "scale");
    scale.append(this.ends[0], this.key, this.ends[1]);
    controls.append(scale);
    return controls;
  }

  private fader(): HTMLInputElement {
    const fader = make("input");
    fader.type = "range";
    fader.min = "0";
    fader.max = "100";
    fader.value = String(FADED);
    const fade = () => this.stage.style.setProperty("--map", `${Number(fader.value) / 100}`);
    fader.addEventListener("input", fade);
    fade();
    return fader;
  }

  private listen(): void {
    const follow = (event: PointerEvent) => {
      const box = this.stage.getBoundingClientRect(), [height, width] = this.packed.size;
      const y = ((event.clientY - box.top) / box.height) * height, x = ((event.clientX - box.left) / box.width) * width;
      this.move(this.current.nearest(y, x));
    };
    this.stage.addEventListener("pointerdown", (event) => {
      this.stage.setPointerCapture(event.pointerId);
      follow(event);
    });
    this.stage.addEventListener("pointermove", follow);
    this.stage.addEventListener("keydown", (event) => this.press(event));
  }

  private press(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = this.cell ?? this.current.strongest(this.shown);
    const step = (down: number, across: number): Cell => ({
      row: Math.min(Math.max(at.row + down, 0), this.current.rows - 1),
      column: Math.min(Math.max(at.column + across, 0), this.current.columns - 1),
    });
    const keys: Record<string, () => Cell | null> = {
      ArrowUp: () => step(-1, 0),
      ArrowDown: () => step(1, 0),
      ArrowLeft: () => step(0, -1),
      ArrowRight: () => step(0, 1),
      Home: () => this.current.strongest(this.shown),
      Escape: () => null,
    };
    const key = keys[event.key];
    if (!key) return;
    event.preventDefault(); // the page must not scroll
    this.move(key());
  }

  /** Shows one of several questions; the class stays where the new one has it too. */
  private choose(question: Answers): void {
    const name = this.current.of.names[this.shown];
    const same = question === this.current ? -1 : question.of.names.indexOf(name ?? "");
    this.current = question;
    this.shown = same >= 0 ? same : question.of.target;
    this.classes.replaceChildren(
      ...question.of.names.map((each, index) => {
        const told = index === question.of.target ? this.say("asked", { name: each }) : each;
        return new Option(told, String(index), false, index === this.shown);
      }),
    );
    this.answer.classList.toggle("long", question.of.names.some((each) => each.length > LONG));
    this.facts.textContent = question.of.facts;
    this.facts.hidden = question.of.facts === "";
    this.patch.classList.toggle("kept", question.of.kept);
    this.patch.classList.toggle("unknown", question.of.fill === "");
    this.stage.style.setProperty("--fill", question.of.fill || "#555");
    if (this.cell) this.cell = question.strongest(this.shown);
    this.draw();
  }

  /** Draws the map of the chosen class, and marks where the patch matters most to it. */
  private draw(): void {
    drawHeat(this.heat, this.current, this.shown, this.shows);
    const [height, width] = this.packed.size, strongest = this.current.strongest(this.shown);
    this.mark.style.top = `${(100 * (this.current.middles(0)[strongest.row] ?? 0)) / height}%`;
    this.mark.style.left = `${(100 * (this.current.middles(1)[strongest.column] ?? 0)) / width}%`;
    this.stage.classList.toggle("grey", this.shows === "change"); // red on a red fish would tell nothing
    if (this.shows === "answer") {
      const [low, high] = this.current.limits(this.shown);
      this.ends[0].textContent = `${this.current.of.measure} ${this.number(low)}`;
      this.ends[1].textContent = this.number(high);
    } else {
      const full = this.number(this.current.fullChange(this.shown));
      this.ends[0].textContent = this.say("lower", { full });
      this.ends[1].textContent = this.say("higher", { full });
    }
    this.key.style.background = ramp(this.shows);
    this.move(this.cell);
  }

  /** Puts the patch at a cell, or lifts it, and tells the answers. */
  private move(cell: Cell | null): void {
    this.cell = cell;
    const [height, width] = this.packed.size;
    this.patch.hidden = !cell;
    this.veil.hidden = !cell || !this.current.of.kept;
    let place = this.say("nothing covered");
    if (cell) {
      const { top, left, bottom, right } = this.current.covered(cell);
      for (const { style } of [this.patch, this.veil]) {
        style.top = `${(100 * top) / height}%`;
        style.left = `${(100 * left) / width}%`;
        style.height = `${(100 * (bottom - top)) / height}%`;
        style.width = `${(100 * (right - left)) / width}%`;
      }
      place = this.say("covered", { top, left, bottom: bottom - 1, right: right - 1 });
    }
    this.place.textContent = place;
    const ranked = this.ranked();
    this.tellAnswer(ranked);
    this.bars.replaceChildren(...ranked.map((each) => this.bar(each)), ...this.room(ranked));
    window.clearTimeout(this.telling);
    this.telling = window.setTimeout(() => this.tell(place, ranked), PAUSE);
  }

  /** Gives the first classes under the patch, and after them those that were asked about, where they are not among these. */
  private ranked(): Ranked[] {
    const first = this.current.first(SHOWN, this.cell);
    for (const index of new Set([this.current.of.target, this.shown])) {
      if (!first.some((each) => each.index === index)) first.push(this.current.ranked(index, this.cell));
    }
    return first;
  }

  /** Gives empty rows, so that nothing below moves where the class that was asked about is among the first. */
  private room(ranked: Ranked[]): HTMLElement[] {
    const most = Math.min(this.current.of.names.length, SHOWN + new Set([this.current.of.target, this.shown]).size);
    return Array.from({ length: most - ranked.length }, () => {
      const row = this.bar({ index: this.shown, value: 0, clean: 0, floor: null });
      row.className = "empty";
      row.setAttribute("aria-hidden", "true");
      return row;
    });
  }

  private tellAnswer(ranked: Ranked[]): void {
    const now = ranked[0]?.index ?? 0, before = this.current.first(1, null)[0]?.index ?? 0;
    const name = this.current.of.names[now] ?? "";
    this.answer.hidden = !this.current.of.competing;
    this.answer.classList.toggle("turned", now !== before);
    this.answer.textContent = this.say(!this.cell ? "answer" : now === before ? "same" : "turned", { name });
  }

  private bar({ index, value, clean, floor }: Ranked): HTMLElement {
    const name = this.current.of.names[index] ?? "";
    const [low, high] = this.current.scale;
    const share = (number: number) => (100 * (number - low)) / (high - low);
    const row = make("li", index === this.shown ? "own" : "");
    row.dataset.name = name;
    const label = make("span", "name", name);
    label.title = name;
    const track = make("span", "track"), filled = make("i", "under"), tick = make("i", "tick");
    track.setAttribute("aria-hidden", "true");
    filled.style.left = `${Math.min(share(0), share(value))}%`;
    filled.style.width = `${Math.abs(share(value) - share(0))}%`;
    tick.style.left = `${share(clean)}%`;
    track.append(filled);
    if (!this.current.of.most) track.append(tick);
    if (floor !== null) {
      const empty = make("i", "tick floor");
      empty.style.left = `${share(floor)}%`;
      track.append(empty);
    }
    const values = { value: this.number(clean), floor: floor === null ? "" : this.number(floor) };
    const was = make("small", "", this.current.of.most ? "" : this.say("was", values));
    row.append(label, make("span", "value", this.number(value)), track, was);
    return row;
  }

  /** Tells a screen reader the same figures. */
  private tell(place: string, ranked: Ranked[]): void {
    const listed = ranked.map(({ index, value, clean, floor }) =>
      this.say(this.current.of.most ? "figure alone" : "figure", {
        name: this.current.of.names[index] ?? "",
        value: this.number(value),
        clean: this.number(clean),
        floor: floor === null ? "" : this.number(floor),
      }),
    );
    this.status.textContent = `${place} ${this.answer.hidden ? "" : `${this.answer.textContent} `}${listed.join("; ")}.`;
  }
}

function button(name: string, text: string, press: () => void): HTMLButtonElement {
  const element = make("button", name, text);
  element.type = "button";
  element.addEventListener("click", press);
  return element;
}

function select(name: string, labels: string[], choose: (index: number) => void): HTMLSelectElement {
  const element = make("select", name);
  element.append(...labels.map((label, index) => new Option(label, String(index))));
  element.addEventListener("change", () => choose(Number(element.value)));
  return element;
}

function labelled(text: string, control: HTMLElement): HTMLLabelElement {
  const label = make("label");
  label.append(make("span", "", text), control);
  return label;
}
