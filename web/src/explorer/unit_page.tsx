// The page of a unit: what makes it answer, which classes it tells, what it is like, and its picture grown live.
import { useState } from "preact/hooks";
import { change, type Settings } from "./address";
import { useAsks, useClassTitle, useSession } from "./explored";
import { LiveOptimization } from "./live_optimization";
import { figures, language, number, say } from "./language";
import { LiveRecording } from "./live_recording";
import { CopyCommands, DamagedRecords, fieldShown, Figure, ImageLink, Ranking, Trouble, UnitLinkTo, usePictureClass, useUnitTitle, Waiting } from "./parts";
import type { ImageAnswer, LayerPage, NetworkPage, Problem, UnitLink, UnitPage as Message, UnitSummary } from "./schema";
import { useAnswer, useFileAddress, useLink, useNetwork } from "./server";
import { Spectrum } from "./spectrum";

const MOST_IMAGES = 12;
const MOST_CLASSES = 8; // that are shown at first
const LEAST_TOLD = 0.6; // of the best class: below it is hardly more than a guess
const FELT = 0.005; // a weight below it is written as zero, and is drawn as none

export function UnitPage({ name, settings }: { name: string; settings: Settings }) {
  const { value: page, problem } = useAnswer<Message>(`units/${encodeURIComponent(name)}`);
  const asks = useAsks();
  const [fromImage] = useState(settings["start"] !== undefined); // whoever comes from an image wants to see it change
  const mostNote = useMostNote(page?.most ?? []);
  if (problem) return <Unrecorded name={name} problem={problem} settings={settings} />;
  if (!page) return <Waiting />;
  return (
    <>
      <header class="title">
        <h1>{page.unit}</h1>
        <p class="soft">
          {page.dead ? say("dead unit") : page.classes[0] && <TellsBest page={page} />}
        </p>
        <div class="line">
          <CopyCommands commands={page.commands} />
          <Siblings page={page} />
        </div>
      </header>
      {asks && fromImage && <LiveOptimization unit={page.unit} settings={settings} />}
      <div class="columns pictures">
        <Optimized page={page} />
        {page.most.length > 0 && !page.dead && (
          <Figure title={say("most")} note={`${mostNote} ${say("caption note")}`}>
            <Answered images={page.most.slice(0, MOST_IMAGES)} />
          </Figure>
        )}
      </div>
      {asks && !fromImage && <LiveOptimization unit={page.unit} settings={settings} />}
      {page.histogram.counts.length > 0 && <Spectrum unit={page.unit} histogram={page.histogram} settings={settings} change={change} />}
      {page.least.length > 0 && !page.dead && (
        <Figure title={say("least")} note={`${say("least note")} ${say("caption note")}`} wide>
          <Answered images={page.least.slice(0, MOST_IMAGES)} />
        </Figure>
      )}
      <div class="columns">
        {page.classes.length > 0 && !page.dead && <Classes page={page} />}
        <Links title={say("alike by answers")} note={say("alike by answers note")} links={page.alike} />
        <Links title={say("alike by weights")} note={say("alike by weights note")} links={page.alike_by_weights} />
        <Links title={say("fed by")} note={say("fed by note")} links={page.fed_by} />
        <Links title={say("feeds")} note={say("feeds note")} links={page.feeds} />
      </div>
    </>
  );
}

/** The pictures of the store that were made for a unit. */
function Optimized({ page }: { page: Message }) {
  const asks = useAsks(), fileAddress = useFileAddress(), pictureClass = usePictureClass("optimized");
  return (
    <Figure title={say("optimized")} note={say("optimized note")}>
      <DamagedRecords records={page.damaged} />
      {page.optimized.length === 0 && <p class="soft">{say(asks ? "no optimized" : "no optimized store")}</p>}
      <div class={pictureClass}>
        {page.optimized.map((picture, index) => (
          <figure key={picture}>
            <img src={fileAddress(picture)} alt={say("optimized alt", { unit: page.unit, number: index + 1 })} />
            {page.optimized_from[index] && <figcaption>{say("began from", { id: page.optimized_from[index] })}</figcaption>}
          </figure>
        ))}
      </div>
    </Figure>
  );
}

/** What is said of the pictures that a unit answers most: how much of each is shown, and whether something is framed in it. */
function useMostNote(images: ImageAnswer[]): string {
  const { size } = useSession();
  const shown = images.map(({ field }) => fieldShown(field, size));
  const kind = shown.some(({ cropped }) => cropped) ? "crop" : shown.some(({ framed }) => framed) ? "framed" : "whole";
  return say(kind === "crop" && shown.some(({ framed }) => framed) ? "most note crop framed" : `most note ${kind}`);
}

