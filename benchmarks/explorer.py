"""How soon the bars follow the mouse, what a frame of the map costs, how large an export is: ``make bench-explorer``.

A real browser moves the patch over a photograph; the time is from the event of the mouse to the change of the bars, the
server, the network and the page together. Beside it stand the answer over HTTP alone, and the network's share of it.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from urllib.parse import urlparse

import torch
from playwright.sync_api import sync_playwright

import iconoscope as ico
from benchmarks.exemplars import table
from benchmarks.figures import machine, put, where
from benchmarks.occlusion import ROOT, find_data
from iconoscope.explorer import open_session
from iconoscope.explorer.export import plan_export
from iconoscope.explorer.security import AccessRules
from iconoscope.explorer.serving import serving
from iconoscope.subject.images import Images
from iconoscope.subject.network import Network

COMMAND = "make bench-explorer"
MOVES = 200
WARM = 20
GOALS = {"ResNet-20": 10, "SqueezeNet": 50}
"""Milliseconds from the mouse to the bars at most."""

FOLLOW = """
async ([moves, side]) => {
  const stage = document.querySelector(".stage"), list = document.querySelector("ol.bars"), times = [];
  const box = stage.getBoundingClientRect();
  for (let move = 0; move < moves; move++) {
    const x = box.left + box.width * (0.1 + 0.8 * ((move * 0.37) % 1));
    const y = box.top + box.height * (0.1 + 0.8 * ((move * 0.61) % 1));
    const changed = new Promise((tell) => {
      const observer = new MutationObserver(() => (observer.disconnect(), tell()));
      observer.observe(list, { attributes: true, attributeFilter: ["data-value"], childList: true, subtree: true });
      setTimeout(tell, 2000);
    });
    const begun = performance.now();
    stage.dispatchEvent(new PointerEvent("pointermove", { clientX: x, clientY: y, bubbles: true }));
    await changed;
    times.push(performance.now() - begun);
    await new Promise((next) => setTimeout(next, 30));
  }
  return times;
}
"""
"""Moves the mouse, and waits after each move until the bars have changed."""


COUNT_FRAMES = """
(() => {
  const counted = (window.counted = { frames: [], calls: 0, bytes: 0 }), asked = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = (draw) => asked((now) => {
    const begun = performance.now();
    draw(now);
    counted.frames.push(performance.now() - begun);
  });
  const drawn = WebGL2RenderingContext.prototype, { drawArraysInstanced, bufferData, texImage2D } = drawn;
  drawn.drawArraysInstanced = function (...given) { counted.calls++; return drawArraysInstanced.apply(this, given); };
  drawn.bufferData = function (...given) { counted.bytes += given[1].byteLength ?? 0; return bufferData.apply(this, given); };
  drawn.texImage2D = function (...given) { counted.bytes += 1; return texImage2D.apply(this, given); };
})()
"""
"""Counts what the map's script does in a frame: its time, calls that draw, bytes that it uploads."""

MOVE_MAP = """
async (moves) => {
  const stage = document.querySelector(".stage-map canvas");
  Object.assign(window.counted, { frames: [], calls: 0, bytes: 0 });
  for (let move = 0; move < moves; move++) {
    stage.dispatchEvent(new KeyboardEvent("keydown", { key: move % 2 ? "ArrowLeft" : "ArrowRight", bubbles: true }));
    await new Promise((next) => setTimeout(next, 40));
  }
  return window.counted;
}
"""
"""Moves the map with the arrow keys; each movement asks for a frame."""


def cases(data: Path) -> Iterator[tuple[str, Network, Images, int]]:
    """Give every network with photographs and the side of a patch, pixels."""
    weights = data / "weights"
    yield (
        "ResNet-20",
        ico.load_network(
            f"{ROOT}/examples/resnet20.py:resnet20", checkpoint=weights / "resnet20_cifar10.safetensors", device="cpu"
        ),
        ico.load_images(data / "cifar10" / "test.parquet", limit=64),
        8,
    )
    yield (
        "SqueezeNet",
        ico.load_network(
            f"{ROOT}/examples/squeezenet.py:squeezenet",
            checkpoint=weights / "squeezenet1_1.safetensors",
            classes=data / "imagenet" / "classes.json",
            device="cpu",
        ),
        ico.load_images(data / "imagenet" / "images"),
        48,
    )


def in_browser(rules: AccessRules, side: int) -> list[float]:
    """Give milliseconds from the mouse to the bars."""
    chromium = shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"] if chromium else [])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"{rules.address}#/image/3?fill=mean&side={side}")
        page.wait_for_selector("ol.bars li[data-value]")
        times = page.evaluate(FOLLOW, [MOVES + WARM, side])
        browser.close()
    return times[WARM:]


