// What is common to chosen images: their labels, the mistakes among them, and the units that tell them from the others.
import { useEffect, useState } from "preact/hooks";
import { change } from "./address";
import { MistakesList } from "./confusion_matrix";
import { useAsks, useClassTitle } from "./explored";
import { isExported } from "./exported";
import { number, percent, say } from "./language";
import { MeanHeat } from "./mean_heat";
import { CopyCommands, Ranking, Trouble, UnitLinkTo, Waiting } from "./parts";
import type { MapPage, Problem, Selection, SelectionPage } from "./schema";
import { SelectionAudit } from "./selection_audit";
import { isReplaced, post, problemOf, useNetwork } from "./server";

const MOST_LABELS = 6;
const MOST_MISTAKES = 6;

/** What a map knows of chosen images, where no server says which units tell them. */
function knownOf(map: MapPage, indices: readonly number[]): SelectionPage {
  const counts = new Map<number, number>(), taken = new Map<string, { label: number; answer: number; count: number }>();
  for (const index of indices) {
    const label = map.labels[index] ?? -1, answer = map.predictions[index] ?? -1;
    if (label < 0) continue;
    counts.set(label, (counts.get(label) ?? 0) + 1);
    if (!map.wrong[index]) continue;
    const pair = `${label} ${answer}`;
    taken.set(pair, { label, answer, count: (taken.get(pair)?.count ?? 0) + 1 });
  }
  const name = (index: number) => map.classes[index] ?? "";
  const labels = [...counts]
    .sort(([, one], [, other]) => other - one)
    .map(([index, count]) => ({ name: name(index), index, probability: count / indices.length }));
  const mistakes = [...taken.values()].map(({ label, answer, count }) => ({ label: name(label), prediction: name(answer), count, share: count / (counts.get(label) ?? count) }));
  const wrong = indices.filter((index) => map.wrong[index]).length;
  return { count: indices.length, labels, wrong, mistakes, units: [], audit: { least: 0, judged: [], few: [], one_sided: null, others_lacking: 0 }, commands: { python: "", shell: "" } };
}

export function SelectionPanel({ map, indices, heading }: { map: MapPage; indices: readonly number[]; heading: string }) {
  const [page, setPage] = useState<SelectionPage | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const asks = useAsks(), network = useNetwork();
  const images = indices.map((index) => map.numbers[index] ?? -1), ids = indices.map((index) => map.ids[index] ?? "");
  const key = images.join(",");
  useEffect(() => {
    setPage(null);
    setProblem(null);
    if (images.length === 0) return;
    if (isExported()) {
      setPage(knownOf(map, indices));
      return;
    }
    const controller = new AbortController();
    post<SelectionPage>("selection", { images } satisfies Selection, controller.signal, network).then(setPage, (error: unknown) => {
      if (!isReplaced(error)) setProblem(problemOf(error));
    });
    return () => controller.abort();
  }, [key, network]);
  return (
    <section class="selection" data-count={images.length}>
      {heading && <p class="network-name">{heading}</p>}
      <header>
        <h2 aria-live="polite">{say("selected", { count: images.length })}</h2>
        <button type="button" class="quiet" onClick={() => change({ lasso: "", "lasso-of": "", find: "" }, { step: true })}>
          {say("no selection")}
        </button>
      </header>
      {images.length > 0 && (
        <button type="button" onClick={() => save(ids)}>
          {say("export ids")}
        </button>
      )}
      {problem && <Trouble problem={problem} />}
      {images.length > 0 && !page && !problem && <Waiting />}
      {page && <Common page={page} />}
      {images.length > 0 && asks && <MeanHeat images={images} />}
      {page && asks && <SelectionAudit images={images} outlook={page.audit} />}
    </section>
  );
}

function Common({ page }: { page: SelectionPage }) {
  const title = useClassTitle();
  return (
    <>
      <p class="note">{say("selected wrong", { count: page.wrong, share: percent(page.wrong / Math.max(page.count, 1)) })}</p>
      <Ranking rows={page.labels.slice(0, MOST_LABELS).map(({ name, probability }) => ({ label: title(name), share: probability, value: percent(probability) }))} />
      {page.mistakes.length > 0 && <MistakesList mistakes={page.mistakes} most={MOST_MISTAKES} />}
      {page.units.length > 0 && (
        <>
          <h2>{say("selected units")}</h2>
          <Ranking low={0.5} rows={page.units.map(({ unit, auc }) => ({ label: <UnitLinkTo unit={unit} />, share: auc, value: number(auc, 3) }))} />
        </>
      )}
      <CopyCommands commands={page.commands} />
    </>
  );
}

/** Gives the ids to the browser as a file, one in a line. */
function save(ids: string[]): void {
  const address = URL.createObjectURL(new Blob([ids.join("\n"), "\n"], { type: "text/plain" }));
  const anchor = document.createElement("a");
  anchor.href = address;
  anchor.download = "selection.txt";
  anchor.click();
  URL.revokeObjectURL(address);
}
