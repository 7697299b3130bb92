// Small parts that all pages are made of.
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { useClassTitle, useSession } from "./explored";
import { say } from "./language";
import { worded } from "./problem_words";
import type { Commands, DamagedRecord, ImageCard, Problem } from "./schema";
import { useFileAddress, useLink, useNetwork } from "./server";

export function Trouble({ problem }: { problem: Problem }) {
  return (
    <div class="trouble" role="alert">
      <p>{worded(problem.message)}</p>
      {problem.hint && <p class="soft">{worded(problem.hint)}</p>}
    </div>
  );
}

/** Which records of the store a part of the page lacks, since they cannot be read. */
export function DamagedRecords({ records }: { records: readonly DamagedRecord[] }) {
  return (
    <>
      {records.map(({ record, message, hint }) => (
        <Trouble key={record} problem={{ kind: "damaged", message: `${say("damaged record", { record })} ${worded(message)}`, hint }} />
      ))}
    </>
  );
}

/** Waits a moment before it says so: most answers are there at once. */
export function Waiting({ text }: { text?: string }) {
  const [long, setLong] = useState(false);
  useEffect(() => {
    const timer = window.setTimeout(() => setLong(true), 250);
    return () => window.clearTimeout(timer);
  }, []);
  return (
    <p class="waiting" role="status">
      {long ? (text ?? say("waiting")) : ""}
    </p>
  );
}

const TOLD = 1600; // milliseconds for which a button says that it has copied

/** Buttons that copy the lines which make a figure again; `of` is what the figure is called. */
export function CopyCommands({ commands, of }: { commands: Commands; of?: string }) {
  const [copied, setCopied] = useState<keyof Commands | "">("");
  const [shown, setShown] = useState<keyof Commands | "">("");
  const copy = async (kind: keyof Commands) => {
    // Where the page comes from another machine without https, a browser lends no clipboard: the line is shown to be copied by hand.
    if (!("clipboard" in navigator)) {
      setShown(kind);
      return;
    }
    try {
      await navigator.clipboard.writeText(commands[kind]);
    } catch {
      setShown(kind); // nor to a page that it does not trust, or that has not the focus
      return;
    }
    setCopied(kind);
    window.setTimeout(() => setCopied(""), TOLD);
  };
  const kinds: (keyof Commands)[] = ["python", "shell"];
  return (
    <p class="commands" {...(of ? { role: "group", "aria-label": of } : {})}>
      {kinds
        .filter((kind) => commands[kind])
        .map((kind) => (
          <button type="button" class="quiet" title={commands[kind]} onClick={() => void copy(kind)}>
            {copied === kind ? say("copied") : say(`copy ${kind}`)}
          </button>
        ))}
      {commands.python && !commands.shell && <small>{say("no shell")}</small>}
      <span class="unseen" role="status">
        {copied && say("copied")}
      </span>
      {shown && <code>{commands[shown]}</code>}
    </p>
  );
}

/** A part of a page with a heading, what it is good for, and the lines that make it again. */
export function Figure({ title, note, commands, children, wide }: FigureSettings) {
  return (
    <section class={wide ? "figure wide" : "figure"}>
      <header>
        <h2>{title}</h2>
        {commands && <CopyCommands commands={commands} of={title} />}
      </header>
      {note && <p class="note">{note}</p>}
      {children}
    </section>
  );
}

interface FigureSettings {
  title: string;
  note?: string;
  commands?: Commands | undefined;
  children: ComponentChildren;
  wide?: boolean;
}

/** What is typed counts once it is ended; until then it stays, whatever else changes on the page meanwhile. */
export function TextField({ value, choose, ...attributes }: TextFieldSettings) {
  const [typed, setTyped] = useState<string | null>(null);
  return (
    <input
      {...(attributes as { type: "text" })}
      value={typed ?? value}
      onInput={(event) => setTyped(event.currentTarget.value)}
      onBlur={() => setTyped(null)}
      onChange={(event) => {
        setTyped(null);
        choose(event.currentTarget.value.trim());
      }}
    />
  );
}

interface TextFieldSettings {
  type: "search" | "text" | "number";
  value: string;
  choose: (value: string) => void;
  placeholder?: string;
  size?: number;
  min?: number;
  max?: number;
}

export interface Choice {
  value: string;
  text: string;
}

/** One of a few, all of which are seen. */
export function Choices({ name, value, choices, choose }: ChoicesSettings) {
  return (
    <div class="choices" role="group" aria-label={name}>
      <span>{name}</span>
      {choices.map((choice) => (
        <button type="button" aria-pressed={choice.value === value} onClick={() => choose(choice.value)}>
          {choice.text}
        </button>
      ))}
    </div>
  );
}

/** One of many; what is chosen is among them, though it be none that could be. */
export function Select({ name, value, choices: known, choose }: ChoicesSettings) {
  const choices = known.some((choice) => choice.value === value) ? known : [...known, { value, text: value }];
  return (
    <label class="control">
      <span>{name}</span>
      <select value={value} onChange={(event) => choose(event.currentTarget.value)}>
        {choices.map((choice) => (
          <option value={choice.value} selected={choice.value === value}>
            {choice.text}
          </option>
        ))}
      </select>
    </label>
  );
}

interface ChoicesSettings {
  name: string;
  value: string;
  choices: Choice[];
  choose: (value: string) => void;
}

