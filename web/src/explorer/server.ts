// What the server is asked, and what a page shows while it waits or when it is refused.
import { createContext } from "preact";
import { useContext, useEffect, useRef, useState } from "preact/hooks";
import { link, readAddress, type PageName, type Settings } from "./address";
import { decoded, isExported, writtenAnswer } from "./exported";
import { say } from "./language";
import type { Problem } from "./schema";

/** A question that was not answered: what went wrong, and what would work. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly problem: Problem,
  ) {
    super(problem.message);
  }
}

/** A newer question of the same view took the place of this one: nothing is wrong. */
export const isReplaced = (error: unknown) =>
  (error instanceof Refusal && error.status === 409) || (error instanceof DOMException && error.name === "AbortError");

/** The number of the network that the address names, where two are. */
const networkNumber = () => Number(readAddress(location.hash).settings["network"] ?? "0") || 0;

/** The network of a part of the page, where two stand beside each other; else it is that of the address. */
export const NetworkNumber = createContext<number | null>(null);

/** The number of the network that a component is about. */
export const useNetwork = (): number => useContext(NetworkNumber) ?? networkNumber();

/** What writes links of a part of the page: they lead to the network that the part is about. */
export function useLink(): typeof link {
  const around = useContext(NetworkNumber);
  if (around === null) return link;
  return (page: PageName, name = "", settings: Settings = {}) => link(page, name, { network: around ? String(around) : "", ...settings });
}

/** The address of something below /api, for the network that is looked at. */
export function address(path: string, network = networkNumber()): string {
  if (!network) return `api/${path}`;
  return `api/${path}${path.includes("?") ? "&" : "?"}network=${network}`;
}

/** What gives the address of a picture or a page, for the network of this part of the page; in an export it is a file. */
export function useFileAddress(): (path: string, ending?: string) => string {
  const network = useNetwork();
  return (path, ending = "") => (isExported() ? `api/${path}${ending}` : address(path, network));
}

async function asked(path: string, init: RequestInit, network?: number): Promise<Response> {
  const response = await fetch(address(path, network), { credentials: "same-origin", ...init });
  if (response.ok) return response;
  const text = await response.text();
  let problem: Problem = { kind: "damaged", message: `${response.status} ${response.statusText}`, hint: "" };
  if (response.headers.get("content-type")?.includes("json")) problem = { ...problem, ...(JSON.parse(text) as Partial<Problem>) };
  throw new Refusal(response.status, problem);
}

/** What an export has written down. */
async function written(path: string, network?: number): Promise<unknown> {
  const answer = await writtenAnswer(address(path, network).slice("api/".length));
  if (answer === null) throw new Refusal(404, { kind: "not found", message: say("not exported"), hint: say("not exported hint") });
  return answer;
}

export async function get<Message>(path: string, signal?: AbortSignal, network?: number): Promise<Message> {
  if (isExported()) return (await written(path, network)) as Message;
  return (await (await asked(path, signal ? { signal } : {}, network)).json()) as Message;
}

export async function bytes(path: string, signal?: AbortSignal, network?: number): Promise<ArrayBuffer> {
  if (isExported()) return decoded((await written(path, network)) as string);
  return (await asked(path, signal ? { signal } : {}, network)).arrayBuffer();
}

/** Asks with a question of JSON; `network` where the question does not name one. */
export async function post<Message>(path: string, question: unknown, signal?: AbortSignal, network?: number): Promise<Message> {
  return (await (await sent(path, question, signal, network)).json()) as Message;
}

async function sent(path: string, question: unknown, signal?: AbortSignal, network?: number): Promise<Response> {
  const init = { method: "POST", body: JSON.stringify(question), headers: { "content-type": "application/json" } };
  return asked(path, signal ? { ...init, signal } : init, network);
}

const LONGEST_TITLE = 200; // characters; the end of a file's name tells what it is

export async function upload<Message>(file: Blob): Promise<Message> {
  const init = { method: "POST", body: file, headers: { "content-type": file.type || "application/octet-stream" } };
  const title = file instanceof File ? `?title=${encodeURIComponent(file.name.slice(-LONGEST_TITLE))}` : "";
  return (await (await asked(`uploads${title}`, init)).json()) as Message;
}

/** Asks and gives one event after the other; leaving the loop, or the signal, ends the answer. */
export async function* events<Message>(path: string, question: unknown, signal: AbortSignal, network?: number): AsyncGenerator<Message> {
  const body = (await sent(path, question, signal, network)).body;
  if (!body) return;
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const blocks = (rest + value).split(/\r?\n\r?\n/);
      rest = blocks.pop() ?? "";
      for (const block of blocks) {
        const lines = block.split(/\r?\n/), data = lines.filter((line) => line.startsWith("data:"));
        if (!data.length) continue;
        const event: unknown = JSON.parse(data.map((line) => line.slice("data:".length)).join("\n"));
        if (lines.some((line) => /^event: *problem$/.test(line))) throw new Refusal(500, event as Problem);
        yield event as Message;
      }
    }
  } finally {
    await reader.cancel();
  }
}

/** What is known of an answer that is waited for. */
export interface Awaited<Message> {
  value: Message | null;
  problem: Problem | null;
}

export function problemOf(error: unknown): Problem {
  // What a browser says where nobody listens is another in each.
  if (error instanceof TypeError) return { kind: "damaged", message: say("no server"), hint: say("no server hint") };
  if (error instanceof Refusal) return error.problem;
  return { kind: "damaged", message: error instanceof Error ? error.message : String(error), hint: "" };
}

const remembered = new Map<string, unknown>();
const MOST_REMEMBERED = 64;

const forgetting = new EventTarget();

/** Forgets what was answered, after something was kept; what is shown is asked for anew, and stands until the answer is there. */
export function forget(): void {
  remembered.clear();
  forgetting.dispatchEvent(new Event("forget"));
}

/** How often was forgotten. */
function useForgotten(): number {
  const [times, setTimes] = useState(0);
  useEffect(() => {
    const count = () => setTimes((before) => before + 1);
    forgetting.addEventListener("forget", count);
    return () => forgetting.removeEventListener("forget", count);
  }, []);
  return times;
}

/** An answer of the server for as long as a page shows it; `path` null asks nothing. What was asked lately is there at once. */
export function useAnswer<Message>(path: string | null, of?: number): Awaited<Message> {
  const around = useNetwork(), network = of ?? around;
  const key = path === null ? "" : address(path, network);
  const [answer, setAnswer] = useState<Awaited<Message> & { key: string }>({ key: "", value: null, problem: null });
  const latest = useRef(answer), forgotten = useForgotten();
  useEffect(() => {
    if (path === null || remembered.has(key)) return;
    const controller = new AbortController();
    get<Message>(path, controller.signal, network).then(
      (value) => {
        const [oldest] = remembered.keys();
        if (remembered.size >= MOST_REMEMBERED && oldest !== undefined) remembered.delete(oldest);
        remembered.set(key, value);
        setAnswer({ key, value, problem: null });
      },
      (error: unknown) => {
        if (!isReplaced(error)) setAnswer({ key, value: null, problem: problemOf(error) });
      },
    );
    return () => controller.abort();
  }, [key, forgotten]);
  if (remembered.has(key)) latest.current = { key, value: remembered.get(key) as Message, problem: null };
  else if (answer.key === key && answer.problem) latest.current = answer;
  return latest.current.key === key ? latest.current : { value: null, problem: null };
}
