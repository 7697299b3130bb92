// The page of the map: all images where the network finds them, and what is common to those that one draws around.
// Of two networks both maps stand beside each other; what is chosen on one is chosen on the other.
import { useMemo, useState } from "preact/hooks";
import type { MapBoard } from "../map/board";
import type { Tool } from "../map/gestures";
import { change, type Settings } from "./address";
import { useClassTitle, useSession } from "./explored";
import { number, say, type Word } from "./language";
import { useLoadedMap, type LoadedMap, type Loading } from "./loaded_map";
import { MapControls, MapTools } from "./map_controls";
import { addressed, settingsOf, viewKey, viewSettings } from "./map_settings";
import { coloursOf, linesAbout, MapStage } from "./map_stage";
import { CopyCommands, DamagedRecords, Trouble, Waiting } from "./parts";
import { PickedImage } from "./picked_image";
import type { MapPage as Message, Problem } from "./schema";
import { readLine, searched } from "./selection";
import { SelectionPanel } from "./selection_panel";
import { NetworkNumber, useNetwork } from "./server";
import { Progress } from "./watched";

export function MapPage({ settings }: { settings: Settings }) {
  const { networks } = useSession(), around = useNetwork();
  const numbers = networks.length > 1 && settings["beside"] === "1" ? networks.map((network) => network.number) : [around];
  const first = useLoadedMap(numbers[0] ?? 0), second = useLoadedMap(numbers[1] ?? null);
  if (first.problem) return <Trouble problem={first.problem} />;
  if (!first.map) return <MapMaking loading={first} />;
  if (numbers.length > 1 && !second.map && !second.problem) return <MapMaking loading={second} />;
  const maps = numbers.length > 1 && second.map ? [first.map, second.map] : [first.map];
  return <Maps key={numbers.join()} maps={maps} settings={settings} problem={numbers.length > 1 ? second.problem : null} />;
}

const STEPS: Record<string, Word> = { "looking for neighbours": "map neighbours", "t-SNE": "map layout", thumbnails: "map thumbnails", "measuring the map": "map measure" };

/** A map on its way, which may be stopped where it is being made. */
function MapMaking({ loading: { step, stopped, begin, stop } }: { loading: Loading }) {
  if (!stopped && (!step || step.ended)) return <Waiting />;
  const task = STEPS[step?.task ?? ""];
  return (
    <section class="boardless">
      <p>{say("map waiting")}</p>
      {!stopped && task && <p class="note">{say(task)}</p>}
      {!stopped && <Progress event={step} />}
      <p>
        <button type="button" class={stopped ? "primary" : ""} onClick={stopped ? begin : stop}>
          {say(stopped ? "map make" : "stop")}
        </button>
      </p>
    </section>
  );
}

/** The numbers of the images that the address chooses: by a line on one of the maps, or by what was searched for; null where none. */
function useChosen(maps: readonly LoadedMap[], boards: ReadonlyMap<number, MapBoard>, settings: Settings): ReadonlySet<number> | null {
  const title = useClassTitle(), lasso = settings["lasso"] ?? "", find = settings["find"] ?? "", drawnOn = settings["lasso-of"] ?? "";
  const map = maps.find(({ network }) => String(network) === drawnOn) ?? maps[0], board = map && boards.get(map.network);
  return useMemo(() => {
    if (!map || !board) return null;
    const line = readLine(lasso);
    const indices = find ? searched(find, map.data, title, board.visible) : line ? board.inside(line) : null;
    return indices && new Set(indices.map((index) => map.page.numbers[index] ?? -1));
  }, [board, find, lasso, viewKey(viewSettings(settings, map !== maps[0]))]);
}

function Maps({ maps, settings, problem }: { maps: LoadedMap[]; settings: Settings; problem: Problem | null }) {
  const { networks } = useSession(), title = useClassTitle();
  const [boards, setBoards] = useState<ReadonlyMap<number, MapBoard>>(new Map());
  const [, setChanges] = useState(0); // of what the maps hold themselves: an image that is picked, how it is coloured
  const changed = () => setChanges((count) => count + 1);
  const [tool, setTool] = useState<Tool>("move");
  const chosen = useChosen(maps, boards, settings);
  const selections = useMemo(
    () => maps.map(({ page }) => chosen && page.numbers.flatMap((image, index) => (chosen.has(image) ? [index] : []))),
    [chosen, maps[0], maps[1]],
  );
  const main = maps[0], board = main && boards.get(main.network);
  if (!main) return null;
  const name = (network: number) => networks.find((each) => each.number === network)?.name ?? "";
  const made = (network: number) => (drawn: MapBoard | null) =>
    setBoards((before) => new Map(drawn ? [...before, [network, drawn]] : [...before].filter(([number]) => number !== network)));
  const refresh = () => {
    if (!board) return;
    board.paint();
    change(addressed(settingsOf(board, main.page), false));
    changed();
  };
  const two = maps.length > 1;
  return (
    <div class={two || problem ? "board two" : "board"}>
      {maps.map((map, index) => (
        <NetworkNumber.Provider value={map.network} key={map.network}>
          <section class="stage-of" aria-label={name(map.network)}>
            {(two || problem) && <p class="network-name">{name(map.network)}</p>}
            <MapStage map={map} settings={settings} second={index > 0} tool={tool} selection={selections[index] ?? null} made={made(map.network)} changed={changed} />
          </section>
        </NetworkNumber.Provider>
      ))}
      {problem && <Trouble problem={problem} />}
      <aside>
        <header class="title">
          <h1>{say("map")}</h1>
          <MapNote page={main.page} />
          {two && <p class="note">{say("two maps note")}</p>}
          <CopyCommands commands={main.page.commands} />
          <DamagedRecords records={main.page.damaged} />
        </header>
        <MapTools tool={tool} setTool={setTool} settings={settings} />
        <p class="unseen" role="status">
          {board && board.view.picked >= 0 && linesAbout(main, board.view.picked, title).join(", ")}
        </p>
        {board && board.view.picked >= 0 && <PickedImage board={board} page={main.page} index={board.view.picked} />}
        {maps.map((map, index) => {
          const selection = selections[index];
          return (
            selection && (
              <NetworkNumber.Provider value={map.network} key={map.network}>
                <SelectionPanel map={map.page} indices={selection} heading={two ? name(map.network) : ""} />
              </NetworkNumber.Provider>
            )
          );
        })}
        {board && <MapControls board={board} data={main.data} colours={coloursOf(main)} refresh={refresh} />}
      </aside>
    </div>
  );
}

function MapNote({ page }: { page: Message }) {
  const trusted = page.quality["trustworthiness"];
  return (
    <p class="note">
      {say("map note", { count: page.count, method: page.method })}
      {trusted !== undefined && ` ${say("map quality", { value: number(trusted, 2) })}`}
    </p>
  );
}