const LEAST_SHARE = 1 / 3; // of the picture that a crop shows at least, so that one sees what a small field is part of

/** How a field is shown: the side of the square around it, whether that leaves out some of the image, and whether the field is framed in it. */
export function fieldShown(field: readonly number[], [height = 1, width = 1]: readonly number[]): { side: number; cropped: boolean; framed: boolean } {
  const shorter = Math.min(height, width);
  if (field.length !== 4) return { side: shorter, cropped: false, framed: false };
  const [top, left, bottom, right] = field as [number, number, number, number];
  const longer = Math.max(bottom - top, right - left);
  const side = Math.min(Math.max(longer, shorter * LEAST_SHARE), shorter);
  return { side, cropped: side < shorter, framed: longer < side * 0.9 };
}

const SHARP = 64; // pixels up to which a picture is drawn with sharp edges

/** The class of what shows a picture of the network's size: small ones have sharp edges. */
export function usePictureClass(name = "picture"): string {
  return Math.min(...useSession().size) <= SHARP ? `${name} sharp` : name;
}

/** An image, or the square around a field of it, with the field framed where it is smaller. */
export function Picture({ name, field = [], alt }: { name: string | number; field?: number[]; alt: string }) {
  const size = useSession().size, fileAddress = useFileAddress(), pictureClass = usePictureClass();
  const [height = 1, width = 1] = size;
  const [top, left, bottom, right] = field.length === 4 ? (field as [number, number, number, number]) : [0, 0, height, width];
  const { side, framed } = fieldShown(field, size);
  const first = (low: number, high: number, size: number) => Math.min(Math.max((low + high - side) / 2, 0), size - side);
  const y = first(top, bottom, height), x = first(left, right, width);
  const share = (pixels: number) => `${(100 * pixels) / side}%`;
  return (
    <span class={pictureClass}>
      <img
        src={fileAddress(`images/${encodeURIComponent(name)}/picture.png`)}
        alt={alt}
        loading="lazy"
        draggable={false}
        style={{ width: share(width), height: share(height), left: share(-x), top: share(-y) }}
      />
      {framed && (
        <i class="field" style={{ left: share(left - x), top: share(top - y), width: share(right - left), height: share(bottom - top) }} />
      )}
    </span>
  );
}

/** Tells what an image is and what the network says of it: as the name of a picture, or as a sentence on its page. */
export function useImageText(kind: "image" | "page" = "image"): (image: { id: string; label: string; prediction: string; wrong: boolean | null }) => string {
  const title = useClassTitle();
  return (image) => {
    // Of a label that is no class of the network nobody knows whether the answer is right.
    const values = { id: image.id, label: title(image.label), prediction: title(image.prediction) };
    if (!image.label) return say(`${kind} unlabelled`, values);
    return say(image.wrong === null ? `${kind} unjudged` : image.wrong ? `${kind} wrong` : `${kind} right`, values);
  };
}

/** An image as a link to its page: the picture, and under it what is told of it. */
export function ImageLink({ image, field, children }: ImageLinkSettings) {
  const text = useImageText(), title = useClassTitle(), link = useLink();
  return (
    <a class="image-link" href={link("image", String(image.number))} title={text(image)}>
      <Picture name={image.number} field={field ?? []} alt={text(image)} />
      <span class="caption">
        <b aria-hidden="true" class={image.wrong ? "wrong" : ""}>
          {title(image.prediction)}
        </b>
        {children}
      </span>
    </a>
  );
}

interface ImageLinkSettings {
  image: Omit<ImageCard, "other">;
  field?: number[];
  children?: ComponentChildren;
}

/** Gives what a unit is called: that of a class by the class. */
export function useUnitTitle(): (unit: string) => string {
  const title = useClassTitle();
  return (unit) => {
    const cut = unit.indexOf(":"), layer = unit.slice(0, cut);
    return layer === "logit" || layer === "prob" ? `${layer}:${title(unit.slice(cut + 1))}` : unit;
  };
}

export function UnitLinkTo({ unit }: { unit: string }) {
  const title = useUnitTitle(), link = useLink();
  return <a href={link("unit", unit)}>{title(unit)}</a>;
}

/** Of two networks, whose answers a page shows. */
export function AnswersOf() {
  const { networks } = useSession(), number = useNetwork();
  const network = networks.length > 1 ? networks.find((each) => each.number === number) : undefined;
  return network ? <p class="soft">{say("answers of", { name: network.name })}</p> : null;
}

export interface RankedRow {
  label: ComponentChildren;
  share: number; // how long its bar is, 0 to 1
  value: string;
  title?: string;
  negative?: boolean;
}

/** What is ranked, each with a bar and its number; `low` is where bars begin. */
export function Ranking({ rows, low = 0 }: { rows: RankedRow[]; low?: number }) {
  return (
    <ol class="ranking">
      {rows.map((row) => (
        <li class={row.negative ? "negative" : ""}>
          <span>{row.label}</span>
          <Bar share={row.share} low={low} />
          <span title={row.title}>{row.value}</span>
        </li>
      ))}
    </ol>
  );
}

/** A share from 0 to 1 as a bar; the number stands beside it. */
export function Bar({ share, low = 0 }: { share: number; low?: number }) {
  const width = Math.max(0, Math.min(1, (share - low) / (1 - low)));
  return (
    <span class="bar" aria-hidden="true">
      <i style={{ width: `${100 * width}%` }} />
    </span>
  );
}
