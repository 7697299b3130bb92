// The page of the network: what it is, how often it is right and where it errs, and the way to its layers.
import { change, type Settings } from "./address";
import { AuditVerdicts } from "./audit_verdicts";
import { ConfusionMatrix } from "./confusion_matrix";
import { useAsks, useClassTitle, useSession } from "./explored";
import { language, number as written, percent, say } from "./language";
import { LiveRecording } from "./live_recording";
import { CopyCommands, DamagedRecords, Figure, Ranking, Select, Trouble, UnitLinkTo, Waiting } from "./parts";
import type { LayerSummary, NetworkPage as Message, UnitsFound } from "./schema";
import { useAnswer, useLink, useNetwork } from "./server";
import { useEffect, useRef } from "preact/hooks";

const MOST_UNITS = 8; // that are shown of those which tell a class
const MOST_DEAD = 24; // that are listed of a layer's dead units

export function NetworkPage({ settings }: { settings: Settings }) {
  const session = useSession(), asks = useAsks(), number = useNetwork();
  const { value: page, problem } = useAnswer<Message>(`network/${number}?lang=${language()}`);
  if (problem) return <Trouble problem={problem} />;
  if (!page) return <Waiting />;
  const wanted = settings["class"] ?? "", isClass = session.classes.includes(wanted);
  const isRecorded = page.layers.some((layer) => layer.recorded);
  return (
    <>
      {wanted && !isClass && <Trouble problem={{ kind: "not found", message: say("no such class", { name: wanted }), hint: "" }} />}
      <header class="title">
        <h1>{page.name}</h1>
        {page.source !== page.name && <p class="soft">{page.source}</p>}
        <p class="facts">
          {page.parameters !== null && <span>{say("parameters", { count: page.parameters })}</span>}
          <span>{say("classes count", { count: session.classes.length })}</span>
          {session.images > 0 && <span>{say(session.given > session.images ? "images of given" : "images count", { count: session.images, given: session.given, source: session.source })}</span>}
        </p>
        <CopyCommands commands={page.commands} />
      </header>
      {asks && !session.read_only && session.images > 0 && !isRecorded && <LiveRecording />}
      <Figure title={say("layers")} note={say("layers note")} wide>
        <Layers layers={page.layers} />
      </Figure>
      <div class="columns">
        {page.accuracy !== null && (
          <Figure title={say("accuracy")} note={say("confusion note")}>
            <p class="large">
              {percent(page.accuracy, 1)} <small>{say("accuracy of", { count: page.labelled })}</small>
            </p>
            <ConfusionMatrix counts={page.confusion} />
          </Figure>
        )}
        <div>
          {page.audit && (
            <Figure title={say("audit")} note={page.audit.overall.text}>
              <AuditVerdicts audit={page.audit} />
            </Figure>
          )}
          <DamagedRecords records={page.damaged} />
          {isRecorded && <FindUnits wanted={isClass ? wanted : ""} />}
          <Figure title={say("preprocessing")}>
            <ul class="lines">
              {page.preprocessing.map((line) => (
                <li>{line}</li>
              ))}
            </ul>
          </Figure>
          <DeadUnits layers={page.layers} />
        </div>
      </div>
    </>
  );
}

