import { describe, expect, it, vi } from "vitest";

vi.hoisted(() => vi.stubGlobal("localStorage", { getItem: () => "en", setItem: () => undefined }));

import { Newest } from "../newest";
import { Refusal } from "../server";

/** Asks that are answered by hand. */
function byHand() {
  const waiting: { question: number; answer: (value: string) => void; fail: (error: unknown) => void }[] = [];
  const ask = (question: number) => new Promise<string>((answer, fail) => waiting.push({ question, answer, fail }));
  return { waiting, ask };
}

const later = () => new Promise((resolve) => setTimeout(resolve));

describe("the newest question", () => {
  it("is asked next, and those between never", async () => {
    const { waiting, ask } = byHand(), told: string[] = [];
    const newest = new Newest(ask, (answer) => told.push(answer), vi.fn());
    for (const question of [1, 2, 3, 4]) newest.put(question);
    waiting[0]?.answer("one");
    await later();
    waiting[1]?.answer("four");
    await later();
    expect(waiting.map(({ question }) => question)).toEqual([1, 4]);
    expect(told).toEqual(["one", "four"]);
  });

  it("tells of errors, but not of a question that was replaced, and goes on", async () => {
    const { waiting, ask } = byHand(), fail = vi.fn(), tell = vi.fn();
    const newest = new Newest(ask, tell, fail);
    newest.put(1);
    waiting[0]?.fail(new Refusal(409, { kind: "busy", message: "replaced", hint: "" }));
    await later();
    expect(fail).not.toHaveBeenCalled();
    newest.put(2);
    waiting[1]?.fail(new Error("broken"));
    await later();
    expect(fail).toHaveBeenCalledTimes(1);
    newest.put(3);
    waiting[2]?.answer("three");
    await later();
    expect(tell).toHaveBeenCalledWith("three", 3);
  });

  it("tells nothing after the end", async () => {
    const { waiting, ask } = byHand(), tell = vi.fn();
    const newest = new Newest(ask, tell, vi.fn());
    newest.put(1);
    newest.end();
    waiting[0]?.answer("one");
    await later();
    expect(tell).not.toHaveBeenCalled();
  });
});
