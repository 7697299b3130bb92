// Maps laid over a photograph: what covering a place takes from a class, or how far it moves the image on the map.
// A coarse map is there at once, and a finer one while one looks.
import { useEffect, useMemo, useState } from "preact/hooks";
import { middles } from "../answers";
import { changeColour, distanceColour, margin, ramp, type Grid } from "../heat";
import { change, type Settings } from "./address";
import { useClassTitle, useSession } from "./explored";
import { figures, percent, say } from "./language";
import { Choices, CopyCommands, Select, Trouble } from "./parts";
import { viewName } from "./newest";
import type { Overlay } from "./patch_stage";
import type { DistanceAnswer, DistanceQuestion, HeatAnswer, HeatQuestion, ImagePage, KeptHeats, Problem } from "./schema";
import { isReplaced, useNetwork, post, problemOf, useAnswer } from "./server";

const STRENGTH = 70; // percent: how strongly the map covers the photograph at first
const FINEST = 8; // steps of the finest map within a patch

interface Heat extends Overlay {
  kind: "drop" | "distance";
  low: number; // what the legend says at its ends
  high: number;
  finer: boolean; // whether a finer one is on its way
  answer: HeatAnswer | DistanceAnswer;
}

export interface HeatState {
  heat: Heat | null;
  problem: Problem | null;
}

/** The steps of the maps that are asked for one after the other. */
export function strides(side: number): number[] {
  const steps = [side, side / 2, side / 4, side / FINEST].map((step) => Math.max(1, Math.round(step)));
  return [...new Set(steps)];
}

/** How strongly the map covers the photograph, in percent. */
const strengthOf = (settings: Settings): number => Math.min(Math.max(Number(settings["strength"] ?? STRENGTH) || 0, 0), 100);

export function useHeat(page: ImagePage, settings: Settings, side: number, fill: string): (Overlay & HeatState) | null {
  const kind = settings["heat"] ?? "", session = useSession();
  const unit = settings["heat-of"] ?? page.prediction;
  const [state, setState] = useState<HeatState>({ heat: null, problem: null });
  const view = useMemo(() => viewName("heat"), []);
  const network = useNetwork();
  useEffect(() => {
    setState({ heat: null, problem: null });
    if (kind !== "drop" && kind !== "distance") return;
    const controller = new AbortController();
    const ask = async () => {
      const steps = strides(side);
      for (const [position, stride] of steps.entries()) {
        const common = { image: page.name, patch: side, stride, fill, view, network };
        const finer = position + 1 < steps.length;
        try {
          const heat =
            kind === "drop"
              ? drops(await post<HeatAnswer>("heat", { ...common, unit: `prob:${unit}` } satisfies HeatQuestion, controller.signal), page.size, finer)
              : distances(await post<DistanceAnswer>("distance", common satisfies DistanceQuestion, controller.signal), page.size, finer);
          setState({ heat, problem: null });
        } catch (error) {
          if (!isReplaced(error)) setState({ heat: null, problem: problemOf(error) });
          return;
        }
      }
    };
    // A patch that is still being resized asks for nothing.
    const timer = window.setTimeout(() => void ask(), 150);
    return () => {
      window.clearTimeout(timer);
      controller.abort();
    };
  }, [kind, unit, side, fill, page.name, network, session]);
  const strength = strengthOf(settings) / 100;
  if (!state.heat) return state.problem ? { ...EMPTY, ...state } : null;
  return { ...state.heat, strength, ...state };
}

/** The maps of an image that the store has, where no network is at hand to make others. */
export function useKeptHeats(page: ImagePage): KeptHeats {
  const { asks } = useSession();
  return useAnswer<KeptHeats>(asks || !page.occluded ? null : `images/${encodeURIComponent(page.name)}/heat`).value ?? { maps: [], damaged: [] };
}

/** One of these as it is laid over the photograph. */
export const keptHeat = (answer: HeatAnswer, page: ImagePage): Overlay & HeatState => {
  const heat = { ...drops(answer, page.size, false), strength: STRENGTH / 100 };
  return { ...heat, heat, problem: null };
};

