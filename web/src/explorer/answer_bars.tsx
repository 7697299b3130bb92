// The probabilities of the first classes as bars, with a patch and without.
import { useClassTitle, useSession } from "./explored";
import { number, say } from "./language";

const SHOWN = 5;

interface BarsSettings {
  clean: number[];
  under: number[] | null;
  label: string;
}

/** The places of the highest values, the highest first; in one walk, as there may be a thousand of them under a moving mouse. */
function highest(values: readonly number[], count: number): number[] {
  const first: number[] = [];
  values.forEach((value, index) => {
    if (first.length === count && value <= (values[first[count - 1] ?? 0] ?? 0)) return;
    let place = first.length;
    while (place > 0 && (values[first[place - 1] ?? 0] ?? 0) < value) place--;
    first.splice(place, 0, index);
    first.length = Math.min(first.length, count);
  });
  return first;
}

/** The classes whose bars are shown: those that are first now, and after them the label and what was first without the patch. */
export function shownClasses(clean: readonly number[], under: readonly number[] | null, label: number): number[] {
  const first = highest(under ?? clean, SHOWN);
  const also = [highest(clean, 1)[0] ?? -1, label].filter((index) => index >= 0 && !first.includes(index));
  return [...first, ...new Set(also)];
}

export function AnswerBars({ clean, under, label }: BarsSettings) {
  const { classes } = useSession(), title = useClassTitle();
  const own = classes.indexOf(label), shown = shownClasses(clean, under, own);
  const now = shown[0] ?? 0, before = highest(clean, 1)[0] ?? 0;
  const name = title(classes[now] ?? "");
  // Room for two more rows, so that nothing below moves under the pointer.
  const room = Math.min(classes.length, SHOWN + 2) - shown.length;
  return (
    <>
      <p class={now === before ? "verdict" : "verdict turned"} role="status">
        {say(!under ? "says" : now === before ? "says still" : "says now", { name })}
      </p>
      <ol class="bars">
        {shown.map((index) => {
          const value = (under ?? clean)[index] ?? 0, was = clean[index] ?? 0;
          return (
            <li key={index} class={index === own ? "own" : ""} data-class={classes[index]} data-value={value}>
              <span class="name">{title(classes[index] ?? "")}</span>
              <span class="value">{number(value, 3)}</span>
              <span class="track" aria-hidden="true">
                <i class="filled" style={{ width: `${100 * value}%` }} />
                {under && <i class="tick" style={{ left: `${100 * was}%` }} />}
              </span>
              <small>{under ? say("without patch", { value: number(was, 3) }) : ""}</small>
            </li>
          );
        })}
        {Array.from({ length: Math.max(0, room) }, (_, index) => (
          <li key={`room ${index}`} class="room" aria-hidden="true">
            <span class="name">&nbsp;</span>
          </li>
        ))}
      </ol>
    </>
  );
}
