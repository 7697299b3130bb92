// What the units of a layer answer at every place of an image.
import { useEffect, useRef } from "preact/hooks";
import { distanceColour } from "../heat";
import { change } from "./address";
import { figures, language, say } from "./language";
import { Figure, Select, Trouble, Waiting } from "./parts";
import type { ActivationMaps, NetworkPage } from "./schema";
import { useAnswer, useLink, useNetwork } from "./server";

const MOST = 48;

export function ActivationMapsOf({ image, layer }: { image: string; layer: string }) {
  const number = useNetwork();
  const network = useAnswer<NetworkPage>(`network/${number}?lang=${language()}`).value;
  const layers = network?.layers.filter((summary) => summary.rows > 1) ?? [];
  const chosen = layers.some((each) => each.name === layer) ? layer : "";
  const path = chosen ? `images/${encodeURIComponent(image)}/maps/${encodeURIComponent(chosen)}?limit=${MOST}` : null;
  const { value: maps, problem } = useAnswer<ActivationMaps>(path);
  return (
    <Figure title={say("activation maps")} note={say("activation maps note")} commands={maps?.commands} wide>
      <Select
        name={say("layer")}
        value={chosen}
        choices={[{ value: "", text: say("choose layer") }, ...layers.map((each) => ({ value: each.name, text: each.name }))]}
        choose={(name) => change({ layer: name })}
      />
      {problem && <Trouble problem={problem} />}
      {chosen && !maps && !problem && <Waiting />}
      {maps && <Maps maps={maps} />}
    </Figure>
  );
}

function Maps({ maps }: { maps: ActivationMaps }) {
  const values = Uint8Array.from(atob(maps.values), (sign) => sign.charCodeAt(0));
  const places = maps.rows * maps.columns, link = useLink();
  return (
    <ol class="tiles maps">
      {maps.units.map((unit, index) => {
        const high = figures(maps.high[index] ?? 0);
        return (
          <li class="tile" key={unit}>
            <a href={link("unit", unit)} title={say("highest", { unit, value: high })}>
              <ActivationMap values={values.subarray(index * places, (index + 1) * places)} rows={maps.rows} columns={maps.columns} />
              <span class="caption">
                <b>{unit.split(":")[1]}</b>
                <small>{high}</small>
              </span>
            </a>
          </li>
        );
      })}
    </ol>
  );
}

export function ActivationMap({ values, rows, columns }: { values: Uint8Array; rows: number; columns: number }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const pen = canvas.current?.getContext("2d");
    if (!pen) return;
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        pen.fillStyle = distanceColour((values[row * columns + column] ?? 0) / 255);
        pen.fillRect(column, row, 1, 1);
      }
    }
  }, [values, rows, columns]);
  return <canvas ref={canvas} class="activation" width={columns} height={rows} aria-hidden="true" />;
}
