"""How soon the folder of a large map opens in a browser, and how it moves: ``make bench-map-folder``.

The points are those of groups drawn at random, and every tile has the same sheet of thumbnails, as large as those of
CIFAR-10. The browser draws by software here, so beside the time between frames stands what the page's own script takes of
it, how many calls the graphics card gets, and how many bytes are fetched.
"""

from __future__ import annotations

import argparse
import functools
import http.server
import io
import json
import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from time import perf_counter
from typing import Any
from unittest.mock import patch

import numpy as np
from PIL import Image

from benchmarks.figures import goes_first, machine, put, said_of_others, where
from iconoscope.results import ImageMap, Question
from iconoscope.show import map_folder

COMMAND = "make bench-map-folder"
ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "map_folder.json"
FLAGS = (
    "--no-sandbox --disable-background-networking --use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader"
)
SIDE, FRAMES = 32, 40
VIEWS = {"zoomed out": 1.0, "halfway": 24.0, "wholly in": 2000.0}
MEASURE = """async ([zoom, frames]) => {
  const { board } = map.page, { folder } = map, { view } = board;
  // Above an image of the middle of the list, of which some lie deep.
  const index = Math.floor(folder.data.count * 0.7);
  view.x = folder.data.points[2 * index] / 65535; view.y = folder.data.points[2 * index + 1] / 65535; view.z = 0.95 * zoom;
  if (zoom === 1) board.home();
  const before = folder.fetched;
  board.again();
  const settled = async () => { do await new Promise((go) => setTimeout(go, 50)); while (!folder.isSettled); };
  const began = performance.now();
  await settled();
  const waited = performance.now() - began, script = [], between = [];
  let last = performance.now();
  for (let frame = 0; frame < frames; frame++) {
    board.screen.move(3, 2);
    const from = performance.now();
    board.draw();
    script.push(performance.now() - from);
    await new Promise(requestAnimationFrame);
    between.push(performance.now() - last);
    last = performance.now();
  }
  const middle = (list) => list.sort((one, other) => one - other)[Math.floor(list.length / 2)];
  const shown = document.querySelector("#shown").textContent;
  return { waited, script: middle(script), between: middle(between), calls: board.calls, fetched: folder.fetched - before,
    shown, extent: board.screen.extent };
}"""


def random_map(count: int) -> ImageMap:
    """Give a map of so many images in forty groups, without thumbnails."""
    random = np.random.default_rng(0)
    middles = random.normal(size=(40, 2)) * 10
    spread = random.normal(size=(count, 2)) * random.gamma(1, 1, size=(count, 1))
    classes = tuple(f"class {number}" for number in range(10))
    groups = random.integers(0, 40, count)
    return ImageMap(
        question=Question(technique="map", network="a network", weights="w", subject=f"{count:,} images", pixels="p"),
        points=(middles[groups] + spread).astype(np.float32),
        ids=np.array([f"train/{row:07d}.jpg" for row in range(count)]),
        labels=np.array(classes)[groups % 10],
        targets=groups % 10,
        predictions=np.where(random.random(count) < 0.1, (groups + 1) % 10, groups % 10),
        classes=classes,
        method="tsne",
        vectors="penultimate",
        metric="cosine",
        neighbours=random.integers(0, count, (count, 8), dtype=np.int32),
        trustworthiness=0.98,
        trusted_k=15,
        same_class_vectors=None,
        same_class_map=None,
        atlas=np.zeros(0, np.uint8),
        atlas_ends=np.zeros(0, np.int64),
        side=SIDE,
    )


def random_sheet() -> bytes:
    """Give a sheet of 256 blurred pictures, as JPEG."""
    random = np.random.default_rng(0)
    small = random.integers(0, 256, (256, 8, 8, 3), np.uint8)
    pictures = [np.asarray(Image.fromarray(picture).resize((SIDE, SIDE))) for picture in small]
    sheet = np.stack(pictures).reshape(16, 16, SIDE, SIDE, 3).swapaxes(1, 2).reshape(16 * SIDE, 16 * SIDE, 3)
    file = io.BytesIO()
    Image.fromarray(sheet).save(file, "JPEG", quality=82)
    return file.getvalue()


