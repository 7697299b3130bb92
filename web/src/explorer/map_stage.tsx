// A map to move about in, and to draw around images on: it follows the address, and writes there where one has moved.
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { readView } from "../map/address";
import { MapBoard, NoGraphics } from "../map/board";
import { STEPS } from "../map/data";
import type { Tool } from "../map/gestures";
import { press } from "../map/keys";
import { thinned } from "../map/lasso";
import { COLOURS, firstView, isLabelled } from "../map/view";
import { change, type Settings } from "./address";
import { useClassTitle } from "./explored";
import { language, say } from "./language";
import type { LoadedMap } from "./loaded_map";
import { addressed, pickedIn, settingsOf, viewKey, viewSettings } from "./map_settings";
import { Trouble } from "./parts";
import type { Problem } from "./schema";
import { writeLine } from "./selection";
import { bytes, problemOf } from "./server";

const LATER = 200; // milliseconds without a movement after which the address is written
const APART = 2; // pixels that the points of a lasso lie apart at least

/** By what images can be coloured. */
export const coloursOf = ({ data }: LoadedMap) =>
  COLOURS.filter((name) => (name === "label" ? isLabelled(data) : name === "mistake" ? data.labels.some((label) => label >= 0) : true));

/** What is said of an image that is pointed at. */
export function linesAbout({ data }: LoadedMap, index: number, title: (name: string) => string): string[] {
  const className = (number: number) => title(data.classes[number] ?? ""), label = data.labels[index] ?? -1;
  return [data.ids[index] ?? "", ...(label < 0 ? [] : [className(label)]), say("network says", { name: className(data.predictions[index] ?? -1) })];
}

/** The pages of thumbnails, each asked for. */
const thumbnailsOf = ({ page, network }: LoadedMap) =>
  Array.from({ length: page.pages }, (_, index) => bytes(`atlas/${index}`, undefined, network).then((page) => new Blob([page], { type: "image/jpeg" })));

interface StageSettings {
  map: LoadedMap;
  settings: Settings; // of the address
  second: boolean; // whether another map stands before it
  tool: Tool;
  selection: number[] | null; // as the map numbers images; null where none are chosen
  made: (board: MapBoard | null) => void;
  changed: () => void; // what is shown beside the map is another
}

/** The board of a map: it follows the address, and writes there where one has moved. */
function useBoard({ map, settings, second, made, changed }: Pick<StageSettings, "map" | "settings" | "second" | "made" | "changed">) {
  const { page, data, network } = map, own = viewSettings(settings, second), viewed = viewKey(own);
  const stage = useRef<HTMLDivElement>(null), canvas = useRef<HTMLCanvasElement>(null), over = useRef<HTMLCanvasElement>(null);
  const shown = useRef<HTMLParagraphElement>(null);
  const title = useClassTitle();
  const [board, setBoard] = useState<MapBoard | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  useEffect(() => {
    if (!stage.current || !canvas.current || !over.current) return;
    let later = 0;
    const remember = (moved: MapBoard) => {
      window.clearTimeout(later);
      later = window.setTimeout(() => change(addressed(settingsOf(moved, page), second)), LATER);
    };
    try {
      const drawn: MapBoard = new MapBoard({ stage: stage.current, canvas: canvas.current, over: over.current }, data, firstView(data), {
        moved: () => remember(drawn),
        chosen: changed,
        drawn: (count) => {
          if (shown.current) shown.current.textContent = say("showing", { shown: count, all: data.count });
        },
        surrounded: (line) => {
          const around = writeLine(thinned(line, (APART / drawn.screen.side) * STEPS));
          change({ lasso: around, "lasso-of": second ? String(network) : "", find: "" }, { step: true });
        },
        lines: (index) => linesAbout(map, index, title),
      });
      readView(drawn.view, data, new URLSearchParams(own));
      drawn.view.picked = pickedIn(own, page);
      drawn.paint();
      setBoard(drawn);
      made(drawn);
      drawn.load(thumbnailsOf(map)).then(
        () => stage.current?.setAttribute("data-ready", "yes"),
        (error: unknown) => setProblem(problemOf(error)),
      );
      return () => {
        window.clearTimeout(later);
        made(null);
        drawn.end();
      };
    } catch (error) {
      if (!(error instanceof NoGraphics)) throw error;
      setProblem({ kind: "refused", message: say("no graphics"), hint: say("no graphics hint") });
      return;
    }
  }, [page, data]);
  useEffect(() => {
    if (!board || viewed === viewKey(settingsOf(board, page))) return;
    readView(board.view, data, new URLSearchParams(own));
    board.view.picked = pickedIn(own, page);
    board.paint();
    changed();
  }, [board, viewed]);
  return { board, problem, stage, canvas, over, shown };
}

export function MapStage({ map, settings, second, tool, selection, made, changed }: StageSettings) {
  const { board, problem, stage, canvas, over, shown } = useBoard({ map, settings, second, made, changed });
  useEffect(() => board?.select(selection), [board, selection]);
  useEffect(() => board?.again(), [board, language()]); // it says how many are seen
  if (board) board.tool = tool;
  useKeys(board, stage.current, map, { second, changed });
  return (
    <div class="stage-map" ref={stage} data-tool={tool} data-network={map.network}>
      <canvas ref={canvas} tabIndex={0} role="application" aria-label={say("map keys")} />
      <canvas ref={over} aria-hidden="true" />
      <p ref={shown} class="shown" role="status" />
      {problem && <Trouble problem={problem} />}
    </div>
  );
}

/** Keys are for the map that has the focus, else for the first. */
function useKeys(board: MapBoard | null, stage: HTMLElement | null, map: LoadedMap, { second, changed }: Pick<StageSettings, "second" | "changed">): void {
  // Before the page is seen: a key that is pressed then counts.
  useLayoutEffect(() => {
    const refresh = () => {
      if (!board) return;
      board.paint();
      change(addressed(settingsOf(board, map.page), second));
      changed();
    };
    const key = (event: KeyboardEvent) => {
      if (!board || event.ctrlKey || event.metaKey || event.altKey) return;
      const target = event.target as Element, focused = target.closest(".stage-map");
      if (focused ? focused !== stage : second) return;
      if (target.matches("input, select") || (event.key === "Enter" && !target.matches("canvas"))) return;
      if (event.key === "Escape") change({ lasso: "", "lasso-of": "", find: "" }, { step: true });
      if (press(board, event.key, { refresh, colours: () => coloursOf(map) })) event.preventDefault();
    };
    document.addEventListener("keydown", key);
    return () => document.removeEventListener("keydown", key);
  });
}
