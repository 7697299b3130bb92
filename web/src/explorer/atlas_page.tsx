// The page of an activation atlas: the space of a layer as pictures that were made for each part of it.
import { useEffect, useRef, useState } from "preact/hooks";
import { AtlasBoard } from "../atlas/board";
import { decimals, readView, writeView, type AtlasData } from "../atlas/view";
import { change, type Settings } from "./address";
import { useClassTitle } from "./explored";
import { number, say } from "./language";
import { CopyCommands, DamagedRecords, Ranking, Select, Trouble, Waiting } from "./parts";
import type { AtlasCell, AtlasPage as Message, Problem } from "./schema";
import { bytes, problemOf, useAnswer, useLink, useNetwork } from "./server";

const LATER = 200; // milliseconds without a movement after which the address is written

export function AtlasPage({ settings }: { settings: Settings }) {
  const layer = settings["layer"] ?? "";
  const { value: page, problem } = useAnswer<Message>(layer ? `activation-atlas?layer=${encodeURIComponent(layer)}` : "activation-atlas");
  if (problem) return <Trouble problem={problem} />;
  if (!page) return <Waiting />;
  if (!page.layers.length) return <NoAtlas page={page} />;
  return <Atlas key={page.layer} page={page} settings={settings} />;
}

/** What makes an atlas, where the store has none. */
function NoAtlas({ page }: { page: Message }) {
  return (
    <section class="boardless">
      <h1>{say("atlas")}</h1>
      <p class="note">{say("atlas note")}</p>
      <DamagedRecords records={page.damaged} />
      <p>{say("no atlas")}</p>
      <pre class="command">{page.commands.shell || page.commands.python}</pre>
      <CopyCommands commands={page.commands} />
    </section>
  );
}

const drawnOf = (page: Message): AtlasData => ({
  grids: page.grids,
  cells: page.cells.map((cell) => [cell.grid, cell.row, cell.column]),
  inks: page.cells.map((cell) => cell.ink),
  side: page.side,
  page: page.page,
});

/** The sheets of one kind, each asked for. */
function sheetsOf(page: Message, kind: "pictures" | "crops", network: number): Promise<Blob[]> {
  const count = kind === "pictures" ? page.pictures : page.crop_sheets, layer = encodeURIComponent(page.layer);
  return Promise.all(
    Array.from({ length: count }, (_, sheet) =>
      bytes(`activation-atlas/${kind}/${sheet}?layer=${layer}`, undefined, network).then((content) => new Blob([content], { type: "image/jpeg" })),
    ),
  );
}

interface Shown {
  canvas: { current: HTMLCanvasElement | null };
  shown: { current: HTMLParagraphElement | null }; // where it is said which grid is drawn
  board: AtlasBoard | null;
  crops: ImageBitmap[];
  picked: number;
  problem: Problem | null;
}

/** The board of an atlas: it begins where the address says, and writes there where one has moved. */
function useBoard(page: Message, settings: Settings): Shown {
  const network = useNetwork();
  const canvas = useRef<HTMLCanvasElement>(null), shown = useRef<HTMLParagraphElement>(null), data = useRef<AtlasData>(drawnOf(page));
  const [board, setBoard] = useState<AtlasBoard | null>(null);
  const [crops, setCrops] = useState<ImageBitmap[]>([]);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [picked, setPicked] = useState(() => readView((name) => settings[name], data.current).picked);
  useEffect(() => {
    if (!canvas.current) return;
    let later = 0;
    const remember = () => {
      window.clearTimeout(later);
      later = window.setTimeout(() => change(writeView(made.view, data.current)), LATER);
    };
    const made: AtlasBoard = new AtlasBoard(canvas.current, data.current, {
      moved: remember,
      picked: (cell) => {
        setPicked(cell);
        remember();
      },
      drawn: (grid) => {
        const side = page.grids[grid] ?? 0;
        if (shown.current) shown.current.textContent = say("atlas grid", { side: `${side}x${side}` });
      },
    });
    made.view = readView((name) => settings[name], data.current);
    setBoard(made);
    const loaded = async () => {
      await made.load(await sheetsOf(page, "pictures", network));
      canvas.current?.parentElement?.setAttribute("data-ready", "yes");
      setCrops(await Promise.all((await sheetsOf(page, "crops", network)).map((sheet) => createImageBitmap(sheet))));
    };
    loaded().catch((error: unknown) => setProblem(problemOf(error)));
    return () => {
      window.clearTimeout(later);
      made.end();
    };
  }, [page]);
  return { canvas, shown, board, crops, picked, problem };
}

