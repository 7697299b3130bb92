"""The report: one HTML file, made from the store alone, that opens anywhere."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from iconoscope.errors import QuestionError, StoreError
from iconoscope.results import (
    CONDITIONS,
    KINDS,
    VERDICTS,
    ActivationSheet,
    Attribution,
    Audit,
    Curves,
    Exchange,
    Exemplars,
    FilterSheet,
    Finding,
    ImageMap,
    Look,
    MeanMap,
    Occlusion,
    Question,
    Result,
    Store,
    UnitSearch,
    Visualization,
)
from iconoscope.results.look import EVIDENCE
from iconoscope.results.rendering import colour, data_uri, lay_out, to_jpeg, to_png
from iconoscope.show.attribution import Attributed, scored_maps
from iconoscope.show.exemplars import Answered, Mapped, Searched, Sheeted
from iconoscope.show.mean_map import Averaged
from iconoscope.show.template import read_template
from iconoscope.show.units import Pictured
from iconoscope.store.result_folder import read_question, read_record, writing_whole

__all__ = ["report"]


def report(
    store: Store | str | Path, path: str | Path = "report.html", *, title: str = "", lead: str = "", most: int = 24
) -> Path:
    """Write what a store holds as one self-contained HTML page.

    Networks that were asked the same about the same image stand side by side. The page needs no network connection, fits a
    phone, and follows the reader's choice of light or dark.

    Parameters
    ----------
    store
        The folder with the results.
    path
        Where to write the page.
    title
        Its heading; one is made if none is given.
    lead
        A sentence or two under the heading, for readers who do not know what was asked.
    most
        How many images are shown at the most; the page says how many there are.

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    StoreError
        If the store holds nothing, or the page cannot be written.
    """
    if most < 1:
        raise QuestionError(f"most={most} must be at least 1.")
    store = Store.at(store)
    results, asked, damaged = _read(store, most)
    if not results:
        raise StoreError(
            f"{store.folder} holds no result to report.",
            hint="Ask something first, for example: iconoscope occlude --network ... --images ... --store DIR",
        )
    page = _Page(results, asked, most)
    words = {"conditions": CONDITIONS, "evidence": EVIDENCE, "verdicts": VERDICTS}
    html = read_template("report.html.j2").render(
        page=page, title=title or page.heading, lead=lead, damaged=damaged, **words
    )
    path = Path(path).expanduser()
    with writing_whole(path) as aside:
        aside.write_text(html, encoding="utf-8")
    return path


_OF_ONE_IMAGE = (Occlusion.kind, Attribution.kind)


def _read(store: Store, most: int) -> tuple[list[Result], list[tuple[str, Question]], list[str]]:
    """Read what is shown, and of the rest only what was asked: a whole data set would not fit into memory.

    A damaged result must not take the others with it, but is named on the page.
    """
    results: list[Result] = []
    asked: list[tuple[str, Question]] = []
    damaged: list[str] = []
    images: set[str] = set()  # the pixels of those that are shown
    for place in store.places():
        try:
            kind, question = read_question(place, KINDS)
            asked.append((kind, question))
            if kind in _OF_ONE_IMAGE and question.pixels not in images:
                if len(images) >= most:
                    continue
                images.add(question.pixels)
            results.append(read_record(place, KINDS))
        except StoreError as error:
            damaged.append(error.message)
    return results, asked, damaged


@dataclass(frozen=True)
class _Page:
    results: list[Result]
    asked: list[tuple[str, Question]]  # the kind and the question of all that the store holds
    most: int

    @cached_property
    def names(self) -> dict[str, str]:
        """The networks' names by their digests, in the order in which they were first asked; never two the same."""
        names: dict[str, str] = {}
        for _, question in self.asked:
            names.setdefault(question.weights, question.network)
        shared = {name for name, count in Counter(names.values()).items() if count > 1}
        return {digest: f"{name} [{digest[:6]}]" if name in shared else name for digest, name in names.items()}

    def name(self, result: Result) -> str:
        return self.names[result.question.weights]

    @property
    def heading(self) -> str:
        names = list(self.names.values())
        return f"What did {' and '.join(names)} learn?" if len(names) <= 3 else f"What did {len(names)} networks learn?"

    @cached_property
    def looks(self) -> list[_Looked]:
        found = [result for result in self.results if isinstance(result, Look)]
        return [_Looked(alike, self.name) for alike in _grouped(found, _same_look)]

    @property
    def audits(self) -> list[Audit]:
        return [result for result in self.results if isinstance(result, Audit)]

    @cached_property
    def unjudged(self) -> list[tuple[_Exchanged, Exchange]]:
        """The exchanges that no verdict has taken up: they speak for themselves."""
        taken = {look.question.settings.get("exchange") for looked in self.looks for look in looked.results}
        pairs = [(exchanged, result) for exchanged in self.exchanges for result in exchanged.results]
        return [(exchanged, result) for exchanged, result in pairs if result.question.key not in taken]

    @cached_property
    def exchanges(self) -> list[_Exchanged]:
        found = [result for result in self.results if isinstance(result, Exchange)]
        return [_Exchanged(alike, self.name) for alike in _grouped(found, _same_exchange)]

    @cached_property
    def means(self) -> list[Averaged]:
        found = [result for result in self.results if isinstance(result, MeanMap)]
        return [Averaged(result, self.name(result), self.most) for result in found]

    @cached_property
    def shown(self) -> list[_Occluded]:
        found = [result for result in self.results if isinstance(result, Occlusion | Attribution)]
        scored = scored_maps(self.results)
        return [_Occluded.of(alike, scored) for alike in _grouped(found, lambda result: result.question.pixels)]

    @cached_property
    def pictured(self) -> list[Pictured]:
        found = [result for result in self.results if isinstance(result, Visualization)]
        return [Pictured(alike, self.name) for alike in _grouped(found, Pictured.alike)]

    @cached_property
    def searches(self) -> list[Searched]:
        return [Searched(result, self.name(result)) for result in self.results if isinstance(result, UnitSearch)]

    @cached_property
    def answered(self) -> list[Answered]:
        return [Answered(result, self.name(result)) for result in self.results if isinstance(result, Exemplars)]

    @cached_property
    def maps(self) -> list[Mapped]:
        return [Mapped(result, self.name(result)) for result in self.results if isinstance(result, ImageMap)]

    @cached_property
    def sheets(self) -> list[Sheeted]:
        found = (ActivationSheet, FilterSheet)
        return [Sheeted(result, self.name(result)) for result in self.results if isinstance(result, found)]

    @property
    def images(self) -> int:
        """How many images were asked about, shown or not."""
        return len({question.pixels for kind, question in self.asked if kind in _OF_ONE_IMAGE})

    @property
    def alone(self) -> bool:
        """Whether every image was asked about once only, so that there is nothing to put side by side."""
        return all(len(occluded.all) == 1 for occluded in self.shown)

    @property
    def questions(self) -> list[Result]:
        asked = [result for group in (*self.looks, *self.exchanges) for result in group.results]
        asked += [result for occluded in self.shown for result in occluded.all]
        made = [result for pictured in self.pictured for result in pictured.results[: Pictured.MOST]]
        of_recordings = [each.result for each in (*self.searches, *self.answered, *self.maps, *self.sheets)]
        return [*(averaged.result for averaged in self.means), *asked, *self.scored, *made, *of_recordings]

    @cached_property
    def curves(self) -> list[Curves]:
        """The scored maps; those of one image follow one another."""
        found = [result for result in self.results if isinstance(result, Curves)]
        return [result for alike in _grouped(found, lambda result: result.question.pixels) for result in alike]

    @property
    def scored(self) -> list[Curves]:
        return self.curves[: self.most]

    @cached_property
    def mean_areas(self) -> list[dict[str, Any]]:
        """The mean areas of every kind of map, where there is more than one to compare."""
        found = [result for result in self.curves if result.measure == "probability"]
        alike = _grouped(found, lambda result: (result.question.weights, result.ranked_by, result.fill, result.start))
        return [
            {
                "network": self.name(group[0]),
                "ranked_by": group[0].ranked_by,
                "fill": group[0].fill,
                "start": group[0].start,
                "images": len({result.question.pixels for result in group}),
                "areas": [
                    (
                        float(np.mean([getattr(x, f"{one}_area") for x in group])),
                        float(np.mean([getattr(x, f"null_{one}_areas") for x in group])),
                    )
                    for one in ("deletion", "insertion")
                ],
            }
            for group in alike
            if len(found) > 1
        ]

    def drawn(self, result: Curves) -> dict[str, Any]:
        """Give the overlay of a scored map, and its curves in the template's coordinates: the map's own comes last."""
        low, high = result.limits()
        scale = 106 / max(high - low, 1e-12)

        def line(values: np.ndarray) -> str:
            places = zip(result.share.tolist(), values.tolist(), strict=True)
            return " ".join(f"{26 + 170 * share:.1f},{110 - scale * (value - low):.1f}" for share, value in places)

        return {
            "small": min(result.picture.shape[:2]) <= 64,
            "overlay": _photograph(result.overlaid()),
            "ticks": [(f"{low:.3g}", 112), (f"{high:.3g}", 11)],
            "lines": [
                ("deletion", [*map(line, result.null_deletion), line(result.deletion[:, result.target])]),
                ("insertion", [*map(line, result.null_insertion), line(result.insertion[:, result.target])]),
            ],
        }


