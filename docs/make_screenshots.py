"""Take the pictures of the explorer that the documentation shows: ``make screenshots``.

The demo is made first, if it is not in the folder that is given; of its honest network pictures of units are made too.
"""

from __future__ import annotations

import argparse
import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

import iconoscope as ico
from iconoscope.demo.journey import NETWORKS, RECORDED
from iconoscope.explorer import open_session
from iconoscope.explorer.security import AccessRules
from iconoscope.explorer.serving import serving
from iconoscope.explorer.session import Session

IMAGES = Path(__file__).parent / "images" / "explorer"
SIZE = {"width": 1280, "height": 860}
PATCH, TRIED = 36, 16
"""Side of the patch on the picture of an image, and how many photographs are tried for it."""
PICTURED = "relu4"
"""The layer whose units have pictures."""


def pages(session: Session) -> dict[str, str]:
    """Give what is shown on each picture, as addresses of the explorer."""
    row, (y, x) = misleading(session)
    table = session.subjects[1].units(PICTURED)
    best = int(table.areas[1].argmax())
    return {
        "network": "#/network",
        "layer": f"#/layer/{PICTURED}?network=1",
        "unit": f"#/unit/{PICTURED}%3A{best}?network=1",
        "image": f"#/image/{row}?side={PATCH}&patch={y},{x},{PATCH},{PATCH}",
        "map": "#/map?network=1",
    }


def misleading(session: Session) -> tuple[int, tuple[int, int]]:
    """Find a van that the one network takes for a saloon, and the middle of a patch under which the other loses it most."""
    recording, images, honest = session.subjects[0].recorded, session.images, session.subjects[1].asked
    assert images is not None
    lowest, chosen = 1.0, (0, (0, 0))
    wrong = [
        row
        for row, (target, answer) in enumerate(zip(recording.targets, recording.predictions, strict=True))
        if recording.classes[target] == "bison" and recording.classes[answer] == "lynx"
    ]
    for row in wrong[:TRIED]:
        occlusion = ico.occlude(honest, images[row], "prob:bison", patch=PATCH, stride=8)
        least = float(occlusion.map.min())
        if least < lowest:
            down, across = occlusion.minimum
            lowest, chosen = (
                least,
                (row, (int(occlusion.top[down]) + PATCH // 2, int(occlusion.left[across]) + PATCH // 2)),
            )
    return chosen


def open_demo(folder: Path) -> Session:
    """Explore what the demo has made."""
    if not (folder / "report.html").is_file():
        ico.demo.demo(out=folder)
    network, other = (ico.load_network(name, device="cpu") for name in NETWORKS)
    ico.optimize(other, f"{PICTURED}:*", steps=64, store=folder / "store")
    images = ico.load_images(folder / RECORDED / "photographs")
    return open_session(network, images, store=folder / "store", compare=other)


def take(browser: Browser, rules: AccessRules, name: str, address: str, lang: str) -> None:
    """Take one picture, in a language."""
    context = browser.new_context(viewport=SIZE, locale={"en": "en-US", "es": "es-ES"}[lang])  # pyright: ignore[reportArgumentType]
    page = context.new_page()
    page.goto(f"{rules.address}{address}")
    page.wait_for_load_state("networkidle")
    page.wait_for_timeout(2500)  # the map draws its pictures, tiles come in
    picture = Image.open(io.BytesIO(page.screenshot()))
    ending = "" if lang == "en" else f".{lang}"
    picture.convert("RGB").save(IMAGES / f"{name}{ending}.webp", "WEBP", quality=82, method=6)
    context.close()


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demo", type=Path, default=Path("build/demo"), help="folder of the demo")
    session = open_demo(parser.parse_args().demo)
    IMAGES.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium")
    with serving(session) as rules, sync_playwright() as playwright:
        drawing = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
        browser = playwright.chromium.launch(executable_path=chromium, args=drawing)
        for name, address in pages(session).items():
            take(browser, rules, name, address, "en")
        take(browser, rules, "image", pages(session)["image"], "es")
        browser.close()


if __name__ == "__main__":
    main()
