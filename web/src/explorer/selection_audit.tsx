// What decides the answers to chosen images: which classes could be judged, and the audit of them, watched.
import { AuditVerdicts } from "./audit_verdicts";
import { useClassTitle } from "./explored";
import { language, say } from "./language";
import { CopyCommands, Trouble } from "./parts";
import type { AnswerCount, AuditOutlook, AuditProgress, Selection } from "./schema";
import { Progress, useWatched } from "./watched";

export function SelectionAudit({ images, outlook }: { images: number[]; outlook: AuditOutlook }) {
  const title = useClassTitle();
  const { event, runs, problem, begin, stop } = useWatched<AuditProgress>(
    `selection/audit?lang=${language()}`,
    { images } satisfies Selection,
    `${language()} ${images.join(",")}`,
  );
  const listed = (counts: AnswerCount[]) => counts.map(({ name, count }) => `${title(name)} (${count})`).join(", ");
  const { least, judged, few, one_sided: oneSided } = outlook, audit = event?.audit ?? null;
  return (
    <section class="audit-of-selection">
      <h2>{say("audit of selection")}</h2>
      {audit ? (
        <>
          <p class="note">
            {say("audit of chosen", { count: images.length })} {audit.overall.text}
          </p>
          <AuditVerdicts audit={audit} />
          {event?.commands && <CopyCommands commands={event.commands} />}
        </>
      ) : (
        <>
          {judged.length > 0 && <p class="note">{say("can be judged", { least, classes: listed(judged) })}</p>}
          {oneSided && <p class="note">{say("lacks others", { class: listed([oneSided]), count: outlook.others_lacking })}</p>}
          {judged.length === 0 && !oneSided && <p class="note">{say("none can be judged", { least })}</p>}
          {few.length > 0 && <p class="note">{say("too few to judge", { classes: listed(few) })}</p>}
          {runs && <Progress event={event} />}
          {judged.length > 0 && (
            <button type="button" onClick={runs ? stop : begin}>
              {say(runs ? "stop" : "audit selection")}
            </button>
          )}
        </>
      )}
      {problem && <Trouble problem={problem} />}
    </section>
  );
}