def _same_exchange(result: Exchange) -> tuple[Any, ...]:
    """Tell what two networks must have seen alike to stand in one table."""
    settings = {name: value for name, value in result.question.settings.items() if name != "classes"}
    return result.question.pixels, json.dumps(settings, sort_keys=True)


def _same_look(result: Look) -> tuple[Any, ...]:
    """Tell what two networks must have been asked alike to stand in one table."""
    settings = {key: value for key, value in result.question.settings.items() if key not in ("classes", "exchange")}
    return result.question.pixels, json.dumps(settings, sort_keys=True)


def _grouped(results: list[Any], key: Callable[[Any], Any]) -> list[list[Any]]:
    groups: dict[Any, list[Any]] = {}
    for result in results:
        groups.setdefault(key(result), []).append(result)
    return list(groups.values())


@dataclass(frozen=True)
class _Looked:
    """The same images judged before several networks."""

    results: list[Look]
    name: Callable[[Result], str]  # of the network that answered, as the whole page calls it

    MOST: ClassVar = 12  # classes that are listed for each network

    @property
    def first(self) -> Look:
        return self.results[0]

    def finding(self, result: Look) -> str:
        return f"{self.name(result)} {VERDICTS[result.verdict]}."

    @cached_property
    def rows(self) -> list[tuple[str, list[str]]]:
        """For every kind of evidence: its name, and what was found before each network."""
        rows = [
            (told, [self._estimate(result.overall, name) for result in self.results]) for name, told in EVIDENCE.items()
        ]
        matter = [f"{result.overall.mattering} of {result.overall.judged}" for result in self.results]
        chance = [self._chance(result.overall) for result in self.results]
        rows.insert(0, ("images before which a single patch matters", matter))
        rows.insert(4, ("p-value of that share against random places of the object", chance))
        return [(told, found) for told, found in rows if any(cell != "-" for cell in found)]

    @staticmethod
    def _estimate(found: Finding, name: str) -> str:
        estimate = found.evidence.get(name)
        return "-" if estimate is None or math.isnan(estimate.value) else str(estimate)

    @staticmethod
    def _chance(found: Finding) -> str:
        if math.isnan(found.p_object):
            return "-"
        return "under 0.0001" if found.p_object < 0.0001 else f"{found.p_object:.2g}"

    def classes(self, result: Look) -> list[Finding]:
        """Give the classes, those first that give most to think about."""
        order = ("context", "spread", "undecided", "object")
        found = sorted(result.findings.values(), key=lambda each: (order.index(each.verdict.word), -each.judged))
        return found[: self.MOST]

    def picture(self, result: Look, place: int) -> str:
        return _photograph(result.outline(place))

    def overlay(self, result: Look, place: int) -> str:
        return _photograph(result.overlaid(place))

    @property
    def small(self) -> bool:
        return max(self.first.pictures_shown.shape[1:3]) <= 64


