// The page of a layer: all its units as tiles, in the order that one asks for.
import { useLayoutEffect } from "preact/hooks";
import { change, type Settings } from "./address";
import { Concepts } from "./concepts";
import { useAsks, useClassTitle, useSession } from "./explored";
import { isExported } from "./exported";
import { number, percent, say } from "./language";
import { RecordButton } from "./live_recording";
import { Bar, Choices, CopyCommands, DamagedRecords, Figure, Picture, Select, Trouble, usePictureClass, useUnitTitle, Waiting } from "./parts";
import type { LayerPage as Message, LayerSummary, UnitsFound, UnitSummary } from "./schema";
import { useAnswer, useFileAddress, useLink } from "./server";
import { heldOut, layerSize } from "./network_page";
import { ordered, type Order } from "./unit_order";

const ORDERS: Order[] = ["number", "selectivity", "answered", "likeness"];

export function LayerPage({ name, settings }: { name: string; settings: Settings }) {
  const like = settings["like"] ?? "", wanted = settings["class"] ?? "";
  const { value: page, problem } = useAnswer<Message>(`layers/${encodeURIComponent(name)}${like ? `?like=${encodeURIComponent(like)}` : ""}`);
  const find = useAnswer<UnitsFound>(wanted && page ? `find?class=${encodeURIComponent(wanted)}&layer=${encodeURIComponent(name)}&limit=${page.layer.channels}` : null);
  const optimized = settings["pictures"] !== "images";
  useSwitchKey(optimized);
  if (problem) return <Trouble problem={problem} />;
  if (!page) return <Waiting />;
  const { layer } = page;
  // In the order of choosing: one by what was held out would choose by it, and flatter it. The numbers are held out, where some were.
  const scores = new Map(find.value?.units.map(({ unit, auc }) => [unit, auc]));
  const shown = new Map(find.value?.units.map(({ unit, auc, auc_held_out: held }) => [unit, held ?? auc]));
  const order = (ORDERS.find((each) => each === settings["sort"]) ?? (like ? "likeness" : "number"));
  const units = ordered(page.units, wanted && find.value ? "class" : order, scores);
  return (
    <>
      <header class="title">
        <h1>{layer.name}</h1>
        <p class="soft">
          {[layer.kind, layerSize(layer), layer.dead.length > 0 ? say("dead count", { count: layer.dead.length }) : ""].filter(Boolean).join(" \u00b7 ")}
        </p>
        <CopyCommands commands={page.commands} />
      </header>
      <DamagedRecords records={page.damaged} />
      {units.length === 0 && <Channels layer={layer} />}
      <TilesControls page={page} find={find.value} wanted={wanted} like={like} order={order} optimized={optimized} />
      {find.problem && <Trouble problem={find.problem} />}
      <ol class="tiles">
        {units.map((unit) => (
          <Tile key={unit.unit} unit={unit} optimized={optimized} score={shown.get(unit.unit)} wanted={wanted} />
        ))}
      </ol>
      <Concepts layer={layer.name} />
    </>
  );
}

/** Shows the strongest images in place of the optimised pictures, and the other way round, by a key. */
function useSwitchKey(optimized: boolean): void {
  // Not after the next frame, as other effects: a key is pressed as soon as the page is seen.
  useLayoutEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.key !== "o" || event.ctrlKey || event.metaKey || event.altKey || (event.target as Element).matches("input, select")) return;
      change({ pictures: optimized ? "images" : "" });
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, [optimized]);
}

interface TilesControlsSettings {
  page: Message;
  find: UnitsFound | null;
  wanted: string;
  like: string;
  order: Order;
  optimized: boolean;
}