const EMPTY: Overlay = { grid: { size: [1, 1], rows: [], columns: [] }, ink: () => "transparent", strength: 0 };

function gridOf(answer: { top: number[]; left: number[]; patch: number[] }, size: number[]): Grid {
  const [height = 1, width = 1] = size, [high = 1, wide = 1] = answer.patch;
  return { size: [height, width], rows: middles(answer.top, high, height), columns: middles(answer.left, wide, width) };
}

function drops(answer: HeatAnswer, size: number[], finer: boolean): Heat {
  // The strongest colour is the largest change of either direction: what is seen is what was found, and the legend says how much that is.
  const full = Math.max(...answer.drop.flat().map(Math.abs), Number.MIN_VALUE);
  const ink = (row: number, column: number) => changeColour(-(answer.drop[row]?.[column] ?? 0) / full);
  return { kind: "drop", grid: gridOf(answer, size), ink, strength: 1, low: -full, high: full, finer, answer };
}

function distances(answer: DistanceAnswer, size: number[], finer: boolean): Heat {
  const full = Math.max(answer.neighbour_distance, ...answer.distance.flat(), 1e-9);
  const ink = (row: number, column: number) => distanceColour((answer.distance[row]?.[column] ?? 0) / full);
  return { kind: "distance", grid: gridOf(answer, size), ink, strength: 1, low: 0, high: full, finer, answer };
}

export function HeatControls({ page, settings, heat }: { page: ImagePage; settings: Settings; heat: HeatState | null }) {
  const { classes } = useSession(), title = useClassTitle();
  const kind = settings["heat"] ?? "";
  const kinds = [
    { value: "", text: say("heat none") },
    { value: "drop", text: say("heat drop") },
    ...(page.neighbours.length > 0 ? [{ value: "distance", text: say("heat distance") }] : []),
  ];
  return (
    <div class="heat-controls">
      <Choices name={say("map over")} value={kind} choices={kinds} choose={(chosen) => change({ heat: chosen })} />
      {kind && (
        <div class="controls">
          {kind === "drop" && (
            <Select
              name={say("class")}
              value={settings["heat-of"] ?? page.prediction}
              choices={classes.map((value) => ({ value, text: title(value) }))}
              choose={(chosen) => change({ "heat-of": chosen === page.prediction ? "" : chosen })}
            />
          )}
          <label class="control">
            <span>{say("strength")}</span>
            <input type="range" min={0} max={100} value={strengthOf(settings)} aria-valuetext={percent(strengthOf(settings) / 100)} onInput={(event) => change({ strength: event.currentTarget.value })} />
            <output>{percent(strengthOf(settings) / 100)}</output>
          </label>
        </div>
      )}
      {heat?.problem && <Trouble problem={heat.problem} />}
      {kind && <Legend heat={heat?.heat ?? null} />}
    </div>
  );
}

export function Legend({ heat }: { heat: Heat | null }) {
  if (!heat) {
    return (
      <p class="legend" role="status">
        {say("waiting")}
      </p>
    );
  }
  const [rows, columns] = [heat.grid.rows.length, heat.grid.columns.length], bare = Math.round(margin(heat.grid));
  return (
    <>
      <p class="legend" role="status">
        <span>{heat.kind === "drop" ? say("lower by", { value: figures(heat.high) }) : say("not moved")}</span>
        <i class="ramp" style={{ background: ramp(heat.kind === "drop" ? "change" : "answer") }} />
        <span>{heat.kind === "drop" ? say("higher by", { value: figures(heat.high) }) : say("moved", { value: figures(heat.high) })}</span>
        <small>{say(heat.finer ? "places finer" : "places", { rows, columns })}</small>
      </p>
      {bare > 0 && <p class="note">{say("map margin", { pixels: bare })}</p>}
      {"neighbour_distance" in heat.answer && <p class="note">{say("distance note", { value: figures(heat.answer.neighbour_distance) })}</p>}
      {"commands" in heat.answer && <CopyCommands commands={heat.answer.commands} />}
    </>
  );
}
