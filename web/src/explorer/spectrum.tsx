// All answers of a unit as a histogram; an interval that is brushed over it shows the images whose answers lie there.
import { useRef, useState } from "preact/hooks";
import type { Settings } from "./address";
import { isExported } from "./exported";
import { figures, number, say } from "./language";
import { Figure, Trouble } from "./parts";
import type { Histogram, ImagesBetween } from "./schema";
import { useAnswer } from "./server";
import { Answered } from "./unit_page";

const AT_FIRST = 24; // images of an interval that are shown before one asks for more
const HEIGHT = 120, WIDTH = 600; // of the drawing, which is stretched to its place

interface SpectrumSettings {
  unit: string;
  histogram: Histogram;
  settings: Settings;
  change: (settings: Settings) => void;
}

/** The interval of an address, in order and within the edges; null where there is none. */
export function readInterval(settings: Settings, edges: readonly number[]): [number, number] | null {
  const low = Number(settings["low"] ?? NaN), high = Number(settings["high"] ?? NaN);
  const first = edges[0] ?? 0, last = edges[edges.length - 1] ?? 0;
  if (!Number.isFinite(low) || !Number.isFinite(high)) return null;
  return [Math.max(Math.min(low, high), first), Math.min(Math.max(low, high), last)];
}

export function Spectrum({ unit, histogram, settings, change }: SpectrumSettings) {
  const { edges, counts } = histogram;
  const first = edges[0] ?? 0, last = edges[edges.length - 1] ?? 1;
  const kept = readInterval(settings, edges);
  const [brushed, setBrushed] = useState<[number, number] | null>(null);
  const [all, setAll] = useState(false);
  const began = useRef(0);
  const interval = brushed ?? kept;
  const path = kept && !isExported() ? `between/${encodeURIComponent(unit)}?low=${kept[0]}&high=${kept[1]}` : null;
  const { value: between, problem } = useAnswer<ImagesBetween>(path);
  const valueAt = (event: PointerEvent) => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    return first + Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1) * (last - first);
  };
  const write = ([low, high]: [number, number]) => change({ low: String(Number(low.toPrecision(6))), high: String(Number(high.toPrecision(6))) });
  const start = (event: PointerEvent) => {
    (event.currentTarget as Element).setPointerCapture(event.pointerId);
    began.current = valueAt(event);
    setBrushed([began.current, began.current]);
  };
  const drag = (event: PointerEvent) => {
    if (!brushed) return;
    const value = valueAt(event);
    setBrushed([Math.min(began.current, value), Math.max(began.current, value)]);
  };
  const end = () => {
    if (!brushed) return;
    // A click chooses the bin that it hits.
    const click = brushed[1] - brushed[0] < (last - first) / 200;
    const bin = counts.findIndex((_, index) => (edges[index + 1] ?? last) >= brushed[0]);
    write(click ? [edges[bin] ?? first, edges[bin + 1] ?? last] : brushed);
    setBrushed(null);
  };
  return (
    <Figure title={say("spectrum")} {...(isExported() ? {} : { note: say("spectrum note") })} wide>
      <Bars histogram={histogram} interval={interval} start={start} drag={drag} end={end} />
      <div class="controls" hidden={isExported()}>
        <Limit name={say("from")} value={kept?.[0] ?? null} at={first} edges={edges} choose={(low) => write([low, kept?.[1] ?? last])} />
        <Limit name={say("to")} value={kept?.[1] ?? null} at={last} edges={edges} choose={(high) => write([kept?.[0] ?? first, high])} />
        {kept && (
          <button type="button" onClick={() => change({ low: "", high: "" })}>
            {say("no interval")}
          </button>
        )}
        {between && <span role="status">{say("images between", { total: between.total })}</span>}
      </div>
      {problem && <Trouble problem={problem} />}
      {between && <Answered images={all ? between.images : between.images.slice(0, AT_FIRST)} />}
      {between && !all && between.images.length > AT_FIRST && (
        <p>
          <button type="button" onClick={() => setAll(true)}>
            {say("more")}
          </button>
        </p>
      )}
    </Figure>
  );
}

/** A limit of the interval as a slider, for those who use the keyboard. */
function Limit({ name, value, at, edges, choose }: LimitSettings) {
  const first = edges[0] ?? 0, last = edges[edges.length - 1] ?? 1;
  return (
    <label class="control">
      <span>{name}</span>
      <input
        type="range"
        min={first}
        max={last}
        step={(last - first) / 200}
        value={value ?? at}
        aria-valuetext={value === null ? say("no interval") : figures(value)}
        onChange={(event) => choose(Number(event.currentTarget.value))}
      />
      <output>{value === null ? "" : figures(value)}</output>
    </label>
  );
}

interface LimitSettings {
  name: string;
  value: number | null;
  at: number; // where the slider stands without an interval
  edges: number[];
  choose: (value: number) => void;
}

interface BarsSettings {
  histogram: Histogram;
  interval: [number, number] | null;
  start: (event: PointerEvent) => void;
  drag: (event: PointerEvent) => void;
  end: () => void;
}

function Bars({ histogram: { edges, counts }, interval, start, drag, end }: BarsSettings) {
  const first = edges[0] ?? 0, last = edges[edges.length - 1] ?? 1, most = Math.max(...counts, 1);
  const x = (value: number) => ((value - first) / (last - first || 1)) * WIDTH;
  // Where most images are in one bin, the others are still seen.
  const high = (count: number) => Math.sqrt(count / most) * HEIGHT;
  return (
    <div class="spectrum">
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={say("spectrum alt", { low: figures(first), high: figures(last) })}
        onPointerDown={start}
        onPointerMove={drag}
        onPointerUp={end}
        onPointerCancel={end}
      >
        {counts.map((count, index) => {
          const left = x(edges[index] ?? first), right = x(edges[index + 1] ?? last);
          const inside = interval && (edges[index + 1] ?? last) > interval[0] && (edges[index] ?? first) < interval[1];
          return (
            <rect class={inside ? "chosen" : ""} x={left + 0.5} width={Math.max(0.5, right - left - 1)} y={HEIGHT - high(count)} height={high(count)}>
              <title>{say("images count between", { count, low: figures(edges[index] ?? first), high: figures(edges[index + 1] ?? last) })}</title>
            </rect>
          );
        })}
        {interval && <rect class="brush" x={x(interval[0])} width={Math.max(1, x(interval[1]) - x(interval[0]))} y={0} height={HEIGHT} />}
      </svg>
      <p class="axis">
        <span>{figures(first)}</span>
        <span>{say("answer of the unit")}</span>
        <span>{figures(last)}</span>
      </p>
      <p class="note">{say("spectrum scale", { most: number(most) })}</p>
    </div>
  );
}
