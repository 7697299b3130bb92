// The concepts of a layer: what the store has of classes that were taken apart, and the line that takes one apart.
import { useClassTitle } from "./explored";
import { isExported } from "./exported";
import { number, percent, say } from "./language";
import { CopyCommands, DamagedRecords, Figure, Trouble, usePictureClass } from "./parts";
import type { ClassConcepts, ConceptSummary, LayerConcepts } from "./schema";
import { useAnswer, useFileAddress, useLink } from "./server";

export function Concepts({ layer }: { layer: string }) {
  const { value: found, problem } = useAnswer<LayerConcepts>(`concepts?layer=${encodeURIComponent(layer)}`);
  if (problem) return isExported() ? null : <Trouble problem={problem} />;
  if (!found) return null;
  if (!found.classes.length) {
    return (
      <>
        <DamagedRecords records={found.damaged} />
        {!isExported() && layer !== "logits" && <NoConcepts found={found} />}
      </>
    );
  }
  return (
    <section class="figure wide concepts">
      <header>
        <h2>{say("concepts")}</h2>
      </header>
      <p class="note">{say("concepts note")}</p>
      <DamagedRecords records={found.damaged} />
      {found.classes.map((each) => (
        <OfClass key={each.key} found={each} />
      ))}
    </section>
  );
}

function NoConcepts({ found }: { found: LayerConcepts }) {
  const line = found.commands.shell || found.commands.python;
  return (
    <Figure title={say("concepts")} note={say("no concepts")}>
      <pre class="command">{line}</pre>
      <CopyCommands commands={found.commands} />
    </Figure>
  );
}

function OfClass({ found }: { found: ClassConcepts }) {
  const title = useClassTitle();
  return (
    <article class="concepts-of">
      <h3>{title(found.class_name)}</h3>
      <p class="soft">
        {say("concepts of", { count: found.concepts.length, images: found.images, share: percent(found.explained), logit: number(found.logit, 2) })}
      </p>
      <CopyCommands commands={found.commands} />
      <ol>
        {found.concepts.map((concept, index) => (
          <Concept key={index} found={found} concept={concept} index={index} />
        ))}
      </ol>
    </article>
  );
}

function Concept({ found, concept, index }: { found: ClassConcepts; concept: ConceptSummary; index: number }) {
  const fileAddress = useFileAddress(), link = useLink(), pictureClass = usePictureClass();
  const address = (kind: string, at: number) => fileAddress(`concepts/${found.key}/${index}/${kind}-${at}.png`);
  const picture = (kind: string, at: number, alt: string) => (
    <span class={pictureClass}>
      <img src={address(kind, at)} alt={alt} title={alt} loading="lazy" />
    </span>
  );
  const change = -concept.loss, sign = change > 0 ? "+" : "";
  const maps = Array.from({ length: found.maps }, (_, at) => at);
  return (
    <li>
      <p>
        <b>{say("concept", { number: index + 1 })}</b>
        <span>{say("concept without", { change: `${sign}${number(change, 2)}` })}</span>
        <span>{say("concept share", { share: percent(concept.share) })}</span>
        {concept.stability !== null && <span>{say("concept stability", { value: number(concept.stability, 2) })}</span>}
      </p>
      <div class="strips">
        {found.made && (
          <figure>
            <div>{picture("made", 0, say("concept made", { number: index + 1 }))}</div>
            <figcaption>{say("made for it")}</figcaption>
          </figure>
        )}
        <figure>
          <div>
            {concept.exemplars.map(({ id, number: row }, at) =>
              row < 0 ? picture("exemplar", at, id) : <a href={link("image", String(row))}>{picture("exemplar", at, id)}</a>,
            )}
          </div>
          <figcaption>{say("concept exemplars")}</figcaption>
        </figure>
        <figure>
          <div>{maps.map((at) => picture("map", at, say("concept map", { number: index + 1 })))}</div>
          <figcaption>{say("concept maps")}</figcaption>
        </figure>
      </div>
    </li>
  );
}
