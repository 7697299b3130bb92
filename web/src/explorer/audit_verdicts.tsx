// What an audit concludes, class by class, and the way to its whole page.
import { useClassTitle } from "./explored";
import { isExported } from "./exported";
import { language, say, sayName } from "./language";
import type { AuditSummary, ClassVerdict } from "./schema";
import { useFileAddress } from "./server";

/** A class and its verdict; where nothing was found, what could have been is read by whoever opens it: of all together it stands above. */
function Verdict({ name, verdict: { word, text } }: { name: string; verdict: ClassVerdict }) {
  const head = (
    <>
      <b>{name}</b>
      <span class={`word ${word}`}>{sayName("verdict", word)}</span>
    </>
  );
  if (word !== "nothing") {
    return (
      <>
        {head}
        <p>{text}</p>
      </>
    );
  }
  return (
    <details>
      <summary>{head}</summary>
      <p>{text}</p>
    </details>
  );
}

export function AuditVerdicts({ audit }: { audit: AuditSummary }) {
  const title = useClassTitle(), fileAddress = useFileAddress();
  return (
    <>
      <ul class="verdicts">
        {audit.classes.map((verdict) => (
          <li>
            <Verdict name={title(verdict.name)} verdict={verdict} />
            {verdict.findings.length > 0 && (
              <ul>
                {verdict.findings.map((finding) => (
                  <li>{finding}</li>
                ))}
              </ul>
            )}
          </li>
        ))}
      </ul>
      {audit.page && (
        <p>
          <a href={fileAddress(isExported() ? audit.page : `${audit.page}?lang=${language()}`, ".html")} target="_blank" rel="noopener">
            {say("audit page")}
          </a>
        </p>
      )}
    </>
  );
}
