"""The demo: two networks that are both right, questioned until it shows which of them learned the car."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from iconoscope.demo.photographs import demo_images, keep_photographs
from iconoscope.demo.questions import OCCLUDED, RECORDED, RECORDED_COUNT, STEPS, Questions, draw_recorded
from iconoscope.demo.second_process import DRAWN, SecondProcess, second_process
from iconoscope.errors import QuestionError, StoreError
from iconoscope.language import current_language, say, term
from iconoscope.progress import advancing
from iconoscope.results import Audit
from iconoscope.results.audit_text import capitalised
from iconoscope.show import report
from iconoscope.show.growing_page import GrowingPage, Step
from iconoscope.signatures import checked
from iconoscope.store import Store
from iconoscope.store.store import load_question

__all__ = ["RECORDED", "demo"]

NETWORKS = ("cars", "cars-honest")
_SAVED = 24  # photographs that are left in the folder, to try the other commands on
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
    if count < OCCLUDED:
        raise QuestionError(f"count={count} photographs are too few.", hint=f"Draw {OCCLUDED} or more; 80 is usual.")
    out = Path(out)
    weights: dict[str, Path | None] = dict.fromkeys(NETWORKS)
    if retrain:
        from iconoscope.demo.training import retrain as train  # torch is slow to import, and help must not wait for it

        train(out / "weights", seed=seed)
        weights = {name: out / "weights" / f"{name}.safetensors" for name in NETWORKS}
    with _growing(out / "report.html", count) as page:
        photographs = demo_images(count, backgrounds="telling", seed=seed)
        page.done(caption=say("The first photographs"), pictures=[image.pixels for image in photographs[:OCCLUDED]])
        with advancing(
            f"{page.path} can be opened now and grows as it is looked at; the first photographs", 1
        ) as advance:
            advance(1)
        first, second = NETWORKS
        alike = {"seed": seed, "device": device}
        with second_process(second, out, count=count, checkpoint=weights[second], **alike) as other:
            asked = [
                Questions.about(name, photographs, out, checkpoint=weights[name], **alike) for name in (first, second)
            ]
            _cover(asked, other, page)
            keep_photographs(photographs[:_SAVED], out)
            if not other.has(DRAWN):
                draw_recorded(out, seed=seed)
            _map_and_find(asked, other, page)
            audits = _audit(asked, other, page)
        store = Store(out / "store")
        report(store, out / "evidence.html", title=term(TITLE), lead=term(LEAD))
        links = [(say("What each technique found, side by side"), "evidence.html")]
        links += [
            (say("A map of photographs by {name}, to move about in", name=name), f"map-{name}.html")
            for name in NETWORKS
        ]
        return report(audits, page.path, title=term(TITLE), lead=term(LEAD), links=links)


def _cover(asked: list[Questions], other: SecondProcess, page: GrowingPage) -> None:
    """Show where covering costs each network the answer."""
    for questions in _in_turn(asked, other, "covered"):
        found = questions.covered()
        caption = say("To {name}, red is where covering costs the answer", name=questions.network.name)
        page.done(caption=caption, pictures=[single.largest.overlaid() for single in found])


def _map_and_find(asked: list[Questions], other: SecondProcess, page: GrowingPage) -> None:
    """Record photographs on any background, and see by what each network orders them."""
    for questions in _in_turn(asked, other, "mapped"):
        count, of_dark, of_bison = questions.mapped(page=questions.out / f"map-{questions.network.name}.html")
        page.done(
            say(
                "Of {count:,} units {dark} answer a dark background and nothing else, {bison} a bison and nothing else.",
                count=count,
                dark=len(of_dark.invariant),
                bison=len(of_bison.invariant),
            )
        )


def _audit(asked: list[Questions], other: SecondProcess, page: GrowingPage) -> list[Audit]:
    audits: list[Audit] = []
    for questions in _in_turn(asked, other, "audited"):
        audits.append(questions.audited())
        said = audits[-1].sentences(current_language()).overall(audits[-1].conclusions)
        page.done(f"{capitalised(said)}.")
    return audits


def _in_turn(asked: list[Questions], other: SecondProcess, step: str) -> Iterator[Questions]:
    """Give the questions about one network after another, those about the second once the other process has answered them.

    Pages show answers in the order in which they were written, which is to be the same whoever wrote them.
    """
    for number, questions in enumerate(asked):
        if number and other.has(step):
            _written_now(questions, step)
        yield questions


def _written_now(questions: Questions, step: str) -> None:
    """Let the answers of a step about a network be the last that were written, in the order in which they were."""
    digest, now = questions.network.digest(), time.time_ns()
    for number, folder in enumerate(questions.store.folders()):
        if folder.parent.name not in STEPS[step]:
            continue
        with suppress(StoreError):  # an old record may be damaged, and is asked for again when its turn comes
            if load_question(folder)[1].weights == digest:
                os.utime(folder, ns=(now + number, now + number))  # the system's own clock stands still in between


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
                count=RECORDED_COUNT,
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
