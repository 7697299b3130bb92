"""Pictures and part maps of birds, drawn in Chromium with the models of a checkout of FunnyBirds."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.bird_scenes import MODELS, Scene

__all__ = ["BODY", "FIRST_PART", "FIRST_THING", "Renderer", "checkout", "rendering_on", "revision"]

BODY, FIRST_PART = 1, 2
FIRST_THING = FIRST_PART + len(MODELS)
"""What the numbers of a part map mean; 0 is the sky."""

ADDRESS = "http://birds.invalid"
FLAGS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)
EXAMPLES = Path("render") / "js" / "three.js-master" / "examples"
TYPES = {".css": "text/css", ".js": "text/javascript", ".glb": "model/gltf-binary", ".html": "text/html"}
TOGETHER = 16
"""Scenes for one message to the browser."""


def checkout(folder: Path) -> Path:
    """Give where a checkout of visinf/funnybirds has its models.

    Raises
    ------
    FileNotFoundError
        If the folder has none.
    """
    examples = folder / EXAMPLES
    if not (examples / "three.module.js").is_file():
        raise FileNotFoundError(
            f"{folder} has no {EXAMPLES}: it should be a checkout, git clone https://github.com/visinf/funnybirds."
        )
    return examples


def revision(folder: Path) -> str:
    """Give the commit of a checkout; "unknown" where git does not know it."""
    asked = subprocess.run(["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return asked.stdout.strip() or "unknown"


@dataclass(frozen=True)
class Renderer:
    """A page of Chromium that draws scenes.

    Attributes
    ----------
    page
        Of Playwright.
    size, oversampling : int
        Side of what is given, pixels, and how many times as fine a picture is drawn before it is made smaller.
    """

    page: Any
    size: int
    oversampling: int

    def pictures(self, scenes: Sequence[Scene]) -> np.ndarray:
        """Draw scenes: (scenes, size, size, 3), 0 to 255."""
        drawn = [
            np.asarray(_opened(address, self.size))
            for some in _batches(scenes)
            for address in self.page.evaluate("scenes => pictures(scenes)", [scene.to_json() for scene in some])
        ]
        return np.stack(drawn)

    def part_maps(self, scenes: Sequence[Scene]) -> np.ndarray:
        """Say what each pixel shows, (scenes, size, size): 0 the sky, else as `BODY`, `FIRST_PART` and `FIRST_THING` count."""
        drawn = [
            np.frombuffer(base64.b64decode(text), np.uint8).reshape(self.size, self.size)[::-1]
            for some in _batches(scenes)
            for text in self.page.evaluate("scenes => partMaps(scenes)", [scene.to_json() for scene in some])
        ]
        return np.stack(drawn)


def _batches(scenes: Sequence[Scene]) -> Iterator[Sequence[Scene]]:
    for start in range(0, len(scenes), TOGETHER):
        yield scenes[start : start + TOGETHER]


def _opened(address: str, size: int) -> Image.Image:
    picture = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).convert("RGB")
    return picture.resize((size, size), Image.Resampling.BOX)


@contextmanager
def rendering_on(folder: Path, *, size: int, oversampling: int = 3) -> Iterator[Renderer]:
    """Open Chromium on a checkout of FunnyBirds, for pictures of so many pixels."""
    from playwright.sync_api import sync_playwright

    examples = checkout(folder)
    files = {part: sorted({name for name, _ in models}) for part, models in MODELS.items()}
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
        page = browser.new_page()
        page.route("**/*", lambda route: _serve(route, examples))
        page.goto(f"{ADDRESS}/")
        page.wait_for_function("document.title == 'ready'")
        page.evaluate("([files, size, map]) => prepare(files, size, map)", [files, size * oversampling, size])
        yield Renderer(page, size, oversampling)
        browser.close()


def as_published(folder: Path, scene: Scene, size: int) -> np.ndarray:
    """Draw a scene by the page of the checkout itself, loaded for it: (size, size, 3). Slow; ours is held against it."""
    from playwright.sync_api import sync_playwright

    examples, asked = checkout(folder), scene.to_json()
    values: dict[str, str] = {"render_mode": "default"}
    for what, (distance, pitch, roll) in (("camera", scene.camera), ("light", scene.light)):
        values |= {f"{what}_distance": f"{distance:g}", f"{what}_pitch": repr(pitch), f"{what}_roll": repr(roll)}
    for part, model in asked["parts"].items():
        name, colour = model or ("placeholder", "placeholder")
        values |= {f"{part}_model": name, f"{part}_color": colour}
    lists = {"objects": "shape", "radius": "radius", "pitch": "pitch", "roll": "roll", "color": "colour"}
    for theirs, ours in lists.items():
        values[f"bg_{theirs}"] = ",".join(str(thing[ours]) for thing in asked["things"])
    for axis, letter in enumerate("xyz"):
        values[f"bg_scale_{letter}"] = ",".join(str(thing["scale"][axis]) for thing in asked["things"])
        values[f"bg_rot_{letter}"] = ",".join(str(thing["rotation"][axis]) for thing in asked["things"])
    source = (folder / "render" / "page.html").read_text(encoding="utf-8")
    source = re.sub(r"<%- JSON\.stringify\((\w+)\) %>", lambda found: json.dumps(values[found[1]]), source)
    # Distances come to their page as text, and it adds none: numbers and texts place the camera alike.
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=shutil.which("chromium"), args=list(FLAGS))
        page = browser.new_page(viewport={"width": size, "height": size})
        page.route("**/*", lambda route: _serve_published(route, examples, source))
        with page.expect_request_finished(lambda request: request.url.endswith(".json")):
            page.goto(f"{ADDRESS}/")
        page.wait_for_load_state("networkidle")
        page.wait_for_timeout(3000)
        drawn = page.screenshot()
        browser.close()
    return np.asarray(Image.open(io.BytesIO(drawn)).convert("RGB"))


def _serve_published(route: Any, examples: Path, source: str) -> None:
    name = route.request.url.removeprefix(ADDRESS).partition("?")[0]
    if name == "/":
        route.fulfill(body=source, content_type="text/html")
    elif name.startswith("/") and (path := examples / name.removeprefix("/")).is_file():
        route.fulfill(body=path.read_bytes(), content_type=TYPES.get(path.suffix, "application/octet-stream"))
    else:
        route.fulfill(status=404, body=name)


def _serve(route: Any, examples: Path) -> None:
    name = route.request.url.removeprefix(ADDRESS).partition("?")[0]
    path = Path(__file__).with_suffix(".html") if name == "/" else examples / name.removeprefix("/examples/")
    if path.is_file():
        route.fulfill(body=path.read_bytes(), content_type=TYPES.get(path.suffix, "application/octet-stream"))
    else:
        route.fulfill(status=404, body=name)
