// The map of a network as it is drawn: what the server says of it, and its points.
import { useEffect, useState } from "preact/hooks";
import type { MapData } from "../map/data";
import { isExported } from "./exported";
import type { MakingProgress, MapPage, Problem } from "./schema";
import { bytes, events, get, problemOf } from "./server";

export interface LoadedMap {
  network: number;
  page: MapPage;
  data: MapData;
}

export interface Loading {
  map: LoadedMap | null;
  step: MakingProgress | null; // how far a map has come that is being made
  stopped: boolean;
  problem: Problem | null;
  begin: () => void;
  stop: () => void;
}

/** Loads the map of a network, which is made where the store has none; null loads none. */
export function useLoadedMap(network: number | null): Loading {
  const [map, setMap] = useState<LoadedMap | null>(null);
  const [step, setStep] = useState<MakingProgress | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [stopped, setStopped] = useState(false);
  useEffect(() => {
    if (network === null || stopped) return;
    const controller = new AbortController();
    const work = async () => {
      // An export has the map or it has none; the server tells how far it has come with one.
      const steps = isExported() ? [] : events<MakingProgress>("map/make", {}, controller.signal, network);
      for await (const made of steps) if (!controller.signal.aborted) setStep(made);
      const page = await get<MapPage>("map", controller.signal, network);
      const data = await load(page, network, controller.signal);
      setMap({ network, page, data });
    };
    setProblem(null);
    work().catch((error: unknown) => !controller.signal.aborted && setProblem(problemOf(error)));
    return () => {
      controller.abort();
      setMap(null);
      setStep(null);
    };
  }, [network, stopped]);
  return { map, step, stopped, problem, begin: () => setStopped(false), stop: () => setStopped(true) };
}

async function load(page: MapPage, network: number, signal: AbortSignal): Promise<MapData> {
  const [points, neighbours] = await Promise.all([bytes("map/points", signal, network), bytes("map/neighbours", signal, network)]);
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
