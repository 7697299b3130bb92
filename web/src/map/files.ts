// How files of a map's folder are fetched: whole, or with their name in the error.

const TRIES = 3;
const PAUSE = 250; // milliseconds after the first failure, twice as many after the second

export const message = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** An error that says of which file it is; what caused it is all in its text. */
const named = (path: string, error: unknown) => new Error(`${path}: ${message(error)}`);

/** Fetches a file and reads it, three times at the most; what reading throws counts as a failure, as a broken connection does. */
export async function fetchFile<Content>(path: string, read: (blob: Blob) => Promise<Content>): Promise<Content> {
  for (let attempt = 1; ; attempt++) {
    try {
      // What could not be read may lie in the browser's cache as it is.
      const answer = await fetch(path, attempt > 1 ? { cache: "reload" } : {});
      if (!answer.ok) throw new Error(`${String(answer.status)} ${answer.statusText}`);
      return await read(await answer.blob());
    } catch (error) {
      if (attempt === TRIES) throw named(path, error);
      await new Promise((go) => setTimeout(go, PAUSE * attempt));
    }
  }
}

/** Gives the bytes of a file that is to have so many. */
export async function wholeBuffer(blob: Blob, length: number): Promise<ArrayBuffer> {
  if (blob.size !== length) throw new Error(`${blob.size.toLocaleString("en")} bytes instead of ${length.toLocaleString("en")}`);
  return blob.arrayBuffer();
}

/** Gives a list of texts of a gzipped file that is to have so many. */
export async function wholeList(blob: Blob, length: number): Promise<string[]> {
  const list = JSON.parse(await new Response(blob.stream().pipeThrough(new DecompressionStream("gzip"))).text()) as string[];
  if (list.length !== length) throw new Error(`${list.length.toLocaleString("en")} ids instead of ${length.toLocaleString("en")}`);
  return list;
}

/** Gives a JPEG that ends as one: browsers draw the beginning of one that was cut, without an error. */
export async function wholePicture(blob: Blob): Promise<Blob> {
  const end = new Uint8Array(await blob.slice(-2).arrayBuffer());
  if (end[0] !== 0xff || end[1] !== 0xd9) throw new Error("the picture is cut");
  return blob;
}
