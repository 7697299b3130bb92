// The picture of a unit as it grows: from noise or from a photograph, frame by frame.
import { useEffect, useRef, useState } from "preact/hooks";
import { change, type Settings } from "./address";
import { Curve } from "./curve";
import { useClassTitle, useSession } from "./explored";
import { figures, number, percent, say, sayName } from "./language";
import { Figure, Picture, Ranking, Select, TextField, Trouble, usePictureClass } from "./parts";
import type { OptimizationFrame, OptimizationQuestion, Problem } from "./schema";
import { events, forget, isReplaced, problemOf, useLink, useNetwork } from "./server";

const FROM_IMAGE = "image:"; // how a start from an image is written, before its name
const STEPS = [32, 64, 128, 256, 512]; // that one may choose, beside what `optimize` takes
const MOST_CLASSES = 4;

const MOST_TURNS = 8; // changes of the answer that are listed, the last ones

interface Growth {
  frames: OptimizationFrame[]; // without their gradients
  gradient: string; // of the last frame that had one
  growing: boolean;
  problem: Problem | null;
}

/** The frames with one more. What noise leaves off begins again at a pattern, and so do its steps: what was before is gone then. */
export const continued = (frames: readonly OptimizationFrame[], next: OptimizationFrame): OptimizationFrame[] =>
  next.step > (frames[frames.length - 1]?.step ?? -1) ? [...frames, next] : [next];

const NOTHING: Growth = { frames: [], gradient: "", growing: false, problem: null };

/** The class that the network answers to the picture of a frame. */
const answerOf = (frame: OptimizationFrame | undefined): string => frame?.probabilities[0]?.name ?? "";

/** The positions of the frames at which the network answers another class than before. */
export const turns = (frames: readonly OptimizationFrame[]): number[] =>
  frames.map((_, position) => position).filter((position) => position > 0 && answerOf(frames[position]) !== answerOf(frames[position - 1]));

/** What is asked, as the address says it. */
function useQuestion(unit: string, settings: Settings): OptimizationQuestion {
  const session = useSession(), network = useNetwork();
  return {
    unit,
    start: settings["start"] || "noise",
    style: settings["style"] || session.styles[0] || "default",
    prior: settings["prior"] || "",
    steps: Number(settings["steps"]) || null,
    seed: Number(settings["seed"]) || 0,
    network,
  };
}

/** Has a picture grown, frame by frame; who leaves the page ends it. */
function useGrowth(question: OptimizationQuestion) {
  const [growth, setGrowth] = useState<Growth>(NOTHING);
  const controller = useRef<AbortController | null>(null);
  const grow = async () => {
    controller.current?.abort();
    const here = new AbortController();
    controller.current = here;
    setGrowth({ ...NOTHING, growing: true });
    try {
      for await (const frame of events<OptimizationFrame>("optimizations", question, here.signal)) {
        setGrowth((before) => ({
          ...before,
          frames: continued(before.frames, { ...frame, gradient: "" }),
          gradient: frame.gradient || before.gradient,
          growing: !frame.ended,
        }));
        if (frame.ended) forget();
      }
    } catch (error) {
      if (!isReplaced(error)) setGrowth((before) => ({ ...before, problem: problemOf(error) }));
    } finally {
      if (controller.current === here) setGrowth((before) => ({ ...before, growing: false }));
    }
  };
  useEffect(() => () => controller.current?.abort(), []);
  return { growth, grow: () => void grow(), stop: () => controller.current?.abort() };
}

export function LiveOptimization({ unit, settings }: { unit: string; settings: Settings }) {
  const question = useQuestion(unit, settings), { growth, grow, stop } = useGrowth(question);
  useEffect(() => {
    // "Turn it into" on the page of an image has already said what is wanted.
    if (settings["grow"] === "now") {
      change({ grow: "" });
      grow();
    }
  }, []);
  const photograph = question.start.startsWith(FROM_IMAGE) ? question.start.slice(FROM_IMAGE.length) : "";
  return (
    <Figure title={say("live")} note={say("live note")} commands={growth.frames[growth.frames.length - 1]?.commands ?? undefined} wide>
      <LiveControls question={question} growing={growth.growing} grow={grow} stop={stop} />
      {growth.problem && <Trouble problem={growth.problem} />}
      {(photograph || growth.frames.length > 0) && (
        <div class="grown">
          {photograph && (
            <figure>
              <Picture name={photograph} alt={say("start picture")} />
              <figcaption>{say("start picture")}</figcaption>
            </figure>
          )}
          {growth.frames.length > 0 && <Grown growth={growth} />}
        </div>
      )}
    </Figure>
  );
}

/** The numbers of steps that may be chosen: among them the usual one, and that of the address. */
export const stepsOffered = (usual: number, asked: number | null): number[] =>
  [...new Set([...STEPS, usual, asked ?? usual])].sort((one, other) => one - other);

