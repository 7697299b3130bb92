// A curve over steps, as it grows.
import { figures, number, say } from "./language";

const HEIGHT = 90, WIDTH = 320, EDGE = 4;

interface CurveSettings {
  points: number[][]; // step and value
  width: number; // steps that there will be
  label: string;
  mark: number; // the step that is looked at
}

export function Curve({ points, width, label, mark }: CurveSettings) {
  const values = points.map(([, value]) => value ?? 0);
  const low = Math.min(0, ...values), high = Math.max(...values, low + 1e-9);
  const place = (step: number, value: number) => ({
    x: EDGE + (step / Math.max(width, 1)) * (WIDTH - 2 * EDGE),
    y: EDGE + (1 - (value - low) / (high - low)) * (HEIGHT - 2 * EDGE),
  });
  const line = points.map(([step = 0, value = 0]) => place(step, value)).map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`);
  const marked = points.find(([step]) => step === mark), dot = place(mark, marked?.[1] ?? 0);
  return (
    <div class="curve">
      <p class="axis-up" aria-hidden="true">
        <span>{figures(high)}</span>
        <span>{figures(low)}</span>
      </p>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`${label}: ${figures(marked?.[1] ?? values[values.length - 1] ?? 0)}`}>
        <line x1={EDGE} x2={WIDTH - EDGE} y1={HEIGHT - EDGE} y2={HEIGHT - EDGE} />
        <polyline points={line.join(" ")} />
        {marked && <circle cx={dot.x} cy={dot.y} r={4} />}
      </svg>
      <p class="axis-along" aria-hidden="true">
        <span>0</span>
        <span>{say("steps")}</span>
        <span>{number(width)}</span>
      </p>
    </div>
  );
}