/** The layers one behind the other, drawn as high as their maps and as wide as they have channels; those that were recorded are named. */
function Layers({ layers }: { layers: LayerSummary[] }) {
  const asks = useAsks(), link = useLink();
  const strip = useRef<HTMLOListElement>(null);
  // Where they do not fit, those before the answer are seen first: they are what one mostly comes for.
  useEffect(() => {
    if (strip.current) strip.current.scrollLeft = strip.current.scrollWidth;
  }, []);
  const rows = Math.max(...layers.map((layer) => layer.rows), 1), channels = Math.max(...layers.map((layer) => layer.channels), 1);
  const grown = (value: number, largest: number) => Math.log2(1 + value) / Math.log2(1 + largest);
  return (
    <ol class="layers" ref={strip}>
      {layers.map((layer) => {
        const size = layerSize(layer);
        const height = `${0.4 + 5 * grown(layer.rows, rows)}rem`, width = `${(layer.recorded ? 2.6 : 0.9) * grown(layer.channels, channels)}rem`;
        const block = (
          <span class="block">
            <i style={{ height, width }} />
          </span>
        );
        if (!layer.recorded) {
          const text = `${layer.name} \u00b7 ${layer.kind} \u00b7 ${size}`;
          return (
            <li class="unrecorded">
              {asks ? (
                <a href={link("layer", layer.name)} title={text} aria-label={text}>
                  {block}
                </a>
              ) : (
                <span title={text} role="img" aria-label={text}>
                  {block}
                </span>
              )}
            </li>
          );
        }
        return (
          <li>
            <a href={link("layer", layer.name)}>
              {block}
              <b>{layer.name}</b>
              <small>{layer.kind}</small>
              <small>{size}</small>
              {layer.dead.length > 0 && <small class="wrong">{say("dead count", { count: layer.dead.length })}</small>}
            </a>
          </li>
        );
      })}
    </ol>
  );
}

/** How many numbers a layer answers with. */
export function layerSize(layer: LayerSummary): string {
  if (layer.rows <= 1 && layer.columns <= 1) return say("vector size", { channels: layer.channels });
  return say("layer size", { channels: layer.channels, rows: layer.rows, columns: layer.columns });
}

/** On which images the areas are that stand beside units which were searched. */
export const heldOut = (units: UnitsFound) => (units.tested && units.held_out > 0 ? say("held out", { count: units.held_out }) : say("not held out"));

/** Which units of all layers tell a class best. */
function FindUnits({ wanted }: { wanted: string }) {
  const session = useSession(), title = useClassTitle();
  const { value: units, problem } = useAnswer<UnitsFound>(wanted ? `find?class=${encodeURIComponent(wanted)}&limit=${MOST_UNITS}` : null);
  return (
    <Figure title={say("find units")} note={say("find units note")} commands={units?.commands}>
      <Select
        name={say("class")}
        value={wanted}
        choices={[{ value: "", text: say("choose class") }, ...session.classes.map((name) => ({ value: name, text: title(name) }))]}
        choose={(chosen) => change({ class: chosen }, { step: true })}
      />
      {problem && <Trouble problem={problem} />}
      {wanted && !units && !problem && <Waiting />}
      {units && (
        <>
          <Ranking
            low={0.5}
            rows={units.units.map(({ unit, auc, auc_held_out: held }) => ({ label: <UnitLinkTo unit={unit} />, share: held ?? auc, value: written(held ?? auc, 3), title: say("chosen by", { auc: written(auc, 3) }) }))}
          />
          <p class="note">{heldOut(units)}</p>
          {units.tested && (
            <p class="note">
              {units.alone.length > 0 ? say("alone") : say("none alone", { class: title(units.class_name) })}{" "}
              {units.alone.map((unit) => (
                <>
                  <UnitLinkTo unit={unit} />{" "}
                </>
              ))}
            </p>
          )}
        </>
      )}
    </Figure>
  );
}

function DeadUnits({ layers }: { layers: LayerSummary[] }) {
  const link = useLink();
  const dead = layers.filter((layer) => layer.dead.length > 0);
  if (!layers.some((layer) => layer.recorded)) return null;
  return (
    <Figure title={say("dead units")} note={say(dead.length ? "dead units note" : "no dead units")}>
      {dead.map((layer) => (
        <p class="chips">
          <b>{layer.name}</b>
          {layer.dead.slice(0, MOST_DEAD).map((channel) => (
            <a href={link("unit", `${layer.name}:${channel}`)}>{channel}</a>
          ))}
          {layer.dead.length > MOST_DEAD && <span>{say("and more", { count: layer.dead.length - MOST_DEAD })}</span>}
        </p>
      ))}
    </Figure>
  );
}
