// The photograph with a patch that follows mouse, finger or arrow keys, and a map laid over it.
import { useEffect, useRef, useState } from "preact/hooks";
import { drawCells, type Grid } from "../heat";
import { corner, covered, firstSide, moved, within, type FreePatch, type Size } from "./free_patch";
import { say } from "./language";
import { usePictureClass } from "./parts";
import { useFileAddress } from "./server";

/** A map as it is laid over the photograph. */
export interface Overlay {
  grid: Grid;
  ink: (row: number, column: number) => string;
  strength: number; // how much of the photograph it covers, 0 to 1
}

interface StageSettings {
  name: string;
  size: Size;
  patch: FreePatch | null;
  side?: [number, number];
  fill: string;
  heat: Overlay | null;
  move: (patch: FreePatch | null) => void;
  hover?: (patch: FreePatch | null) => void; // a mouse that passes over it: null where it has left
}

/** What pointer and keys do with the patch. */
function handlers({ size, patch, side, move, hover }: Pick<StageSettings, "size" | "patch" | "side" | "move" | "hover">) {
  const [height, width] = size, [high, wide] = side ?? [firstSide(size), firstSide(size)];
  const follow = (event: PointerEvent) => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const y = ((event.clientY - box.top) / box.height) * height, x = ((event.clientX - box.left) / box.width) * width;
    const passes = event.pointerType === "mouse" && event.buttons === 0 && hover !== undefined;
    (passes ? hover : move)(within({ y, x, height: high, width: wide }, size));
  };
  const leave = (event: PointerEvent) => {
    if (event.pointerType === "mouse") hover?.(null);
  };
  const start = (event: PointerEvent) => {
    (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
    follow(event);
  };
  const press = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      move(null);
      return;
    }
    const now = patch ?? { y: height / 2, x: width / 2, height: high, width: wide };
    const next = moved(now, event.key, event.shiftKey);
    if (!next) return;
    event.preventDefault(); // the page must not scroll
    move(within(patch ? next : now, size));
  };
  return { onPointerDown: start, onPointerMove: follow, onPointerLeave: leave, onKeyDown: press };
}

export function PatchStage({ name, size, patch, side, fill, heat, move, hover }: StageSettings) {
  const [height, width] = size;
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    if (canvas.current && heat) drawCells(canvas.current, heat.grid, heat.ink);
  }, [heat?.grid, heat?.ink]);
  const [mean, setMean] = useState("");
  const fileAddress = useFileAddress(), stageClass = usePictureClass("stage");
  const cover = patch && covered(patch, size);
  const share = (value: number) => `${100 * value}%`;
  return (
    <div
      class={stageClass}
      style={{ aspectRatio: `${width} / ${height}` }}
      tabIndex={side ? 0 : -1}
      role={side ? "application" : "img"}
      aria-label={side ? say("stage keys") : name}
      aria-describedby={side ? "patch-place" : undefined}
      {...(side ? handlers({ size, patch, side, move, ...(hover ? { hover } : {}) }) : {})}
    >
      <img
        src={fileAddress(`images/${encodeURIComponent(name)}/picture.png`)}
        alt=""
        draggable={false}
        style={heat ? { filter: `grayscale(${heat.strength})` } : {}}
        onLoad={(event) => side && setMean(meanColour(event.currentTarget))}
      />
      {heat && <canvas ref={canvas} class="heat" style={{ opacity: heat.strength }} aria-hidden="true" />}
      {cover && (
        <i
          class={`patch filled-${fill}`}
          style={{ top: share(cover.top), left: share(cover.left), height: share(cover.height), width: share(cover.width), background: fill === "mean" ? mean : "" }}
        />
      )}
      {side && (
        <span id="patch-place" class="unseen" aria-live="polite">
          {patch ? say("patch place", { ...corner(patch), height: patch.height, width: patch.width }) : say("nothing covered")}
        </span>
      )}
    </div>
  );
}

/** The mean colour of a picture, as CSS. */
function meanColour(picture: HTMLImageElement): string {
  const canvas = document.createElement("canvas");
  canvas.width = picture.naturalWidth;
  canvas.height = picture.naturalHeight;
  const pen = canvas.getContext("2d");
  if (!pen || !canvas.width || !canvas.height) return "";
  pen.drawImage(picture, 0, 0);
  const { data } = pen.getImageData(0, 0, canvas.width, canvas.height), sums = [0, 0, 0];
  for (let at = 0; at < data.length; at += 4) for (let part = 0; part < 3; part++) sums[part] = (sums[part] ?? 0) + (data[at + part] ?? 0);
  return `rgb(${sums.map((sum) => Math.round((4 * sum) / data.length)).join(" ")})`;
}