/** In which order the units stand, and as what they are shown. */
function TilesControls({ page, find, wanted, like, order, optimized }: TilesControlsSettings) {
  const { classes } = useSession(), title = useClassTitle();
  const hasPictures = page.units.some((unit) => unit.optimized !== "");
  const orders = ORDERS.filter((each) => each !== "likeness" || like !== "");
  return (
    <div class="controls-block">
      <div class="controls" hidden={page.units.length === 0}>
        {!wanted && <Choices name={say("sorted by")} value={order} choices={orders.map((value) => ({ value, text: say(`order ${value}`) }))} choose={(sort) => change({ sort })} />}
        <Select
          name={say("tells class")}
          value={wanted}
          choices={[{ value: "", text: say("any") }, ...classes.map((each) => ({ value: each, text: title(each) }))]}
          choose={(chosen) => change({ class: chosen }, { step: true })}
        />
        {hasPictures && (
          <Choices
            name={say("shown as")}
            value={optimized ? "optimized" : "images"}
            choices={[{ value: "optimized", text: say("optimized picture") }, { value: "images", text: say("strongest image") }]}
            choose={(value) => change({ pictures: value === "images" ? "images" : "" })}
          />
        )}
        {like && (
          <button type="button" onClick={() => change({ like: "", sort: "" }, { step: true })}>
            {say("not like", { unit: like })}
          </button>
        )}
      </div>
      {wanted && find ? (
        <p class="note">
          {say("ranked by class", { class: title(wanted) })} {heldOut(find)}
        </p>
      ) : (
        <>
          {order === "selectivity" && page.units.length > 0 && <p class="note">{say("selectivity note")}</p>}
          {hasPictures && <p class="note of-keys">{say("toggle note")}</p>}
        </>
      )}
    </div>
  );
}

/** The units of a layer that was not recorded: of each a picture can be grown. */
function Channels({ layer }: { layer: LayerSummary }) {
  const { images, read_only } = useSession(), asks = useAsks();
  const units = Array.from({ length: layer.channels }, (_, channel) => channel), link = useLink();
  return (
    <Figure title={say("not recorded")} note={say("not recorded note")}>
      {asks && images > 0 && !read_only && layer.channels > 0 && <RecordButton text={say("record layer", { count: images })} layer={layer.name} />}
      <p class="chips">
        {units.map((channel) => (
          <a href={link("unit", `${layer.name}:${channel}`)}>{channel}</a>
        ))}
      </p>
    </Figure>
  );
}

interface TileSettings {
  unit: UnitSummary;
  optimized: boolean;
  score: number | undefined;
  wanted: string;
}

function Tile({ unit, optimized, score, wanted }: TileSettings) {
  const title = useClassTitle(), unitTitle = useUnitTitle(), link = useLink(), fileAddress = useFileAddress(), pictureClass = usePictureClass();
  const alt = say("unit", { unit: unitTitle(unit.unit) });
  const auc = score === undefined ? unit.selectivity : score;
  return (
    <li class={unit.dead ? "tile dead" : "tile"}>
      <a href={link("unit", unit.unit)}>
        {optimized && unit.optimized ? (
          <span class={pictureClass}>
            <img src={fileAddress(unit.optimized)} alt={alt} loading="lazy" />
          </span>
        ) : unit.dead ? (
          <span class="picture empty">{say("answers nothing")}</span>
        ) : (
          <Picture name={unit.strongest} field={unit.field} alt={alt} />
        )}
        <span class="caption">
          <b aria-hidden="true">{unit.number}</b>
          {auc !== null && (
            <>
              <span>{title(wanted || unit.class_name)}</span>
              <Bar share={auc} low={0.5} />
              <small>{number(auc, 2)}</small>
            </>
          )}
        </span>
      </a>
      <span class="under">
        <small title={say("answered note")}>
          {unit.likeness === null ? say("answered", { share: percent(unit.answered) }) : say("likeness", { value: number(unit.likeness, 2) })}
        </small>
        {!isExported() && <button type="button" class="quiet" aria-label={`${say("alike")}: ${unitTitle(unit.unit)}`} onClick={() => change({ like: unit.unit, sort: "", class: "" }, { step: true })}>
          {say("alike")}
        </button>}
      </span>
    </li>
  );
}
