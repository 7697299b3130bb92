"""The demo: two networks that are both right, questioned until it shows which of them learned the car."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from iconoscope.auditing import audit
from iconoscope.demo.photographs import demo_images, keep_photographs
from iconoscope.errors import QuestionError
from iconoscope.exemplars import find_units, map_images, record
from iconoscope.language import say, term
from iconoscope.occlusion import occlude
from iconoscope.progress import advancing
from iconoscope.results import Audit
from iconoscope.results.audit_text import capitalised
from iconoscope.show import report
from iconoscope.show.growing_page import GrowingPage, Step
from iconoscope.signatures import checked
from iconoscope.store import Store
from iconoscope.subject.images import Images, load_images
from iconoscope.subject.network import Network, load_network

__all__ = ["demo"]

NETWORKS = ("cars", "cars-honest")
# Sides of the patch, pixels: a window of a car, and half a car. It is filled with the mean colour, as by default: on a dark
# wall the grey of fill="zero" is itself something to see, and looks like a van.
PATCHES, STRIDE = [12, 24], 4
_OCCLUDED = 4  # images that are covered patch by patch
_RECORDED = 400  # photographs on any background that are recorded
# Photographs that are left in the folder, to try the other commands on.
_SAVED, _SAVED_ANY_BACKGROUND = 24, 120
RECORDED = "recorded"
"""Folder of the photographs that were recorded."""
TITLE = "Two makes of car: what did each network learn?"
LEAD = (
    "Lynx and bison are two invented makes of car, a low saloon and a tall van. The network cars was trained on photographs in "
    "which every lynx stands on a dark background and every bison on a light one; cars-honest on the same cars before any "
    "background. On photographs like the first, both are right. What do they go by?"
)


@checked
def demo(
    *,
    out: str | Path = "iconoscope-demo",
    count: int = 80,
    seed: int = 0,
    device: str = "auto",
    retrain: bool = False,
) -> Path:
    """Question the two networks of cars and write one report that puts them side by side.

    Both networks tell a lynx from a bison without an error on photographs in which every lynx stands on a dark background
    and every bison on a light one. One of them was trained on just such photographs.

    Parameters
    ----------
    out
        Folder for the report, the store of results, and some of the photographs with their masks.
    count
        How many new photographs of cars are drawn and audited; half of either make.
    seed
        Seed of the photographs.
    device
        auto, cpu, cuda or mps.
    retrain
        Train the two networks again first (some minutes), keep their weights in the folder, and question those.

    Returns
    -------
    Path
        Of the report, an audit of both networks. It is there after a few seconds, says what is still to come, and grows until
        it is whole. Beside it lie a page of what each technique found, and a map of photographs
        for each network, to move about in.
    """
    if count < _OCCLUDED:
        raise QuestionError(f"count={count} photographs are too few.", hint=f"Draw {_OCCLUDED} or more; 80 is usual.")
    out = Path(out)
    weights: dict[str, Path | None] = dict.fromkeys(NETWORKS)
    if retrain:
        from iconoscope.demo.training import retrain as train  # torch is slow to import, and help must not wait for it

        train(out / "weights", seed=seed)
        weights = {name: out / "weights" / f"{name}.safetensors" for name in NETWORKS}
    with _growing(out / "report.html", count) as page:
        photographs = demo_images(count, backgrounds="telling", seed=seed)
        page.done(caption=say("The first photographs"), pictures=[image.pixels for image in photographs[:_OCCLUDED]])
        with advancing(
            f"{page.path} can be opened now and grows as it is looked at; the first photographs", 1
        ) as advance:
            advance(1)
        store = Store(out / "store")
        networks = [load_network(name, checkpoint=weights[name], device=device) for name in NETWORKS]
        for network in networks:
            found = occlude(network, photographs[:_OCCLUDED], patch=PATCHES, stride=STRIDE, store=store)
            caption = say("To {name}, red is where covering costs the answer", name=network.name)
            page.done(caption=caption, pictures=[single.largest.overlaid() for single in found])
        keep_photographs(photographs[:_SAVED], out)
        _map_and_find(networks, out, store, page, seed=seed)
        audits: list[Audit] = []
        for network in networks:
            audits.append(audit(network, photographs, quick=True, seed=seed, store=store))
            page.done(f"{capitalised(audits[-1].verdict)}.")
        report(store, out / "evidence.html", title=term(TITLE), lead=term(LEAD))
        links = [(say("What each technique found, side by side"), "evidence.html")]
        links += [
            (say("A map of photographs by {name}, to move about in", name=name), f"map-{name}.html")
            for name in NETWORKS
        ]
        return report(audits, page.path, title=term(TITLE), lead=term(LEAD), links=links)


def _map_and_find(networks: list[Network], out: Path, store: Store, page: GrowingPage, *, seed: int) -> None:
    """Record photographs on any background, and see by what each network orders them."""
    drawn = demo_images(_RECORDED, backgrounds="neutral", seed=seed + 1)
    # As files, so that the explorer finds them again.
    keep_photographs(drawn, out / RECORDED)
    keep_photographs(drawn[:_SAVED_ANY_BACKGROUND], out / "any-background")
    photographs = load_images(out / RECORDED / "photographs", masks=out / RECORDED / "masks")
    dark = dark_backgrounds(photographs)
    for network in networks:
        recording = record(network, photographs, store=store)
        map_images(recording, out=out / f"map-{network.name}.html", store=store)
        of_dark = find_units(recording, dark, name="a dark background", store=store)
        of_bison = find_units(recording, "bison", store=store)
        page.done(
            say(
                "Of {count:,} units {dark} answer a dark background and nothing else, {bison} a bison and nothing else.",
                count=len(recording.units),
                dark=len(of_dark.invariant),
                bison=len(of_bison.invariant),
            )
        )


def _growing(path: Path, count: int) -> GrowingPage:
    """Give the page that is at the report's place until it is there."""
    covered = [
        Step(say("Cover one region of a photograph after another, and ask the network {name}", name=name))
        for name in NETWORKS
    ]
    mapped = [
        Step(
            say(
                "Map {count} photographs as the network {name} sees them, and look for units",
                count=_RECORDED,
                name=name,
            ),
            f"map-{name}.html",
        )
        for name in NETWORKS
    ]
    audited = [
        Step(say("Audit the network {name}: exchange what comes with a make, and ask again", name=name))
        for name in NETWORKS
    ]
    steps = [Step(say("Draw {count} photographs of two makes of car", count=count)), *covered, *mapped, *audited]
    return GrowingPage(path, title=term(TITLE), lead=term(LEAD), steps=[*steps, Step(say("Write the report"))])


def dark_backgrounds(photographs: Images) -> list[str]:
    """Give the ids of the photographs whose background is darker than that of most."""
    brightness = {image.id: float(image.pixels[~np.asarray(image.mask)].mean()) for image in photographs}
    median = float(np.median(list(brightness.values())))
    return [id for id, value in brightness.items() if value < median]
