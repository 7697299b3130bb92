// What takes a while on the server and is watched: how far it has come, and how it begins and is stopped.
import { useEffect, useRef, useState } from "preact/hooks";
import { percent, say } from "./language";
import { Bar } from "./parts";
import type { Problem } from "./schema";
import { events, isReplaced, problemOf, useNetwork } from "./server";

interface Step {
  task?: string; // what is done; "waits" before it has begun
  done: number;
  total: number;
}

interface Watched<Event> {
  event: Event | null; // the latest
  runs: boolean;
  problem: Problem | null;
  begin: () => void;
  stop: () => void;
}

/** Has something made by a stream of events; who leaves the page, or asks it about something else (`key`), ends it. */
export function useWatched<Event extends Step>(path: string, question: unknown, key = ""): Watched<Event> {
  const network = useNetwork();
  const [event, setEvent] = useState<Event | null>(null);
  const [runs, setRuns] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const controller = useRef<AbortController | null>(null);
  const stop = () => {
    controller.current?.abort();
    setRuns(false);
    setEvent(null);
  };
  useEffect(() => {
    stop();
    setProblem(null);
    return () => controller.current?.abort();
  }, [key, network]);
  const work = async (here: AbortController) => {
    controller.current = here;
    setProblem(null);
    setEvent(null);
    setRuns(true);
    try {
      for await (const step of events<Event>(path, question, here.signal, network)) if (!here.signal.aborted) setEvent(step);
    } catch (error) {
      if (!here.signal.aborted && !isReplaced(error)) setProblem(problemOf(error));
    }
    if (!here.signal.aborted) setRuns(false);
  };
  return { event, runs, problem, begin: () => void work(new AbortController()), stop };
}

/** How far it has come. */
export function Progress({ event }: { event: Step | null }) {
  const share = event && event.total > 0 ? event.done / event.total : 0;
  return (
    <div class="progress" role="status">
      <Bar share={share} />
      <small>{event?.task === "waits" ? say("waits its turn") : event ? percent(share) : say("waiting")}</small>
    </div>
  );
}
