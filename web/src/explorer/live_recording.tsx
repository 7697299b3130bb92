// Recording what units answer while one looks: all images where nothing was recorded yet, or one layer more.
import { useEffect } from "preact/hooks";
import { useSession } from "./explored";
import { say } from "./language";
import { Figure, Trouble } from "./parts";
import type { MakingProgress } from "./schema";
import { Progress, useWatched } from "./watched";

export function LiveRecording() {
  const session = useSession();
  return (
    <Figure title={say("record")} note={say("record note", { count: session.images })}>
      <RecordButton text={say("record now")} />
    </Figure>
  );
}

/** Records, and shows the page anew after that. With a layer, that one beside those that were recorded. */
export function RecordButton({ text, layer = "" }: { text: string; layer?: string }) {
  const { event, runs, problem, begin, stop } = useWatched<MakingProgress>(layer ? `record?layer=${encodeURIComponent(layer)}` : "record", {});
  useEffect(() => {
    if (event?.ended) location.reload();
  }, [event?.ended]);
  return (
    <>
      {runs || event?.ended ? (
        <>
          <Progress event={event} />
          <p>
            <button type="button" onClick={stop}>
              {say("stop")}
            </button>
          </p>
        </>
      ) : (
        <p>
          <button type="button" class="primary" onClick={begin}>
            {text}
          </button>
        </p>
      )}
      {problem && <Trouble problem={problem} />}
    </>
  );
}
