// Pointer, wheel and touch on a map: what is dragged, pinched, clicked, or drawn around.
import type { Point } from "./lasso";

export type Tool = "move" | "lasso" | "rectangle";

export interface Gestures {
  tool: () => Tool;
  point: (point: Point | null) => void; // null where the pointer is gone or drags
  click: (point: Point) => void;
  drag: (dx: number, dy: number) => void;
  zoom: (factor: number, x: number, y: number) => void;
  draw: (points: readonly Point[], ended: boolean) => void;
}

const STILL = 4; // pixels that a click may move

/** Where a canvas is touched, and what that comes to. */
class Touches {
  private readonly down = new Map<number, Point>();
  private began: Point | null = null; // where a click would be; null once it has moved
  private apart = 0; // of two fingers, pixels
  private drawn: Point[] | null = null;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly gestures: Gestures,
  ) {}

  private pointOf(event: MouseEvent): Point {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  readonly press = (event: PointerEvent) => {
    this.canvas.setPointerCapture(event.pointerId);
    const point = this.pointOf(event);
    this.down.set(event.pointerId, point);
    const alone = this.down.size === 1;
    this.began = alone ? point : null;
    // Shift draws around images whatever the tool is.
    this.drawn = alone && (this.gestures.tool() !== "move" || event.shiftKey) ? [point] : null;
    this.apart = 0;
  };

  readonly move = (event: PointerEvent) => {
    const [x, y] = this.pointOf(event), before = this.down.get(event.pointerId);
    if (!before) {
      if (event.pointerType !== "touch") this.gestures.point([x, y]);
      return;
    }
    this.down.set(event.pointerId, [x, y]);
    if (this.began && Math.hypot(x - this.began[0], y - this.began[1]) > STILL) {
      this.began = null;
      this.gestures.point(null);
    }
    if (this.down.size === 2) this.pinch();
    else if (!this.began && this.drawn) {
      this.drawn.push([x, y]);
      this.gestures.draw(this.drawn, false);
    } else if (!this.began && this.down.size === 1) this.gestures.drag(x - before[0], y - before[1]);
  };

  private pinch(): void {
    const [one, other] = [...this.down.values()];
    if (!one || !other) return;
    const now = Math.hypot(one[0] - other[0], one[1] - other[1]);
    if (this.apart) this.gestures.zoom(now / this.apart, (one[0] + other[0]) / 2, (one[1] + other[1]) / 2);
    this.apart = now;
  }

  readonly release = (event: PointerEvent) => {
    if (this.began && event.type === "pointerup") this.gestures.click(this.pointOf(event));
    else if (this.drawn && this.down.size === 1) this.gestures.draw(event.type === "pointerup" ? this.drawn : [], true);
    this.down.delete(event.pointerId);
    this.began = this.drawn = null;
    this.apart = 0;
  };

  readonly leave = () => this.gestures.point(null);

  readonly wheel = (event: WheelEvent) => {
    event.preventDefault();
    this.gestures.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), ...this.pointOf(event));
  };
}

/** Listens to a canvas; gives what ends it. */
export function listen(canvas: HTMLCanvasElement, gestures: Gestures): () => void {
  const touches = new Touches(canvas, gestures), ended = new AbortController(), { signal } = ended;
  canvas.addEventListener("pointerdown", touches.press, { signal });
  canvas.addEventListener("pointermove", touches.move, { signal });
  canvas.addEventListener("pointerup", touches.release, { signal });
  canvas.addEventListener("pointercancel", touches.release, { signal });
  canvas.addEventListener("pointerleave", touches.leave, { signal });
  canvas.addEventListener("wheel", touches.wheel, { signal, passive: false });
  return () => ended.abort();
}
