// The page of the map: all images where the network finds them, and what is common to those that one draws around.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { readView, writeView } from "../map/address";
import { MapBoard, NoGraphics } from "../map/board";
import type { MapData } from "../map/data";
import type { Tool } from "../map/gestures";
import { press } from "../map/keys";
import { thinned } from "../map/lasso";
import { COLOURS, firstView, isLabelled } from "../map/view";
import { change, type Settings } from "./address";
import { useClassTitle } from "./explored";
import { number, say } from "./language";
import { MapControls, type MapState } from "./map_controls";
import { PickedImage } from "./picked_image";
import { CopyCommands, Trouble, Waiting } from "./parts";
import type { MapPage as Message, Problem } from "./schema";
import { readLine, searched, writeLine } from "./selection";
import { SelectionPanel } from "./selection_panel";
import { bytes, problemOf, useAnswer } from "./server";

const LATER = 200; // milliseconds without a movement after which the address is written
const APART = 2; // pixels that the points of a lasso lie apart at least

export function MapPage({ settings }: { settings: Settings }) {
  const { value: page, problem } = useAnswer<Message>("map");
  const [data, setData] = useState<MapData | null>(null);
  const [failed, setFailed] = useState<Problem | null>(null);
  useEffect(() => {
    if (!page) return;
    const controller = new AbortController();
    loadMap(page, controller.signal).then(setData, (error: unknown) => !controller.signal.aborted && setFailed(problemOf(error)));
    return () => controller.abort();
  }, [page]);
  const trouble = problem ?? failed;
  if (trouble) return <Trouble problem={trouble} />;
  if (!page || !data) return <Waiting />;
  return <LoadedMap page={page} data={data} settings={settings} />;
}

async function loadMap(page: Message, signal: AbortSignal): Promise<MapData> {
  const [points, neighbours] = await Promise.all([bytes("map/points", signal), bytes("map/neighbours", signal)]);
  return {
    ...page,
    points: new Uint16Array(points),
    neighbours: new Uint32Array(neighbours),
    near: page.neighbours,
    labels: Int16Array.from(page.labels),
    predictions: Int16Array.from(page.predictions),
    wrong: Uint8Array.from(page.wrong, Number),
    grid: null,
    spacing: 1 / Math.max(2, Math.sqrt(page.count) * 1.1),
  };
}

/** The map in its element, and the settings of the address that it follows. */
function useBoard(page: Message, data: MapData, settings: Settings) {
  const stage = useRef<HTMLDivElement>(null), canvas = useRef<HTMLCanvasElement>(null), over = useRef<HTMLCanvasElement>(null);
  const shown = useRef<HTMLParagraphElement>(null);
  const title = useClassTitle();
  const [board, setBoard] = useState<MapBoard | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [drawn, setDrawn] = useState(0); // counts what changes the controls
  useEffect(() => {
    if (!stage.current || !canvas.current || !over.current) return;
    let later = 0;
    const remember = (made: MapBoard) => {
      window.clearTimeout(later);
      later = window.setTimeout(() => change(mapSettings(made, page)), LATER);
    };
    const className = (index: number) => title(data.classes[index] ?? "");
    const lines = (index: number) => {
      const label = data.labels[index] ?? -1;
      return [data.ids[index] ?? "", ...(label < 0 ? [] : [className(label)]), say("network says", { name: className(data.predictions[index] ?? -1) })];
    };
    try {
      const made: MapBoard = new MapBoard({ stage: stage.current, canvas: canvas.current, over: over.current }, data, firstView(data), {
        moved: () => remember(made),
        chosen: () => setDrawn((count) => count + 1),
        drawn: (count) => {
          if (shown.current) shown.current.textContent = say("showing", { shown: count, all: data.count });
        },
        surrounded: (line) => change({ lasso: writeLine(thinned(line, (APART / made.screen.side) * 65535)), find: "" }, { step: true }),
        lines,
      });
      readView(made.view, data, new URLSearchParams(settings));
      made.view.picked = pickedIn(settings, page);
      made.paint();
      setBoard(made);
      const pages = Array.from({ length: page.pages }, (_, index) => bytes(`atlas/${index}`).then((page) => new Blob([page], { type: "image/jpeg" })));
      made.load(pages).then(
        () => stage.current?.setAttribute("data-ready", "yes"),
        (error: unknown) => setProblem(problemOf(error)),
      );
      return () => {
        window.clearTimeout(later);
        made.end();
      };
    } catch (error) {
      if (!(error instanceof NoGraphics)) throw error;
      setProblem({ kind: "refused", message: say("no graphics"), hint: say("no graphics hint") });
      return;
    }
  }, [page, data]);
  return { stage, canvas, over, shown, board, problem, drawn, redraw: () => setDrawn((count) => count + 1), settings };
}