interface ControlsSettings {
  question: OptimizationQuestion;
  growing: boolean;
  grow: () => void;
  stop: () => void;
}

function LiveControls({ question, growing, grow, stop }: ControlsSettings) {
  const session = useSession(), link = useLink();
  const usual = session.networks.find(({ number }) => number === question.network)?.steps[question.prior || question.style] ?? 0;
  const image = question.start.startsWith(FROM_IMAGE) ? question.start.slice(FROM_IMAGE.length) : "";
  const starts = [
    { value: "noise", text: say("start noise") },
    { value: "image", text: say("start image") },
  ];
  return (
    <div class="controls">
      <Select name={say("start")} value={image || question.start.startsWith("image") ? "image" : "noise"} choices={starts} choose={(value) => change({ start: value === "image" ? `image:${image || 0}` : "" })} />
      {question.start.startsWith("image") && (
        <label class="control">
          <span>{say("image number")}</span>
          <TextField type="text" size={8} value={image} choose={(name) => change({ start: `image:${name}` })} />
          <a class="thumbnail" href={link("image", image)}>
            <Picture name={image} alt={say("start picture")} />
          </a>
        </label>
      )}
      {session.styles.length > 1 && (
        <Select name={say("style")} value={question.style} choices={session.styles.map((value) => ({ value, text: sayName("style", value) }))} choose={(style) => change({ style })} />
      )}
      {session.priors.length > 0 && (
        <Select
          name={say("prior")}
          value={question.prior}
          choices={[{ value: "", text: say("prior none") }, ...session.priors.filter((each) => each !== "").map((value) => ({ value, text: sayName("prior", value) }))]}
          choose={(prior) => change({ prior })}
        />
      )}
      <Select
        name={say("steps")}
        value={String(question.steps ?? usual)}
        choices={stepsOffered(usual, question.steps).map((steps) => ({ value: String(steps), text: steps === usual ? say("usual steps", { steps }) : number(steps) }))}
        choose={(steps) => change({ steps: Number(steps) === usual ? "" : steps })}
      />
      <label class="control">
        <span>{say("seed")}</span>
        <TextField type="number" min={0} max={9999} value={String(question.seed)} choose={(seed) => change({ seed })} />
      </label>
      <button type="button" class="primary" onClick={growing ? stop : grow}>
        {say(growing ? "stop" : "grow")}
      </button>
    </div>
  );
}

/** The picture as it is now or, with the slider, as it was, and what the network answered to it. */
function Grown({ growth: { frames, gradient, growing } }: { growth: Growth }) {
  const title = useClassTitle(), pictureClass = usePictureClass("growing");
  const [looked, look] = useState<number | null>(null); // the position of a frame that is past
  const last = frames.length - 1, position = Math.min(looked ?? last, last);
  const frame = frames[position] as OptimizationFrame;
  const lookAt = (chosen: number) => look(chosen >= last ? null : chosen);
  const state = looked !== null ? "step" : frame.ended ? (frame.key ? "ended kept" : "ended") : growing ? "step" : "stopped";
  return (
    <>
      <figure class={pictureClass}>
        <img class="growing" src={frame.picture} alt={say("growing alt", { step: frame.step })} data-step={frame.step} data-ended={frame.ended ? "yes" : "no"} />
        <figcaption>{say(state, { step: frame.step, steps: frame.steps })}</figcaption>
        {last > 0 && (
          <label class="control wide">
            <span>{say("look back")}</span>
            <input type="range" min={0} max={last} value={position} aria-valuetext={say("step", { step: frame.step, steps: frame.steps })} onInput={(event) => lookAt(Number(event.currentTarget.value))} />
          </label>
        )}
      </figure>
      {gradient && looked === null && (
        <figure class={pictureClass}>
          <img src={gradient} alt="" />
          <figcaption>{say("gradient")}</figcaption>
        </figure>
      )}
      <div>
        <p class="large">
          {figures(frame.activation)} <small>{say("activation")}</small>
        </p>
        {last > 0 && <Curve points={frames.map(({ step, activation }) => [step, activation])} width={frame.steps} label={say("activation curve")} mark={frame.step} />}
        <Ranking rows={frame.probabilities.slice(0, MOST_CLASSES).map(({ name, probability }) => ({ label: title(name), share: probability, value: percent(probability) }))} />
        <Turns frames={frames} look={lookAt} />
      </div>
    </>
  );
}

/** The steps at which the answer changed, each of which brings its picture back. */
function Turns({ frames, look }: { frames: OptimizationFrame[]; look: (position: number) => void }) {
  const title = useClassTitle(), changed = turns(frames).slice(-MOST_TURNS);
  if (changed.length === 0) return null;
  return (
    <p class="turns">
      <small>{say("turned")}</small>
      {changed.map((position) => (
        <button type="button" class="quiet" onClick={() => look(position)}>
          {say("turned at", { step: frames[position]?.step ?? 0, class: title(answerOf(frames[position])) })}
        </button>
      ))}
    </p>
  );
}
