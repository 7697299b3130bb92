// The image that is chosen on the map, and what is near it.
import type { MapBoard } from "../map/board";
import { link } from "./address";
import { useClassTitle } from "./explored";
import { say } from "./language";
import { Picture } from "./parts";
import type { MapPage } from "./schema";

export function PickedImage({ board, page, index }: { board: MapBoard; page: MapPage; index: number }) {
  const title = useClassTitle();
  const className = (number: number | undefined) => (number === undefined || number < 0 ? say("no label") : title(page.classes[number] ?? ""));
  const number = page.numbers[index] ?? 0;
  return (
    <section class="picked">
      <div class="head">
        <a href={link("image", String(number))}>
          <Picture name={number} alt={page.ids[index] ?? ""} />
        </a>
        <dl>
          <dt>{say("image")}</dt>
          <dd>
            <a href={link("image", String(number))}>{page.ids[index]}</a>
          </dd>
          <dt>{say("label")}</dt>
          <dd>{className(page.labels[index])}</dd>
          <dt>{say("answer")}</dt>
          <dd class={page.wrong[index] ? "wrong" : ""}>{className(page.predictions[index])}</dd>
        </dl>
        <button type="button" class="quiet" aria-label={say("close")} onClick={() => board.choose(-1)}>
          ×
        </button>
      </div>
      <h2>{say("nearest")}</h2>
      <div class="near">
        {board.near(index).map((other) => (
          <button key={other} type="button" class="bare" title={page.ids[other] ?? ""} onClick={() => board.choose(other, true)}>
            <Picture name={page.numbers[other] ?? 0} alt={page.ids[other] ?? ""} />
            <small class={page.wrong[other] ? "wrong" : ""}>{className(page.predictions[other])}</small>
          </button>
        ))}
      </div>
    </section>
  );
}
