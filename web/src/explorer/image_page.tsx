// The page of an image: the patch that is free to move, what the network answers under it, and what is near the image.
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { ActivationMapsOf } from "./activation_maps";
import { change, go, link, type Settings } from "./address";
import { AnswerBars } from "./answer_bars";
import { useClassTitle, useSession } from "./explored";
import { firstSide, patchSettings, readPatch, type FreePatch, type Size } from "./free_patch";
import { HeatControls, keptHeat, Legend, useHeat, useKeptHeats } from "./heat_map";
import { entitle, number, say, sayName } from "./language";
import { Newest, viewName } from "./newest";
import { AnswersOf, CopyCommands, DamagedRecords, Figure, ImageLink, Select, Trouble, useImageText, Waiting } from "./parts";
import { PatchLine } from "./patch_line";
import { PatchStage } from "./patch_stage";
import type { HeatAnswer, ImagePage as Message, PatchAnswer, PatchQuestion, Problem } from "./schema";
import { forget, useNetwork, post, problemOf, useAnswer } from "./server";

const USUAL = "mean"; // how everything else in the package fills a patch
const LATER = 200; // milliseconds without a movement after which the address is written

export function ImagePage({ name, settings }: { name: string; settings: Settings }) {
  const { value: page, problem } = useAnswer<Message>(`images/${encodeURIComponent(name)}`);
  const text = useImageText("page");
  const session = useSession(), shown = page?.id ?? "";
  useEffect(() => {
    if (shown) entitle(shown);
  }, [shown]);
  if (problem) return <Trouble problem={problem} />;
  if (!page) return <Waiting />;
  return (
    <>
      <header class="title">
        <h1>{page.id}</h1>
        <p class="soft">{text(page)}</p>
        <AnswersOf />
        <div class="line">
          <CopyCommands commands={page.commands} />
          <Neighbourhood page={page} />
          {!page.kept && <Keep page={page} />}
          {session.asks && <TurnInto page={page} />}
        </div>
      </header>
      {session.asks ? <LivePatch page={page} settings={settings} /> : <StillAnswers page={page} settings={settings} />}
      {session.asks && <ActivationMapsOf image={name} layer={settings["layer"] ?? ""} />}
    </>
  );
}

function Neighbourhood({ page }: { page: Message }) {
  const at = /^\d+$/.test(page.name) ? Number(page.name) : -1;
  return (
    <p class="links">
      {at > 0 && <a href={link("image", String(at - 1))}>← {say("image before")}</a>}
      {at >= 0 && at + 1 < useSession().images && <a href={link("image", String(at + 1))}>{say("image next")} →</a>}
      {page.point.length === 2 && at >= 0 && <a href={link("map", "", { image: page.name })}>{say("on the map")}</a>}
    </p>
  );
}

/** The way to a class's unit, whose picture is grown from this image. */
function TurnInto({ page }: { page: Message }) {
  const { classes } = useSession(), title = useClassTitle();
  const choices = [{ value: "", text: say("choose class") }, ...classes.map((value) => ({ value, text: title(value) }))];
  return <Select name={say("turn into")} value="" choices={choices} choose={(name) => name && go("unit", `logit:${name}`, { start: `image:${page.name}`, grow: "now" })} />;
}

/** The images that are nearest in the space of the last layer. */
function Neighbours({ page }: { page: Message }) {
  if (page.neighbours.length === 0) return null;
  return (
    <Figure title={say("neighbours")} note={say("neighbours note")}>
      <div class="images small">
        {page.neighbours.map((image) => (
          <ImageLink key={image.number} image={image}>
            <small>{number(image.distance, 2)}</small>
          </ImageLink>
        ))}
      </div>
    </Figure>
  );
}

function Keep({ page }: { page: Message }) {
  const session = useSession();
  const [problem, setProblem] = useState<Problem | null>(null);
  const [kept, setKept] = useState(false);
  if (session.read_only) return null;
  const keep = async () => {
    try {
      await post(`images/${encodeURIComponent(page.name)}/keep`, {});
      setKept(true);
      forget();
    } catch (error) {
      setProblem(problemOf(error));
    }
  };
  return (
    <>
      <button type="button" disabled={kept} onClick={() => void keep()}>
        {say(kept ? "kept" : "keep")}
      </button>
      {problem && <Trouble problem={problem} />}
    </>
  );
}

