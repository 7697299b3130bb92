// The picture of a unit as it grows: from noise or from a photograph, frame by frame.
import { useEffect, useRef, useState } from "preact/hooks";
import { change, link, type Settings } from "./address";
import { Curve } from "./curve";
import { useClassTitle, useSession } from "./explored";
import { figures, number, percent, say, sayName } from "./language";
import { Figure, Picture, Ranking, Select, Trouble } from "./parts";
import type { OptimizationFrame, OptimizationQuestion, Problem } from "./schema";
import { events, forget, isReplaced, useNetwork, problemOf } from "./server";

const STEPS = ["32", "64", "128", "256", "512"];
const MOST_CLASSES = 4;

interface Growth {
  frame: OptimizationFrame | null;
  gradient: string; // of the last frame that had one
  curve: number[][]; // step and activation
  growing: boolean;
  problem: Problem | null;
}

const NOTHING: Growth = { frame: null, gradient: "", curve: [], growing: false, problem: null };

export function LiveOptimization({ unit, settings }: { unit: string; settings: Settings }) {
  const session = useSession(), network = useNetwork();
  const [growth, setGrowth] = useState<Growth>(NOTHING);
  const controller = useRef<AbortController | null>(null);
  const top = useRef<HTMLDivElement>(null);
  const begins = settings["start"] !== undefined; // whoever comes from an image wants to see it change
  useEffect(() => {
    const timer = window.setTimeout(() => begins && top.current?.scrollIntoView({ block: "start" }));
    return () => {
      window.clearTimeout(timer);
      controller.current?.abort();
    };
  }, []);
  const question: OptimizationQuestion = {
    unit,
    start: settings["start"] || "noise",
    style: settings["style"] || session.styles[0] || "default",
    prior: settings["prior"] || "",
    steps: Number(settings["steps"]) || 128,
    seed: Number(settings["seed"]) || 0,
    network,
  };
  const grow = async () => {
    controller.current?.abort();
    const here = new AbortController();
    controller.current = here;
    setGrowth({ ...NOTHING, growing: true });
    try {
      for await (const frame of events<OptimizationFrame>("optimizations", question, here.signal)) {
        setGrowth((before) => ({
          ...before,
          frame,
          gradient: frame.gradient || before.gradient,
          curve: [...before.curve, [frame.step, frame.activation]],
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
  return (
    <Figure title={say("live")} note={say("live note")} commands={growth.frame?.commands ?? undefined} wide>
      <div ref={top} class="anchor" />
      <LiveControls question={question} growing={growth.growing} grow={() => void grow()} stop={() => controller.current?.abort()} />
      {growth.problem && <Trouble problem={growth.problem} />}
      {growth.frame && <Grown growth={growth} frame={growth.frame} steps={question.steps} />}
    </Figure>
  );
}

interface ControlsSettings {
  question: OptimizationQuestion;
  growing: boolean;
  grow: () => void;
  stop: () => void;
}

function LiveControls({ question, growing, grow, stop }: ControlsSettings) {
  const session = useSession();
  const image = question.start.startsWith("image:") ? question.start.slice("image:".length) : "";
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
          <input type="text" size={8} value={image} onChange={(event) => change({ start: `image:${event.currentTarget.value.trim()}` })} />
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
      <Select name={say("steps")} value={String(question.steps)} choices={STEPS.map((value) => ({ value, text: number(Number(value)) }))} choose={(steps) => change({ steps })} />
      <label class="control">
        <span>{say("seed")}</span>
        <input type="number" min={0} max={9999} value={question.seed} onChange={(event) => change({ seed: event.currentTarget.value })} />
      </label>
      <button type="button" class="primary" onClick={growing ? stop : grow}>
        {say(growing ? "stop" : "grow")}
      </button>
    </div>
  );
}

function Grown({ growth, frame, steps }: { growth: Growth; frame: OptimizationFrame; steps: number }) {
  const title = useClassTitle();
  return (
    <div class="grown">
      <figure>
        <img class="growing" src={frame.picture} alt={say("growing alt", { step: frame.step })} data-step={frame.step} data-ended={frame.ended ? "yes" : "no"} />
        <figcaption>{say(frame.ended ? (frame.key ? "ended kept" : "ended") : growth.growing ? "step" : "stopped", { step: frame.step, steps: frame.steps })}</figcaption>
      </figure>
      {growth.gradient && (
        <figure>
          <img src={growth.gradient} alt="" />
          <figcaption>{say("gradient")}</figcaption>
        </figure>
      )}
      <div>
        <p class="large">
          {figures(frame.activation)} <small>{say("activation")}</small>
        </p>
        <Curve points={growth.curve} width={steps} label={say("activation curve")} />
        <Ranking rows={frame.probabilities.slice(0, MOST_CLASSES).map(({ name, probability }) => ({ label: title(name), share: probability, value: percent(probability) }))} />
      </div>
    </div>
  );
}
