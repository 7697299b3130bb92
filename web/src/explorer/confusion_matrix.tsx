// Which label is taken for which class: a matrix of few classes, the largest mistakes of many.
import { useClassTitle, useSession } from "./explored";
import { number, percent, say } from "./language";
import type { Mistakes as Mistake } from "./schema";
import { useLink } from "./server";

const MOST_CLASSES = 24; // of more, a matrix is not read any longer
const MOST_MISTAKES = 30;

export function ConfusionMatrix({ counts }: { counts: number[][] }) {
  return counts.length <= MOST_CLASSES ? <Matrix counts={counts} /> : <Mistakes counts={counts} />;
}

function Matrix({ counts }: { counts: number[][] }) {
  const { classes } = useSession(), title = useClassTitle(), link = useLink();
  const largest = Math.max(1, ...counts.flatMap((row, label) => row.filter((_, answer) => answer !== label)));
  return (
    <div class="scrolled">
      <table class="confusion">
        <caption class="unseen">{say("confusion note")}</caption>
        <thead>
          <tr>
            <td />
            {classes.map((name) => (
              <th scope="col">
                <span title={title(name)}>{title(name)}</span>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {counts.map((row, label) => {
            const own = classes[label] ?? "", all = row.reduce((sum, count) => sum + count, 0);
            return (
              <tr>
                <th scope="row">
                  <span title={title(own)}>{title(own)}</span>
                </th>
                {row.map((count, answer) => {
                  const text = say("confusion cell", { count, label: title(own), answer: title(classes[answer] ?? "") });
                  const strength = answer === label ? count / Math.max(all, 1) : Math.sqrt(count / largest);
                  return (
                    <td class={answer === label ? "right" : "wrong"} style={{ "--strength": strength.toFixed(3) }}>
                      {count > 0 && (
                        <a href={link("images", "", { label: own, prediction: classes[answer] ?? "" })} title={text} aria-label={text}>
                          {count}
                        </a>
                      )}
                    </td>
                  );
                })}
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function Mistakes({ counts }: { counts: number[][] }) {
  const { classes } = useSession();
  const mistakes = counts.flatMap((row, label) => {
    const all = row.reduce((sum, count) => sum + count, 0);
    return row.map((count, answer) => ({ label: classes[label] ?? "", prediction: classes[answer] ?? "", count, share: count / all }));
  });
  return <MistakesList mistakes={mistakes.filter(({ count, label, prediction }) => count > 0 && label !== prediction)} most={MOST_MISTAKES} />;
}

/** Which class is taken for which, the most frequent first. */
export function MistakesList({ mistakes, most }: { mistakes: readonly Mistake[]; most: number }) {
  const title = useClassTitle(), link = useLink();
  return (
    <ol class="mistakes">
      {[...mistakes]
        .sort((one, other) => other.count - one.count || other.share - one.share)
        .slice(0, most)
        .map(({ count, label, prediction, share }) => (
          <li>
            <a href={link("images", "", { label, prediction })}>{say("taken for", { label: title(label), answer: title(prediction) })}</a>
            <span>
              {number(count)} <small>{percent(share)}</small>
            </span>
          </li>
        ))}
    </ol>
  );
}
