// Questions of which only the newest matters: one is asked at a time, and of those that come meanwhile the last one is asked next.
import { isReplaced } from "./server";

export class Newest<Question, Answer> {
  private waiting: Question | null = null;
  private busy = false;
  private ended = false;

  constructor(
    private readonly ask: (question: Question) => Promise<Answer>,
    private readonly tell: (answer: Answer, question: Question) => void,
    private readonly fail: (error: unknown) => void,
  ) {}

  put(question: Question): void {
    this.waiting = question;
    if (!this.busy) void this.work();
  }

  /** Tells nothing any more. */
  end(): void {
    this.ended = true;
    this.waiting = null;
  }

  private async work(): Promise<void> {
    this.busy = true;
    while (this.waiting !== null && !this.ended) {
      const question = this.waiting;
      this.waiting = null;
      try {
        const answer = await this.ask(question);
        // What is asked since lies elsewhere, but a patch that moves on and on must not keep its bars from moving.
        if (!this.ended) this.tell(answer, question);
      } catch (error) {
        if (!this.ended && !isReplaced(error)) this.fail(error);
      }
    }
    this.busy = false;
  }
}

let views = 0;

/** A name for one who asks, by which a newer question of the same replaces the older: another in every tab. */
export const viewName = (kind: string) => `${kind}-${++views}-${Math.random().toString(36).slice(2)}`;