/** What is shown where no network is at hand: the probabilities as they were recorded, and the maps that the store has. */
function StillAnswers({ page, settings }: { page: Message; settings: Settings }) {
  const { classes } = useSession();
  const { maps: heats, damaged } = useKeptHeats(page), chosen = heats[Number(settings["heat"] ?? "0")] ?? heats[0];
  const heat = useMemo(() => (chosen ? keptHeat(chosen, page) : null), [chosen, page]);
  const clean = classes.map((name) => page.probabilities.find((recorded) => recorded.name === name)?.probability ?? 0);
  return (
    <div class="felt">
      <div>
        <p class="note">{say(heats.length > 0 ? "still" : "still no maps")}</p>
        <DamagedRecords records={damaged} />
        <PatchStage name={page.name} size={page.size as unknown as Size} patch={null} fill="" heat={heat} move={() => undefined} />
        {heats.length > 1 && (
          <Select
            name={say("map over")}
            value={String(heats.indexOf(chosen as HeatAnswer))}
            choices={heats.map((each, index) => ({ value: String(index), text: `${each.unit} \u00b7 ${each.patch.join(" \u00d7 ")} px \u00b7 ${sayName("fill", each.fill)}` }))}
            choose={(index) => change({ heat: index })}
          />
        )}
        {heat && <Legend heat={heat.heat} />}
      </div>
      <div>
        <div class="answers">
          <AnswerBars clean={clean} under={null} label={page.label} />
        </div>
        <Neighbours page={page} />
      </div>
    </div>
  );
}

type Ask = (patch: FreePatch) => void;

/** The answers of one network to the picture under the patch, the newest patch alone. */
function usePatchAnswers(page: Message, patch: FreePatch | null, fill: string, network: number, asking: Set<Ask>) {
  const [answer, setAnswer] = useState<PatchAnswer | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const view = useMemo(() => viewName("patch"), [network]);
  const newest = useRef<Newest<PatchQuestion, PatchAnswer> | null>(null);
  const latest = useRef("");
  const ask = (patch: FreePatch) => {
    const top = Math.round(patch.y - patch.height / 2), left = Math.round(patch.x - patch.width / 2);
    const question = { image: page.name, top, left, height: patch.height, width: patch.width, fill, view, network };
    const text = JSON.stringify(question);
    if (text !== latest.current) newest.current?.put(question);
    latest.current = text;
  };
  useLayoutEffect(() => {
    const line = new PatchLine();
    const questions = new Newest<PatchQuestion, PatchAnswer>(
      (question) => line.ask(question),
      (newest) => {
        setAnswer(newest);
        setProblem(null);
      },
      (error) => setProblem(problemOf(error)),
    );
    newest.current = questions;
    return () => {
      questions.end();
      line.end();
    };
  }, []);
  useLayoutEffect(() => {
    asking.add(ask);
    return () => void asking.delete(ask);
  });
  // What has moved the patch has asked already. This is for all else: another fill, a link, a patch that is there at first.
  useLayoutEffect(() => {
    if (patch) ask(patch);
    else latest.current = "";
  }, [page.name, patch?.y, patch?.x, patch?.height, patch?.width, fill, network]);
  return { answer: patch ? answer : null, problem };
}

