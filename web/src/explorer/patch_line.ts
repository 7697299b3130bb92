// A line to the server on which one patch after the other is asked for: a request for each takes a browser longer than a small network.
import type { PatchAnswer, PatchQuestion, Problem } from "./schema";
import { post, Refusal } from "./server";

export class PatchLine {
  private readonly socket = new WebSocket(new URL("api/patches", location.href.replace(/^http/, "ws")));
  private answered: ((message: MessageEvent<string | ArrayBuffer> | null) => void) | null = null;

  constructor() {
    this.socket.binaryType = "arraybuffer";
    this.socket.onmessage = (message: MessageEvent<string | ArrayBuffer>) => this.answered?.(message);
    this.socket.onclose = () => this.answered?.(null);
  }

  /** Asks; the next question waits for the answer. Where there is no line, as to a server that has ended, a request asks. */
  async ask(question: PatchQuestion): Promise<PatchAnswer> {
    const message = this.socket.readyState === WebSocket.OPEN ? await this.sent(question) : null;
    if (message === null) return post<PatchAnswer>("patch", question);
    if (typeof message.data === "string") throw refusal(JSON.parse(message.data) as Problem);
    const [milliseconds = 0, ...probabilities] = new Float32Array(message.data);
    return { probabilities, milliseconds };
  }

  /** Closes the line; one that is not open yet closes once it is, since a browser complains of a line that was never there. */
  end(): void {
    if (this.socket.readyState === WebSocket.CONNECTING) this.socket.onopen = () => this.socket.close();
    else this.socket.close();
  }

  private sent(question: PatchQuestion): Promise<MessageEvent<string | ArrayBuffer> | null> {
    return new Promise((tell) => {
      this.answered = tell;
      this.socket.send(JSON.stringify(question));
    });
  }
}

const refusal = (problem: Problem) => new Refusal(problem.kind === "busy" ? 409 : 400, problem);
