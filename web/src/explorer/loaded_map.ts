// The map of a network as it is drawn: what the server says of it, and its points.
import { useEffect, useState } from "preact/hooks";
import type { MapData } from "../map/data";
import type { MapPage, Problem } from "./schema";
import { bytes, problemOf, useAnswer } from "./server";

export interface LoadedMap {
  network: number;
  page: MapPage;
  data: MapData;
}

interface Loading {
  map: LoadedMap | null;
  problem: Problem | null;
}

/** Loads the map of a network; null loads none. */
export function useLoadedMap(network: number | null): Loading {
  const { value: page, problem } = useAnswer<MapPage>(network === null ? null : "map", network ?? 0);
  const [loaded, setLoaded] = useState<Loading>({ map: null, problem: null });
  useEffect(() => {
    if (!page || network === null) return;
    const controller = new AbortController();
    load(page, network, controller.signal).then(
      (data) => setLoaded({ map: { network, page, data }, problem: null }),
      (error: unknown) => !controller.signal.aborted && setLoaded({ map: null, problem: problemOf(error) }),
    );
    return () => controller.abort();
  }, [page, network]);
  return problem ? { map: null, problem } : loaded;
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