@dataclass(frozen=True)
class _Exchanged:
    """The same images exchanged before several networks."""

    results: list[Exchange]
    name: Callable[[Result], str]  # of the network that answered, as the whole page calls it

    WORDS: ClassVar = {
        "background": "follows the background",
        "object": "follows the object",
        "both": "follows the object and the background",
        "undecided": "follows neither clearly",
    }

    @property
    def first(self) -> Exchange:
        return self.results[0]

    def finding(self, result: Exchange) -> str:
        return f"{self.name(result)} {self.WORDS[result.follows]}."

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """For every image that is shown: its pictures in order of the conditions, and the networks' answers to each."""
        return [
            {
                "id": self.first.ids[image],
                "right": self.first.classes[int(self.first.target[image])],
                "cells": [
                    {
                        "condition": condition,
                        "picture": _photograph(self.first.examples[index, place]),
                        "answers": [self._answer(result, index, int(image)) for result in self.results],
                    }
                    for index, condition in enumerate(self.first.conditions)
                ],
            }
            for place, image in enumerate(self.first.shown)
        ]

    def _answer(self, result: Exchange, condition: int, image: int) -> dict[str, Any]:
        answer = int(result.answers[condition, image])
        return {
            "network": self.name(result),
            "class": result.classes[answer],
            "probability": float(result.probabilities[condition, image, answer]),
            "right": answer == int(result.target[image]),
        }