/** A unit of which nothing was recorded: its picture can be grown all the same, and the way back is shown. */
function Unrecorded({ name, problem, settings }: { name: string; problem: Problem; settings: Settings }) {
  const { read_only, images, classes } = useSession(), asks = useAsks(), link = useLink(), number = useNetwork();
  const network = useAnswer<NetworkPage>(`network/${number}?lang=${language()}`).value;
  const cut = name.lastIndexOf(":"), layer = network?.layers.find((each) => each.name === (cut < 0 ? name : name.slice(0, cut)));
  const isAnswer = /^(logit|prob):/.test(name) && classes.includes(name.slice(name.indexOf(":") + 1));
  const isUnit = isAnswer || (layer !== undefined && (cut < 0 || parseInt(name.slice(cut + 1)) < layer.channels));
  const nothing = network !== null && !network.layers.some((each) => each.recorded);
  return (
    <>
      <header class="title">
        <h1>{name}</h1>
        <p class="links">
          <a href={link("network")}>{say("network")}</a>
          {layer && <a href={link("layer", layer.name)}>{layer.name}</a>}
        </p>
      </header>
      {layer && !layer.recorded ? (
        <div role="alert">
          <p>{say("unit not recorded", { layer: layer.name })}</p>
          <p class="soft">{say(asks ? "not recorded note" : "not exported hint")}</p>
        </div>
      ) : (
        <Trouble problem={problem} />
      )}
      {asks && !read_only && images > 0 && nothing && <LiveRecording />}
      {asks && isUnit && <LiveOptimization unit={name} settings={settings} />}
    </>
  );
}

function TellsBest({ page }: { page: Message }) {
  const title = useClassTitle(), best = page.classes[0];
  if (!best) return null;
  return <>{say(best.auc < LEAST_TOLD ? "tells no class" : "tells best", { class: title(best.name), auc: number(best.auc, 2) })}</>;
}

/** The way to the layer and to the units before and behind. */
function Siblings({ page }: { page: Message }) {
  const link = useLink(), title = useUnitTitle();
  const short = (unit: UnitSummary) => title(unit.unit).slice(unit.unit.lastIndexOf(":") + 1);
  const layer = useAnswer<LayerPage>(`layers/${encodeURIComponent(page.layer)}`).value;
  const units = layer?.units ?? [], at = units.findIndex((unit) => unit.unit === page.unit);
  const before = units[at - 1], next = at >= 0 ? units[at + 1] : undefined;
  return (
    <p class="links">
      {before && <a data-again="before" href={link("unit", before.unit)}>← {short(before)}</a>}
      <a href={link("layer", page.layer)}>{page.layer}</a>
      {next && <a data-again="next" href={link("unit", next.unit)}>{short(next)} →</a>}
    </p>
  );
}

export function Answered({ images }: { images: ImageAnswer[] }) {
  return (
    <div class="images small">
      {images.map((image) => (
        <ImageLink key={image.number} image={image} field={image.field}>
          <small>{figures(image.value)}</small>
        </ImageLink>
      ))}
    </div>
  );
}

function Classes({ page }: { page: Message }) {
  const title = useClassTitle(), link = useLink();
  const [all, setAll] = useState(false);
  return (
    <Figure title={say("classes told")} note={say("classes told note")}>
      <Ranking
        low={0.5}
        rows={page.classes.slice(0, all ? page.classes.length : MOST_CLASSES).map(({ name, auc, mean }) => ({
          label: <a href={link("images", "", { label: name })}>{title(name)}</a>,
          share: auc,
          value: number(auc, 3),
          title: say("mean answer", { value: figures(mean) }),
        }))}
      />
      {!all && page.classes.length > MOST_CLASSES && (
        <p>
          <button type="button" class="quiet" onClick={() => setAll(true)}>
            {say("all classes", { shown: MOST_CLASSES, count: page.classes.length })}
          </button>
        </p>
      )}
    </Figure>
  );
}

function Links({ title, note, links }: { title: string; note: string; links: UnitLink[] }) {
  if (links.length === 0) return null;
  const largest = Math.max(...links.map(({ strength }) => Math.abs(strength)), 1e-12);
  return (
    <Figure title={title} note={note}>
      <Ranking
        rows={links.map(({ unit, strength }) => ({
          label: <UnitLinkTo unit={unit} />,
          share: Math.abs(strength) < FELT ? 0 : Math.abs(strength) / largest,
          value: number(Math.abs(strength) < FELT ? 0 : strength, 2),
          title: figures(strength),
          negative: strength < 0,
        }))}
      />
    </Figure>
  );
}

