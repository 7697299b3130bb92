// What an audit concludes, class by class, and the way to its whole page.
import { useClassTitle } from "./explored";
import { isExported } from "./exported";
import { language, say, sayName } from "./language";
import type { AuditSummary } from "./schema";
import { useFileAddress } from "./server";

export function AuditVerdicts({ audit }: { audit: AuditSummary }) {
  const title = useClassTitle(), fileAddress = useFileAddress();
  return (
    <>
      <ul class="verdicts">
        {audit.classes.map((verdict) => (
          <li>
            <b>{title(verdict.name)}</b>
            <span class={`word ${verdict.word}`}>{sayName("verdict", verdict.word)}</span>
            <p>{verdict.text}</p>
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
