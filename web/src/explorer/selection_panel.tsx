// What is common to chosen images: their labels, the mistakes among them, and the units that tell them from the others.
import { useEffect, useState } from "preact/hooks";
import { change } from "./address";
import { useClassTitle } from "./explored";
import { number, percent, say } from "./language";
import { Bar, CopyCommands, Trouble, UnitLinkTo, Waiting } from "./parts";
import type { Problem, Selection, SelectionPage } from "./schema";
import { isReplaced, post, problemOf } from "./server";

const MOST_LABELS = 6;

export function SelectionPanel({ images, ids }: { images: number[]; ids: string[] }) {
  const [page, setPage] = useState<SelectionPage | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const key = images.join(",");
  useEffect(() => {
    setPage(null);
    setProblem(null);
    if (images.length === 0) return;
    const controller = new AbortController();
    post<SelectionPage>("selection", { images } satisfies Selection, controller.signal).then(setPage, (error: unknown) => {
      if (!isReplaced(error)) setProblem(problemOf(error));
    });
    return () => controller.abort();
  }, [key]);
  return (
    <section class="selection" data-count={images.length}>
      <header>
        <h2 aria-live="polite">{say("selected", { count: images.length })}</h2>
        <button type="button" class="quiet" onClick={() => change({ lasso: "", find: "" }, { step: true })}>
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
    </section>
  );
}

function Common({ page }: { page: SelectionPage }) {
  const title = useClassTitle();
  return (
    <>
      <p class="note">{say("selected wrong", { count: page.wrong, share: percent(page.wrong / Math.max(page.count, 1)) })}</p>
      <ol class="ranking">
        {page.labels.slice(0, MOST_LABELS).map((each) => (
          <li>
            <span>{title(each.name)}</span>
            <Bar share={each.probability} />
            <span>{percent(each.probability)}</span>
          </li>
        ))}
      </ol>
      {page.units.length > 0 && (
        <>
          <h2>{say("selected units")}</h2>
          <ol class="ranking">
            {page.units.map((each) => (
              <li>
                <UnitLinkTo unit={each.unit} />
                <Bar share={each.auc} low={0.5} />
                <span>{number(each.auc, 3)}</span>
              </li>
            ))}
          </ol>
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