@dataclass(frozen=True)
class _Occluded:
    """One image, covered patch by patch before several networks, and what gradient methods say of it."""

    results: list[Occlusion]
    beside: Attributed

    @classmethod
    def of(cls, results: list[Any], scored: dict[str, list[Curves]]) -> _Occluded:
        covered = [each for each in results if isinstance(each, Occlusion)]
        return cls(covered, Attributed([each for each in results if isinstance(each, Attribution)], scored))

    @property
    def all(self) -> list[Occlusion | Attribution]:
        return [*self.results, *self.beside.results]

    @property
    def first(self) -> Occlusion | Attribution:
        return self.all[0]

    def picture(self, result: Occlusion | Attribution) -> str:
        return _photograph(result.picture)

    @property
    def small(self) -> bool:
        return min(self.first.picture.shape[:2]) <= 64

    def heat(self, result: Occlusion) -> str:
        low, high = result.limits()
        cells = colour(result.map, low=low, high=high)
        size = (result.picture.shape[0], result.picture.shape[1])
        return data_uri(to_png(lay_out(cells, result.top, result.left, result.patch, size)))

    def overlay(self, result: Occlusion) -> str:
        return _photograph(result.overlaid())

    def winners(self, result: Occlusion) -> dict[str, Any] | None:
        """Map the class that wins with the patch at each position, and list the classes; None where it is always one."""
        order = [int(place) for place, _ in Counter(result.winner.ravel().tolist()).most_common()]
        if len(order) == 1 or result.measure not in ("probability", "logit"):
            return None
        clean = int(result.clean.argmax())
        others = [place for place in order if place != clean]
        inks = {clean: _STAYS, **dict(zip(others, _WINNERS, strict=False))}
        cells = np.array([inks.get(place, _REST) for place in result.winner.ravel().tolist()], np.uint8)
        cells = cells.reshape(*result.winner.shape, 3)
        size = (result.picture.shape[0], result.picture.shape[1])
        share = {place: float((result.winner == place).mean()) for place in order}
        legend = [(inks[place], result.names[place], share[place]) for place in inks if place in share]
        if rest := others[len(_WINNERS) :]:
            legend.append((_REST, f"{len(rest)} other classes", sum(share[place] for place in rest)))
        return {
            "map": data_uri(to_png(lay_out(cells, result.top, result.left, result.patch, size))),
            "legend": [{"ink": "#" + bytes(ink).hex(), "class": name, "share": part} for ink, name, part in legend],
        }

    def outline(self, result: Occlusion) -> dict[str, float]:
        """Place of the worst patch in percent of the picture."""
        height, width = result.picture.shape[:2]
        row, column = result.minimum
        top, left = int(result.top[row]), int(result.left[column])
        return {
            "top": 100 * top / height,
            "left": 100 * left / width,
            "height": 100 * min(result.patch[0], height - top) / height,
            "width": 100 * min(result.patch[1], width - left) / width,
        }

    def finding(self, result: Occlusion) -> str:
        row, column = result.minimum
        clean, lowest = float(result.clean[result.target]), float(result.map[row, column])
        guessed = " (predicted: the image has no label)" if result.target_origin == "prediction" else ""
        text = f"{result.measure} of {result.names[result.target]}{guessed} {clean:.3f}, lowest {lowest:.3f}"
        if result.indifferent:
            text += ": no single patch matters"
        elif result.measure == "probability" and result.winner[row, column] != result.clean.argmax():
            text += f": there the answer becomes {result.names[int(result.winner[row, column])]}"
        return text


# The answer that stays, and the classes that win elsewhere, the most frequent first (colours of Okabe and Ito 2008).
_STAYS = (246, 245, 241)
_WINNERS = ((213, 94, 0), (0, 114, 178), (0, 158, 115), (204, 121, 167), (230, 159, 0))
_REST = (90, 90, 90)


def _photograph(picture: np.ndarray) -> str:
    return data_uri(to_png(picture) if min(picture.shape[:2]) <= 128 else to_jpeg(picture))