def write(count: int, folder: Path) -> float:
    """Write the folder of a random map; give the seconds without those for thumbnails."""
    sheet = random_sheet()

    @contextmanager
    def no_thumbnails(image_map: ImageMap) -> Iterator[None]:
        yield None

    began = perf_counter()
    with patch.object(map_folder, "_thumbnails", no_thumbnails), patch.object(map_folder, "_sheet", lambda *_: sheet):
        map_folder.map_folder(random_map(count), folder)
    return perf_counter() - began


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


def measure(folder: Path, count: int, seconds: float) -> dict[str, Any]:
    """Open the folder in a browser of its own and move about in it."""
    from playwright.sync_api import sync_playwright

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS.split())
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        began = perf_counter()
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        page.wait_for_function("window.map && map.folder.isSettled", timeout=120_000)
        images = perf_counter() - began
        first = page.evaluate("map.folder.fetched")
        page.wait_for_selector("body[data-ready=yes]", state="attached", timeout=120_000)
        whole = perf_counter() - began
        row = {
            "images": count,
            "first": goes_first(),
            "load": os.getloadavg()[0],
            "files": sum(path.is_file() for path in folder.rglob("*")),
            "mb": sum(path.stat().st_size for path in folder.rglob("*")) / 1e6,
            "page_mb": (folder / "index.html").stat().st_size / 1e6,
            "written": seconds,
            "opened": images,
            "opened_mb": first / 1e6,
            "all_points": whole,
            "all_points_mb": page.evaluate("map.folder.fetched") / 1e6,
            "views": {name: page.evaluate(MEASURE, [zoom, FRAMES]) for name, zoom in VIEWS.items()},
        }
        browser.close()
    server.shutdown()
    server.server_close()
    return row


def tables(figures: dict[str, Any]) -> str:
    """Give the figures as text in Markdown."""
    rows = sorted(figures["rows"], key=lambda row: row["images"])
    lines = [
        where(figures["machine"], [row["when"] for row in rows]),
        said_of_others(rows),
        "",
        "| images | files | MB | the page, MB | first images, s | fetched by then, MB | all points, s | by then, MB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        cells = [f"{row[name]:.1f}" for name in ("mb", "page_mb", "opened", "opened_mb", "all_points", "all_points_mb")]
        lines.append(f"| {row['images']:,} | {row['files']:,} | {' | '.join(cells)} |")
    lines += [
        "",
        "| images | view | script, ms a frame | between frames, ms, by software | calls | images there, s | fetched, MB |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        for name, view in row["views"].items():
            cells = f"{view['script']:.1f} | {view['between']:.0f} | {view['calls']} | {view['waited'] / 1000:.1f}"
            lines.append(f"| {row['images']:,} | {name} | {cells} | {view['fetched'] / 1e6:.1f} |")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> None:
    """Write, open and measure folders of so many images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--counts", type=int, nargs="*", default=[250_000, 1_000_000])
    parser.add_argument("--folder", type=Path, help="where the maps are written, and stay for the next run")
    parser.add_argument("--again", action="store_true", help="measure what is held too")
    asked = parser.parse_args(arguments)
    figures: dict[str, Any] = {"machine": machine("playwright"), "rows": []}
    if RESULTS.is_file() and (held := json.loads(RESULTS.read_text(encoding="utf-8")))["machine"] == figures["machine"]:
        figures = held
    measured = {row["images"]: row for row in figures["rows"]}
    for count in asked.counts:
        if count in measured and not asked.again:
            continue
        with tempfile.TemporaryDirectory() as temporary:
            folder = (asked.folder or Path(temporary)) / f"map-{count}"
            seconds = measured.get(count, {}).get("written", 0.0) if folder.is_dir() else write(count, folder)
            measured[count] = measure(folder, count, seconds) | {"when": date.today().isoformat()}
        figures["rows"] = list(measured.values())
        RESULTS.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        put(ROOT / "docs" / "performance.md", COMMAND, tables(figures))


if __name__ == "__main__":
    main(sys.argv[1:])
