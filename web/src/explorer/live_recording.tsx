// Where nothing was recorded yet: the pass over all images, watched.
import { useEffect, useRef, useState } from "preact/hooks";
import { useSession } from "./explored";
import { percent, say } from "./language";
import { Bar, Figure, Trouble } from "./parts";
import type { Problem, RecordingProgress } from "./schema";
import { events, isReplaced, problemOf, useNetwork } from "./server";

export function LiveRecording() {
  const session = useSession(), network = useNetwork();
  const [progress, setProgress] = useState<RecordingProgress | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const controller = useRef<AbortController | null>(null);
  useEffect(() => () => controller.current?.abort(), []);
  const record = async () => {
    controller.current = new AbortController();
    setProblem(null);
    try {
      for await (const event of events<RecordingProgress>("record", {}, controller.current.signal, network)) {
        setProgress(event);
        if (event.ended) location.reload();
      }
    } catch (error) {
      setProgress(null);
      if (!isReplaced(error)) setProblem(problemOf(error));
    }
  };
  const share = progress && progress.total > 0 ? progress.done / progress.total : 0;
  return (
    <Figure title={say("record")} note={say("record note", { count: session.images })}>
      {progress ? (
        <div class="progress" role="status">
          <Bar share={share} />
          <small>{percent(share)}</small>
        </div>
      ) : (
        <p>
          <button type="button" class="primary" onClick={() => void record()}>
            {say("record now")}
          </button>
        </p>
      )}
      {problem && <Trouble problem={problem} />}
    </Figure>
  );
}
