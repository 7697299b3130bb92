import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { fetchFile, wholeBuffer, wholeList, wholePicture } from "../files";

const read = (blob: Blob) => wholeBuffer(blob, 4);
let asked = 0;

/** A server that gives these answers one after the other; of each an error, or what is sent. */
function serve(...answers: (Error | Response)[]): void {
  vi.stubGlobal("fetch", () => {
    const answer = answers[asked++] ?? new Error("nothing more");
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
  });
}

const sent = (...bytes: number[]) => new Response(Uint8Array.from(bytes));

beforeEach(() => {
  asked = 0;
  vi.stubGlobal("setTimeout", queueMicrotask); // nobody waits between two tries
});
afterEach(() => vi.unstubAllGlobals());

const failure = (promise: Promise<unknown>) => promise.then(() => "", (error: unknown) => (error as Error).message);

test("a file is fetched three times before it is given up, whether it was lost, refused or cut", async () => {
  serve(new Error("broken connection"), new Response("", { status: 503, statusText: "Busy" }), sent(1, 2, 3, 4));
  expect(new Uint8Array(await fetchFile("near/0.bin", read))).toEqual(Uint8Array.of(1, 2, 3, 4));
  expect(asked).toBe(3);
});

test("what cannot be had is said with the file's name and what is wrong with it", async () => {
  serve(sent(1), sent(1), sent(1, 2, 3), sent(1, 2, 3, 4));
  expect(await failure(fetchFile("points/0.bin", read))).toBe("points/0.bin: 3 bytes instead of 4");
  expect(asked).toBe(3);
});

test("ids are unpacked, as many as there are to be", async () => {
  const packed = await new Response(new Blob([JSON.stringify(["a", "b"])]).stream().pipeThrough(new CompressionStream("gzip"))).blob();
  expect(await wholeList(packed, 2)).toEqual(["a", "b"]);
  await expect(wholeList(packed, 3)).rejects.toThrow("2 ids instead of 3");
  await expect(wholeList(packed.slice(0, 12), 2)).rejects.toThrow();
});

test("a picture that was cut is not taken for one", async () => {
  const whole = new Blob([Uint8Array.of(0xff, 0xd8, 1, 2, 0xff, 0xd9)]);
  expect(await wholePicture(whole)).toBe(whole);
  await expect(wholePicture(whole.slice(0, 4))).rejects.toThrow("cut");
});
