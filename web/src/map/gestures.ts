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

/** Listens to a canvas; gives what ends it. */
export function listen(canvas: HTMLCanvasElement, gestures: Gestures): () => void {
  const down = new Map<number, Point>();
  let began: Point | null = null, apart = 0;
  let drawn: Point[] | null = null;
  const pointOf = (event: MouseEvent): Point => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const press = (event: PointerEvent) => {
    canvas.setPointerCapture(event.pointerId);
    down.set(event.pointerId, pointOf(event));
    began = down.size === 1 ? pointOf(event) : null;
    // Shift draws around images whatever the tool is.
    drawn = down.size === 1 && (gestures.tool() !== "move" || event.shiftKey) ? [pointOf(event)] : null;
    apart = 0;
  };
  const move = (event: PointerEvent) => {
    const [x, y] = pointOf(event), before = down.get(event.pointerId);
    if (!before) {
      if (event.pointerType !== "touch") gestures.point([x, y]);
      return;
    }
    down.set(event.pointerId, [x, y]);
    if (began && Math.hypot(x - began[0], y - began[1]) > STILL) {
      began = null;
      gestures.point(null);
    }
    if (down.size === 2) {
      const [one = before, other = before] = [...down.values()];
      const now = Math.hypot(one[0] - other[0], one[1] - other[1]);
      if (apart) gestures.zoom(now / apart, (one[0] + other[0]) / 2, (one[1] + other[1]) / 2);
      apart = now;
    } else if (!began && drawn) {
      drawn.push([x, y]);
      gestures.draw(drawn, false);
    } else if (!began && down.size === 1) gestures.drag(x - before[0], y - before[1]);
  };
  const release = (event: PointerEvent) => {
    if (began && event.type === "pointerup") gestures.click(pointOf(event));
    else if (drawn && down.size === 1) gestures.draw(event.type === "pointerup" ? drawn : [], true);
    down.delete(event.pointerId);
    began = drawn = null;
    apart = 0;
  };
  const leave = () => gestures.point(null);
  const wheel = (event: WheelEvent) => {
    event.preventDefault();
    gestures.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), ...pointOf(event));
  };
  canvas.addEventListener("pointerdown", press);
  canvas.addEventListener("pointermove", move);
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("pointerleave", leave);
  canvas.addEventListener("wheel", wheel, { passive: false });
  return () => {
    canvas.removeEventListener("pointerdown", press);
    canvas.removeEventListener("pointermove", move);
    canvas.removeEventListener("pointerup", release);
    canvas.removeEventListener("pointercancel", release);
    canvas.removeEventListener("pointerleave", leave);
    canvas.removeEventListener("wheel", wheel);
  };
}
