// The page of a unit: what makes it answer, which classes it tells, what it is like, and its picture grown live.
import { change, link, type Settings } from "./address";
import { useClassTitle, useSession } from "./explored";
import { LiveOptimization } from "./live_optimization";
import { figures, number, say } from "./language";
import { CopyCommands, Figure, ImageLink, Ranking, Trouble, UnitLinkTo, Waiting } from "./parts";
import type { ImageAnswer, LayerPage, Problem, UnitLink, UnitPage as Message } from "./schema";
import { fileAddress, useAnswer } from "./server";
import { Spectrum } from "./spectrum";

const MOST_IMAGES = 12;
const MOST_CLASSES = 8;

export function UnitPage({ name, settings }: { name: string; settings: Settings }) {
  const { value: page, problem } = useAnswer<Message>(`units/${encodeURIComponent(name)}`);
  const session = useSession();
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
      <div class="columns pictures">
        <Figure title={say("optimized")} note={say("optimized note")}>
          {page.optimized.length === 0 && <p class="soft">{say(session.asks ? "no optimized" : "no optimized store")}</p>}
          <div class="optimized">
            {page.optimized.map((picture, index) => (
              <img key={picture} src={fileAddress(picture)} alt={say("optimized alt", { unit: page.unit, number: index + 1 })} />
            ))}
          </div>
        </Figure>
        {page.most.length > 0 && (
          <Figure title={say("most")} note={say("most note")}>
            <Answered images={page.most.slice(0, MOST_IMAGES)} />
          </Figure>
        )}
      </div>
      {session.asks && <LiveOptimization unit={page.unit} settings={settings} />}
      {page.histogram.counts.length > 0 && <Spectrum unit={page.unit} histogram={page.histogram} settings={settings} change={change} />}
      {page.least.length > 0 && (
        <Figure title={say("least")} note={say("least note")} wide>
          <Answered images={page.least.slice(0, MOST_IMAGES)} />
        </Figure>
      )}
      <div class="columns">
        {page.classes.length > 0 && <Classes page={page} />}
        <Links title={say("alike by answers")} note={say("alike by answers note")} links={page.alike} />
        <Links title={say("alike by weights")} note={say("alike by weights note")} links={page.alike_by_weights} />
        <Links title={say("fed by")} note={say("fed by note")} links={page.fed_by} />
        <Links title={say("feeds")} note={say("feeds note")} links={page.feeds} />
      </div>
    </>
  );
}

/** A unit of which nothing was recorded: its picture can be grown all the same. */
function Unrecorded({ name, problem, settings }: { name: string; problem: Problem; settings: Settings }) {
  const { asks } = useSession();
  return (
    <>
      <header class="title">
        <h1>{name}</h1>
      </header>
      <Trouble problem={problem} />
      {asks && <LiveOptimization unit={name} settings={settings} />}
    </>
  );
}

function TellsBest({ page }: { page: Message }) {
  const title = useClassTitle(), best = page.classes[0];
  return best ? <>{say("tells best", { class: title(best.name), auc: number(best.auc, 2) })}</> : null;
}

/** The way to the layer and to the units before and behind. */
function Siblings({ page }: { page: Message }) {
  const layer = useAnswer<LayerPage>(`layers/${encodeURIComponent(page.layer)}`).value;
  const units = layer?.units ?? [], at = units.findIndex((unit) => unit.unit === page.unit);
  const before = units[at - 1], next = at >= 0 ? units[at + 1] : undefined;
  return (
    <p class="links">
      {before && <a href={link("unit", before.unit)}>← {before.number}</a>}
      <a href={link("layer", page.layer)}>{page.layer}</a>
      {next && <a href={link("unit", next.unit)}>{next.number} →</a>}
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
  const title = useClassTitle();
  return (
    <Figure title={say("classes told")} note={say("classes told note")}>
      <Ranking
        low={0.5}
        rows={page.classes.slice(0, MOST_CLASSES).map(({ name, auc, mean }) => ({
          label: <a href={link("images", "", { label: name })}>{title(name)}</a>,
          share: auc,
          value: number(auc, 3),
          title: say("mean answer", { value: figures(mean) }),
        }))}
      />
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
          share: Math.abs(strength) / largest,
          value: number(strength, 2),
          negative: strength < 0,
        }))}
      />
    </Figure>
  );
}