function Atlas({ page, settings }: { page: Message; settings: Settings }) {
  const { canvas, shown, board, crops, picked, problem } = useBoard(page, settings), cell = page.cells[picked];
  return (
    <div class="board">
      <section class="stage-of" aria-label={say("atlas")}>
        <div class="stage-map">
          <canvas ref={canvas} tabIndex={0} role="application" aria-label={say("atlas keys")} />
          <p ref={shown} class="shown" role="status" />
          {problem && <Trouble problem={problem} />}
        </div>
      </section>
      <aside>
        <AtlasTitle page={page} />
        {cell && board ? <Picked page={page} cell={cell} index={picked} board={board} crops={crops} /> : <p>{say("atlas pick")}</p>}
        <Frames page={page} />
        <p class="note">{say("atlas help")}</p>
      </aside>
    </div>
  );
}

/** What the atlas is of. */
function AtlasTitle({ page }: { page: Message }) {
  return (
    <header class="title">
      <h1>{say("atlas")}</h1>
      {page.layers.length > 1 ? (
        <Select
          name={say("layer")}
          value={page.layer}
          choices={page.layers.map((layer) => ({ value: layer, text: layer }))}
          choose={(layer) => change({ layer, cell: "", x: "", y: "", z: "" }, { step: true })}
        />
      ) : (
        <p>{page.layer}</p>
      )}
      <p class="note">
        {say("atlas note")} {say("atlas quality", { count: page.vectors, images: page.images, value: number(page.agreement, 2) })}
      </p>
      <CopyCommands commands={page.commands} />
      <DamagedRecords records={page.damaged} />
    </header>
  );
}

/** Which class has which colour. */
function Frames({ page }: { page: Message }) {
  const title = useClassTitle();
  if (Object.keys(page.legend).length === 0) return null;
  return (
    <section>
      <h2>{say("atlas frames")}</h2>
      <p class="atlas-legend">
        {Object.entries(page.legend).map(([name, ink]) => (
          <span key={name}>
            <i style={{ background: ink }} />
            {title(name)}
          </span>
        ))}
        {page.unframed > 0 && <span>{say("atlas unframed", { count: page.unframed })}</span>}
      </p>
    </section>
  );
}

interface PickedSettings {
  page: Message;
  cell: AtlasCell;
  index: number;
  board: AtlasBoard;
  crops: ImageBitmap[];
}

function Picked({ page, cell, index, board, crops }: PickedSettings) {
  const portrait = useRef<HTMLCanvasElement>(null), title = useClassTitle();
  useEffect(() => {
    if (portrait.current) board.portrait(portrait.current, index);
  });
  const side = page.grids[cell.grid] ?? 0, most = Math.max(...cell.leads.map(Math.abs), 1e-12);
  const rows = cell.classes.map((name, at) => {
    const lead = cell.leads[at] ?? 0;
    return { label: title(name), share: Math.abs(lead) / most, value: number(lead, decimals(most)), negative: lead < 0 };
  });
  return (
    <section class="atlas-cell">
      <div class="atlas-head">
        <canvas ref={portrait} width={256} height={256} role="img" aria-label={say("atlas picture")} />
        <p>
          {say("atlas cell", { side: `${side}x${side}`, row: cell.row + 1, column: cell.column + 1 })}
          <br />
          {say("atlas count", { count: cell.count })}
        </p>
        <button type="button" class="quiet" onClick={() => board.pick(-1)} aria-label={say("no selection")}>
          {"\u00d7"}
        </button>
      </div>
      <h2>{say("atlas classes")}</h2>
      <Ranking rows={rows} />
      <p class="note">{say("atlas classes note")}</p>
      <h2>{say("atlas crops")}</h2>
      <div class="atlas-crops">
        {cell.examples.map((crop) => (
          <Crop key={crop} page={page} crop={crop} sheets={crops} />
        ))}
      </div>
    </section>
  );
}

function Crop({ page, crop, sheets }: { page: Message; crop: number; sheets: ImageBitmap[] }) {
  const canvas = useRef<HTMLCanvasElement>(null), link = useLink(), title = useClassTitle();
  const across = Math.floor(page.page / page.crop), index = crop % (across * across), sheet = sheets[Math.floor(crop / (across * across))];
  useEffect(() => {
    const [x, y] = [(index % across) * page.crop, Math.floor(index / across) * page.crop];
    if (sheet) canvas.current?.getContext("2d")?.drawImage(sheet, x, y, page.crop, page.crop, 0, 0, page.crop, page.crop);
  }, [sheet, crop]);
  const image = page.crops[crop];
  if (!image) return null;
  const picture = <canvas ref={canvas} width={page.crop} height={page.crop} role="img" aria-label={image.id} title={image.id} />;
  return (
    <figure>
      {image.number < 0 ? picture : <a href={link("image", String(image.number))}>{picture}</a>}
      <figcaption>{title(image.label)}</figcaption>
    </figure>
  );
}
