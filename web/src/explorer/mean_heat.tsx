// Where covering matters to the network on average over chosen images.
import { useEffect, useRef, useState } from "preact/hooks";
import { middles } from "../answers";
import { changeColour, drawCells } from "../heat";
import { useSession } from "./explored";
import { firstSide, type Size } from "./free_patch";
import { figures, say } from "./language";
import { viewName } from "./newest";
import { CopyCommands, Trouble, Waiting } from "./parts";
import type { MeanHeatAnswer, MeanHeatQuestion, Problem } from "./schema";
import { isReplaced, post, problemOf, useNetwork } from "./server";


export function MeanHeat({ images }: { images: number[] }) {
  const session = useSession(), network = useNetwork();
  const [heat, setHeat] = useState<MeanHeatAnswer | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [waits, setWaits] = useState(false);
  const view = useRef(viewName("selection"));
  const controller = useRef<AbortController | null>(null);
  const key = images.join(",");
  useEffect(() => {
    setHeat(null);
    setProblem(null);
    setWaits(false);
    return () => controller.current?.abort();
  }, [key, network]);
  const ask = async () => {
    const here = new AbortController();
    controller.current = here;
    setWaits(true);
    const patch = firstSide(session.size as unknown as Size), fill = session.fills.includes("mean") ? "mean" : (session.fills[0] ?? "");
    const question: MeanHeatQuestion = { images, patch, stride: Math.max(1, Math.round(patch / 2)), fill, view: view.current, network };
    try {
      setHeat(await post<MeanHeatAnswer>("selection/heat", question, here.signal));
    } catch (error) {
      if (!isReplaced(error)) setProblem(problemOf(error));
    } finally {
      setWaits(false);
    }
  };
  return (
    <>
      {!heat && !waits && (
        <button type="button" onClick={() => void ask()}>
          {say("mean map")}
        </button>
      )}
      {waits && (
        <>
          <Waiting text={say("mean map waiting")} />
          <button type="button" onClick={() => controller.current?.abort()}>
            {say("stop")}
          </button>
        </>
      )}
      {problem && <Trouble problem={problem} />}
      {heat && <Drawn heat={heat} />}
    </>
  );
}

function Drawn({ heat }: { heat: MeanHeatAnswer }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [height = 1, width = 1] = heat.size, [high = 1, wide = 1] = heat.patch;
  const full = Math.max(...heat.mean.flat().map(Math.abs), Number.MIN_VALUE);
  useEffect(() => {
    const grid = { size: [height, width] as [number, number], rows: middles(heat.top, high, height), columns: middles(heat.left, wide, width) };
    if (canvas.current) drawCells(canvas.current, grid, (row, column) => changeColour(-(heat.mean[row]?.[column] ?? 0) / full));
  }, [heat]);
  return (
    <figure>
      <canvas ref={canvas} class="mean-heat" role="img" aria-label={say("mean map note", { count: heat.count, full: figures(full) })} />
      <figcaption>{say("mean map note", { count: heat.count, full: figures(full) })}</figcaption>
      <CopyCommands commands={heat.commands} />
    </figure>
  );
}