def over_http(rules: AccessRules, side: int, size: tuple[int, int]) -> tuple[list[float], list[float]]:
    """Give milliseconds of whole answers, and of what the network took of them."""
    connection = http.client.HTTPConnection("127.0.0.1", urlparse(rules.address).port)
    headers = {"cookie": f"{rules.cookie}={rules.token}", "content-type": "application/json"}
    whole, asked = [], []
    for move in range(MOVES + WARM):
        place = {"top": (move * 13) % (size[0] - side), "left": (move * 29) % (size[1] - side)}
        question = {"image": "3", **place, "height": side, "width": side, "fill": "mean", "view": "benchmark"}
        begun = time.perf_counter()
        connection.request("POST", "/api/patch", json.dumps(question), headers)
        answer = json.loads(connection.getresponse().read())
        whole.append((time.perf_counter() - begun) * 1e3)
        asked.append(answer["milliseconds"])
    return whole[WARM:], asked[WARM:]


def latency(name: str, network: Network, images: Images, side: int) -> dict[str, Any]:
    """Measure one network."""
    with tempfile.TemporaryDirectory() as folder:
        session = open_session(network, images, store=Path(folder) / "run")
        with serving(session) as rules:
            browser = in_browser(rules, side)
            whole, asked = over_http(rules, side, network.preprocessing.size)
    return {"network": name, "side": side, "browser": browser, "whole": whole, "asked": asked}


def map_frames(rules: AccessRules) -> dict[str, Any]:
    """Give what the script of the map does in a frame, in a window so small that a processor draws it soon enough."""
    chromium = shutil.which("chromium")
    flags = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags if chromium else [])
        page = browser.new_page(viewport={"width": 900, "height": 300})
        page.add_init_script(COUNT_FRAMES)
        page.goto(f"{rules.address}#/map")
        page.wait_for_selector(".stage-map[data-ready=yes]", timeout=120_000)
        counted = page.evaluate(MOVE_MAP, MOVES)
        browser.close()
    frames = counted["frames"]
    return {"frames": frames, "calls": counted["calls"] / len(frames), "bytes": counted["bytes"] / len(frames)}


def export(data: Path, count: int) -> dict[str, Any]:
    """Record ResNet-20 on photographs and export that."""
    _, network, _, _ = next(cases(data))
    with tempfile.TemporaryDirectory() as folder:
        images = ico.load_images(data / "cifar10" / "test.parquet", limit=count)
        recording = ico.record(network, images, store=Path(folder) / "run")
        ico.map_images(recording, store=Path(folder) / "run")
        with serving(open_session(network, images, store=Path(folder) / "run")) as rules:
            frames = map_frames(rules)
        session = open_session(network, images, store=Path(folder) / "run")
        begun = time.perf_counter()
        plan = plan_export(session)
        planned = time.perf_counter() - begun
        site = plan.write(Path(folder) / "site")
        seconds = time.perf_counter() - begun
        session.close()
        megabytes = sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) / 1e6
    return {
        "images": count,
        "files": plan.files,
        "said": plan.megabytes,
        "megabytes": megabytes,
        "planned": planned,
        "seconds": seconds,
        "map": frames,
    }


def page(held: dict[str, Any]) -> str:
    """Give all that was measured as text in Markdown."""
    rows = [
        [
            f"{row['network']}, patch of {row['side']}",
            *(
                f"{median(row[name]):.1f}, {quantiles(row[name], n=20)[-1]:.1f}"
                for name in ("browser", "whole", "asked")
            ),
            f"{GOALS[row['network']]}",
        ]
        for row in held["latency"]
    ]
    head = ["", "mouse to bars, ms: median, 19 in 20", "answer over HTTP", "the network's share", "at most"]
    written = held["export"]
    exported = (
        f"An export of ResNet-20 with {written['images']:,} images is {written['files']:,} files and "
        f"{written['megabytes']:.0f} MB ({written['said']:.0f} were said before, after {written['planned']:.1f} s), written in "
        f"{written['seconds']:.0f} s."
    )
    drawn = written["map"]
    frame = (
        f"A frame of the map of {written['images']:,} images: {median(drawn['frames']):.1f} ms of its script (19 in 20 at "
        f"most {quantiles(drawn['frames'], n=20)[-1]:.1f}), {drawn['calls']:.0f} call that draws, {drawn['bytes']:.0f} bytes "
        "uploaded; what the graphics card does then is not in it."
    )
    return "\n".join([where(held["machine"], [held["when"]]), "", *table(head, rows), "", frame, "", exported])


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write; give the exit status."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--images", type=int, default=10_000, help="images of the export")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of torch")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "explorer.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(asked.threads)
    data = find_data()
    held = {
        # How many programs wanted a core: where they are more than there are cores, the figures are too large.
        "machine": {**machine(), "threads": asked.threads, "load": round(os.getloadavg()[0], 1)},
        "when": date.today().isoformat(),
        "latency": [latency(*case) for case in cases(data)],
        "export": export(data, asked.images),
    }
    asked.out.write_text(json.dumps(held) + "\n", encoding="utf-8")
    put(asked.page, COMMAND, page(held))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