function LivePatch({ page, settings }: { page: Message; settings: Settings }) {
  const session = useSession();
  const size = page.size as unknown as Size;
  const [held, hold] = useState<FreePatch | null>(() => readPatch(settings, size));
  const [passing, setPassing] = useState<FreePatch | null>(null); // under a mouse that has not clicked
  const patch = passing ?? held;
  // The networks are asked before the patch is drawn where it lies now, and answer while that is done.
  const asking = useRef(new Set<Ask>()).current;
  const ask = (patch: FreePatch | null) => patch && asking.forEach((each) => each(patch));
  const setPatch = (chosen: FreePatch | null) => {
    ask(chosen);
    setPassing(null);
    hold(chosen);
  };
  const pass = (over: FreePatch | null) => {
    ask(over);
    setPassing(over);
  };
  const kept = settings["patch"] ?? "", written = useRef(kept);
  useEffect(() => {
    // The back button, or a link: the patch goes where the address says, unless it was written from here.
    if (kept === written.current) return;
    written.current = kept;
    setPatch(readPatch(settings, size));
  }, [kept]);
  useEffect(() => {
    const timer = window.setTimeout(() => {
      const moved = patchSettings(held);
      written.current = moved["patch"] ?? "";
      change(moved);
    }, LATER);
    return () => window.clearTimeout(timer);
  }, [held]);
  const sides = readSides(settings, size);
  const fill = session.fills.find((each) => each === settings["fill"]) ?? (session.fills.includes(USUAL) ? USUAL : (session.fills[0] ?? USUAL));
  const heat = useHeat(page, settings, sides[0], fill);
  const networks = session.networks.length > 1 ? session.networks : session.networks.slice(0, 1);
  // What does not move with the patch is not drawn anew with it: its bars are waited for.
  const neighbours = useMemo(() => <Neighbours page={page} />, [page]);
  const controls = useMemo(() => <HeatControls page={page} settings={settings} heat={heat} />, [page, settings, heat]);
  const resize = (side: number) => {
    change({ side: String(side) });
    if (patch) setPatch({ ...patch, height: side, width: side });
  };
  return (
    <>
      <div class="felt">
        <div>
          <PatchStage name={page.name} size={size} patch={patch} side={sides} fill={fill} heat={heat} move={setPatch} hover={pass} />
          <div class="controls">
            <label class="control">
              <span>{say("patch side")}</span>
              <input type="range" min={1} max={Math.min(...size)} value={sides[0]} onInput={(event) => resize(Number(event.currentTarget.value))} />
              <output>{number(sides[0])} px</output>
            </label>
            <Select name={say("fill")} value={fill} choices={session.fills.map((value) => ({ value, text: sayName("fill", value) }))} choose={(chosen) => change({ fill: chosen })} />
            {held && (
              <button type="button" onClick={() => setPatch(null)}>
                {say("lift")}
              </button>
            )}
          </div>
          {controls}
        </div>
        <div>
          <div class={networks.length > 1 ? "answers two" : "answers"}>
            {networks.map((network) => (
              <NetworkAnswers key={network.number} page={page} patch={patch} fill={fill} network={network.number} asking={asking} heading={networks.length > 1 ? network.name : ""} />
            ))}
          </div>
          {neighbours}
        </div>
      </div>
    </>
  );
}

function readSides(settings: Settings, size: Size): [number, number] {
  const side = Number(settings["side"]);
  const chosen = Number.isFinite(side) && side >= 1 ? Math.min(Math.round(side), ...size) : firstSide(size);
  return [chosen, chosen];
}

interface NetworkAnswersSettings {
  page: Message;
  patch: FreePatch | null;
  fill: string;
  network: number;
  asking: Set<Ask>; // who is told where the patch goes
  heading: string;
}

/** The bars of one network: what it answers to the whole picture, and under the patch. */
function NetworkAnswers({ page, patch, fill, network, asking, heading }: NetworkAnswersSettings) {
  const { classes } = useSession();
  const around = useNetwork();
  const own = useAnswer<Message>(network === around ? null : `images/${encodeURIComponent(page.name)}`, network);
  const probabilities = (own.value ?? page).probabilities;
  const clean = useMemo(() => {
    const all = new Array<number>(classes.length).fill(0);
    for (const { index, probability } of probabilities) all[index] = probability;
    return all;
  }, [probabilities]);
  const { answer, problem } = usePatchAnswers(page, patch, fill, network, asking);
  // Bars are drawn when they are answered, and not where the patch has moved too.
  const bars = useMemo(() => <AnswerBars clean={clean} under={answer?.probabilities ?? null} label={page.label} />, [clean, answer, page.label]);
  return (
    <section>
      {heading && <h2>{heading}</h2>}
      {bars}
      {(problem ?? own.problem) && <Trouble problem={(problem ?? own.problem) as Problem} />}
      {answer && <p class="note timing">{say("answered in", { milliseconds: number(answer.milliseconds, 1) })}</p>}
      {!patch && <p class="note">{say("patch hint")}</p>}
    </section>
  );
}
