// How the map is drawn, what is shown of it, and what one draws with.
import type { MapBoard } from "../map/board";
import { GREY, type MapData } from "../map/data";
import type { Tool } from "../map/gestures";
import type { MapView } from "../map/view";
import { change, type Settings } from "./address";
import { useClassTitle } from "./explored";
import { number, percent, say } from "./language";
import { Choices, TextField } from "./parts";

interface MapState {
  board: MapBoard;
  data: MapData;
  colours: readonly MapView["colour"][];
  refresh: () => void;
}

const TOOLS: Tool[] = ["move", "lasso", "rectangle"];

/** How images are chosen: it stands above what is said of those that are, so that others can be. */
export function MapTools({ tool, setTool, settings }: { tool: Tool; setTool: (tool: Tool) => void; settings: Settings }) {
  return (
    <section class="map-controls">
      <Choices name={say("tool")} value={tool} choices={TOOLS.map((value) => ({ value, text: say(`tool ${value}`) }))} choose={(chosen) => setTool(chosen as Tool)} />
      <label class="control wide">
        <span>{say("find")}</span>
        <TextField type="search" value={settings["find"] ?? ""} placeholder={say("find hint")} choose={(find) => change({ find, lasso: "", "lasso-of": "" }, { step: true })} />
      </label>
    </section>
  );
}

export function MapControls({ board, data, colours, refresh }: MapState) {
  const { view } = board;
  const set = (changed: Partial<MapView>) => {
    if (changed.colour && (changed.colour === "prediction") !== (view.colour === "prediction")) view.off.clear();
    Object.assign(view, changed);
    refresh();
  };
  return (
    <section class="map-controls">
      <Choices
        name={say("drawn as")}
        value={view.mode}
        choices={[{ value: "images", text: say("drawn images") }, { value: "dots", text: say("drawn dots") }]}
        choose={(mode) => set({ mode: mode as MapView["mode"] })}
      />
      <Choices name={say("colour")} value={view.colour} choices={colours.map((value) => ({ value, text: say(`colour ${value}`) }))} choose={(colour) => set({ colour: colour as MapView["colour"] })} />
      <label class="control wide">
        <span>{say("size")}</span>
        <input type="range" min={-2} max={3} step={0.1} value={view.size} aria-valuetext={percent(2 ** view.size)} onInput={(event) => set({ size: Number(event.currentTarget.value) })} />
        <output>{percent(2 ** view.size)}</output>
      </label>
      <p class="controls">
        {colours.includes("mistake") && (
          <label class="control">
            <input type="checkbox" checked={view.only === 1} onChange={(event) => set({ only: event.currentTarget.checked ? 1 : 0 })} />
            <span>{say("mistakes only")}</span>
          </label>
        )}
        <button type="button" onClick={() => board.home()}>
          {say("whole map")}
        </button>
      </p>
      <Legend board={board} data={data} refresh={refresh} />
      <p class="note">{say("map help")}</p>
    </section>
  );
}

/** The classes with their colours; each is shown or not. */
function Legend({ board, data, refresh }: { board: MapBoard; data: MapData; refresh: () => void }) {
  const title = useClassTitle(), { view } = board;
  const counts = new Map<number, number>();
  for (let index = 0; index < data.count; index++) counts.set(board.numberOf(index), (counts.get(board.numberOf(index)) ?? 0) + 1);
  const coloured = view.colour === "label" || view.colour === "prediction";
  const toggle = (own: number) => {
    if (!view.off.delete(own)) view.off.add(own);
    refresh();
  };
  const all = [...counts.keys()];
  return (
    <div class="legend-classes" role="group" aria-label={say("classes")}>
      {[...counts]
        .sort(([one], [other]) => one - other)
        .map(([own, count]) => (
          <button key={own} type="button" aria-pressed={!view.off.has(own)} onClick={() => toggle(own)}>
            {coloured && <i style={{ background: own < 0 ? `rgb(${GREY.join(",")})` : (data.colours[own] ?? "") }} />}
            {own < 0 ? say("no label") : title(data.classes[own] ?? "")} <small>{number(count)}</small>
          </button>
        ))}
      <button
        type="button"
        class="quiet"
        onClick={() => {
          view.off = view.off.size ? new Set() : new Set(all);
          refresh();
        }}
      >
        {say(view.off.size ? "show all" : "show none")}
      </button>
    </div>
  );
}
