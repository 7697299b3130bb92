// A curve over steps, as it grows.
import { figures } from "./language";

const HEIGHT = 90, WIDTH = 320, EDGE = 4;

export function Curve({ points, width, label }: { points: number[][]; width: number; label: string }) {
  const values = points.map(([, value]) => value ?? 0);
  const low = Math.min(0, ...values), high = Math.max(...values, low + 1e-9);
  const line = points.map(([step = 0, value = 0]) => {
    const x = EDGE + (step / Math.max(width, 1)) * (WIDTH - 2 * EDGE), y = EDGE + (1 - (value - low) / (high - low)) * (HEIGHT - 2 * EDGE);
    return `${x.toFixed(1)},${y.toFixed(1)}`;
  });
  return (
    <svg class="curve" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={`${label}: ${figures(values[values.length - 1] ?? 0)}`}>
      <line x1={EDGE} x2={WIDTH - EDGE} y1={HEIGHT - EDGE} y2={HEIGHT - EDGE} />
      <polyline points={line.join(" ")} />
    </svg>
  );
}