/** What the address keeps of a map. */
function mapSettings(board: MapBoard, page: Message): Settings {
  const none = { mode: "", colour: "", grid: "", size: "", only: "", off: "" };
  const picked = board.view.picked;
  return { ...none, ...writeView(board.view, board.data), image: picked < 0 ? "" : String(page.numbers[picked] ?? "") };
}

/** The image that the address names, as the map numbers it. */
const pickedIn = (settings: Settings, page: Message) => (settings["image"] ? page.numbers.indexOf(Number(settings["image"])) : -1);

function LoadedMap({ page, data, settings }: { page: Message; data: MapData; settings: Settings }) {
  const { stage, canvas, over, shown, board, problem, drawn, redraw } = useBoard(page, data, settings);
  const title = useClassTitle();
  const [tool, setTool] = useState<Tool>("move");
  const viewed = viewKey(settings);
  useEffect(() => {
    if (!board || viewed === viewKey(mapSettings(board, page))) return;
    readView(board.view, data, new URLSearchParams(settings));
    board.view.picked = pickedIn(settings, page);
    board.paint();
    redraw();
  }, [board, viewed]);
  const selection = useMemo(() => {
    if (!board) return null;
    if (settings["find"]) return searched(settings["find"], data, title, board.visible);
    const line = readLine(settings["lasso"] ?? "");
    return line ? board.inside(line) : null;
  }, [board, settings["find"], settings["lasso"], viewed]);
  useEffect(() => board?.select(selection), [board, selection]);
  if (board) board.tool = tool;
  const colours = COLOURS.filter((name) => (name === "label" ? isLabelled(data) : name === "mistake" ? data.labels.some((label) => label >= 0) : true));
  const refresh = () => {
    if (!board) return;
    board.paint();
    change(mapSettings(board, page));
    redraw();
  };
  useKeys(board, refresh, colours);
  const state: MapState = { board, data, colours, tool, setTool, refresh, settings, drawn };
  return (
    <div class="board">
      <div class="stage-map" ref={stage} data-tool={tool}>
        <canvas ref={canvas} tabIndex={0} role="application" aria-label={say("map keys")} />
        <canvas ref={over} aria-hidden="true" />
        <p ref={shown} class="shown" role="status" />
        {problem && <Trouble problem={problem} />}
      </div>
      <aside>
        <header class="title">
          <h1>{say("map")}</h1>
          <p class="note">
            {say("map note", { count: data.count, method: page.method })}
            {page.quality["trustworthiness"] !== undefined && ` ${say("map quality", { value: number(page.quality["trustworthiness"], 2) })}`}
          </p>
          <CopyCommands commands={page.commands} />
        </header>
        {board && board.view.picked >= 0 && <PickedImage board={board} page={page} index={board.view.picked} />}
        {selection && <SelectionPanel map={page} indices={selection} />}
        <MapControls {...state} />
      </aside>
    </div>
  );
}

/** What of the address says how the map is seen. */
function viewKey(settings: Settings): string {
  return ["x", "y", "z", "mode", "colour", "grid", "size", "only", "off", "image"].map((name) => settings[name] ?? "").join(" ");
}

function useKeys(board: MapBoard | null, refresh: () => void, colours: readonly (typeof COLOURS)[number][]): void {
  useEffect(() => {
    const key = (event: KeyboardEvent) => {
      if (!board || event.ctrlKey || event.metaKey || event.altKey) return;
      const target = event.target as Element;
      if (target.matches("input, select") || (event.key === "Enter" && !target.matches("canvas"))) return;
      if (event.key === "Escape") change({ lasso: "", find: "" }, { step: true });
      if (press(board, event.key, { refresh, colours: () => colours })) event.preventDefault();
    };
    document.addEventListener("keydown", key);
    return () => document.removeEventListener("keydown", key);
  });
}

