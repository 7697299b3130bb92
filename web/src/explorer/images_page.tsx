// Images in a list: what a search, a cell of the confusion or a mistake leads to.
import { change, type Settings } from "./address";
import { useClassTitle, useSession } from "./explored";
import { say } from "./language";
import { AnswersOf, ImageLink, Select, TextField, Trouble, Waiting } from "./parts";
import type { ImageSearch } from "./schema";
import { useAnswer } from "./server";

const AT_ONCE = 60;

export function ImagesPage({ settings }: { settings: Settings }) {
  const title = useClassTitle();
  const from = Math.max(0, Math.round(Number(settings["from"] ?? "0") || 0));
  const query = new URLSearchParams({ from: String(from), limit: String(AT_ONCE) });
  for (const name of ["q", "label", "prediction", "mistakes", "differ"]) {
    const value = settings[name];
    if (value) query.set(name, value);
  }
  const { value: search, problem } = useAnswer<ImageSearch>(`search?${query.toString()}`);
  return (
    <>
      <header class="title">
        <h1>{say("images")}</h1>
        <p class="soft" role="status">
          {search && (settings["q"] ? say("images named", { total: search.total, text: settings["q"] }) : say("images total", { total: search.total }))}
        </p>
        <AnswersOf />
      </header>
      <Filters settings={settings} />
      {problem && <Trouble problem={problem} />}
      {!problem && !search && <Waiting />}
      {search && (
        <>
          <div class="images">
            {search.images.map((image) => (
              <ImageLink key={image.number} image={image}>
                {image.wrong && <small>{say("is really", { label: title(image.label) })}</small>}
                {image.other !== "" && image.other !== image.prediction && <small>{say("other says", { answer: title(image.other) })}</small>}
              </ImageLink>
            ))}
          </div>
          <p class="pager">
            {from > 0 && (
              <button type="button" onClick={() => change({ from: String(Math.max(0, from - AT_ONCE)) }, { step: true })}>
                {say("before")}
              </button>
            )}
            {from + AT_ONCE < search.total && (
              <button type="button" onClick={() => change({ from: String(from + AT_ONCE) }, { step: true })}>
                {say("more")}
              </button>
            )}
          </p>
        </>
      )}
    </>
  );
}

/** What the images that are shown have in common. */
function Filters({ settings }: { settings: Settings }) {
  const { classes, networks } = useSession(), title = useClassTitle();
  const choices = [{ value: "", text: say("any") }, ...classes.map((name) => ({ value: name, text: title(name) }))];
  const narrow = (chosen: Settings) => change({ ...chosen, from: "" }, { step: true });
  return (
    <div class="controls">
      <label class="control">
        <span>{say("search")}</span>
        <TextField type="search" value={settings["q"] ?? ""} choose={(q) => narrow({ q })} />
      </label>
      <Select name={say("label")} value={settings["label"] ?? ""} choices={choices} choose={(label) => narrow({ label })} />
      <Select name={say("answer")} value={settings["prediction"] ?? ""} choices={choices} choose={(prediction) => narrow({ prediction })} />
      <label class="control">
        <input type="checkbox" checked={settings["mistakes"] === "1"} onChange={(event) => narrow({ mistakes: event.currentTarget.checked ? "1" : "" })} />
        <span>{say("mistakes only")}</span>
      </label>
      {networks.length > 1 && (
        <label class="control">
          <input type="checkbox" checked={settings["differ"] === "1"} onChange={(event) => narrow({ differ: event.currentTarget.checked ? "1" : "" })} />
          <span>{say("differ only")}</span>
        </label>
      )}
    </div>
  );
}
