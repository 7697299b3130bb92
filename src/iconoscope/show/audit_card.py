"""One class in the report of an audit: its verdict, what was exchanged, and its pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from iconoscope.results.audit import Audit, ClassFinding
from iconoscope.results.audit_text import percent
from iconoscope.results.decision_rule import Examined
from iconoscope.results.rendering import colour, data_uri, overlay, to_jpeg, to_png

if TYPE_CHECKING:
    from iconoscope.show.audit_page import Audited

__all__ = ["PLAIN", "Card", "drawn"]

_BARS, _LEAST_BARS = 8, 3  # properties of a class that are drawn, with and without an effect; all are in the table
_NOTICED = 0.1  # of the answers: a difference that a reader sees, and wants explained
_NOTHING = 0.02  # of the probability: what costs less costs nothing
PLAIN = 100  # pixels up to which pictures are drawn with sharp edges and as PNG


class _Bar(NamedTuple):
    anchor: str
    name: str
    other: float
    own: float
    excess: str
    relied: bool
    but: str


class _Changed(NamedTuple):
    """One image of a class: as it is, what covering costs, and what the exchange and its control make of it."""

    seen: str
    seen_told: str
    covered: str
    told: str
    other: str
    own: str
    family: str
    answer: str
    answers: tuple[str, str]
    moved: tuple[bool, bool]
    anchor: str


@dataclass(frozen=True)
class Card:
    """One class."""

    of: Audited
    found: ClassFinding
    place: int  # among the shown classes

    @property
    def audit(self) -> Audit:
        """The audit that it is part of."""
        return self.of.audit

    @property
    def word(self) -> str:
        """The verdict, as a key of `AUDIT_WORDS`."""
        return self.found.conclusion.word

    @property
    def heading(self) -> str:
        """The class, how many images are answered so, and how many of its own rightly."""
        found = self.found
        if not found.labelled:
            return self.of.text.say("page class", name=found.name, images=found.images)
        return self.of.text.say(
            "page class labelled",
            name=found.name,
            images=found.images,
            labelled=found.labelled,
            accuracy=percent(found.accuracy),
        )

    @property
    def bars(self) -> list[_Bar]:
        """The strongest properties: flips by another class's, and by its own class's."""
        relied = set(self.found.conclusion.names)
        return [
            _Bar(
                self.of.anchor(self.found.name, each.name),
                self.of.name(each.name),
                100 * float(np.nan_to_num(each.effect.raw)),
                100 * float(np.nan_to_num(each.effect.control)),
                ""
                if math.isnan(each.effect.excess)
                else f"{100 * each.effect.excess:+.0f} ± {200 * each.effect.error:.0f}",
                each.name in relied,
                self._but(each),
            )
            for place, each in enumerate(self.shown[:_BARS])
            if place < _LEAST_BARS or max(each.effect.raw, each.effect.control) >= 0.02
        ]

    def _but(self, each: Examined) -> str:
        """Say why a property that changes answers is not relied on."""
        if not each.failed or not each.effect.raw - each.effect.control >= _NOTICED:
            return ""
        failed = next((name for name in each.failed if name != "effect"), each.failed[0])
        return self.of.text.say(f"fails {failed}")

    @property
    def shown(self) -> list[Examined]:
        """What was exchanged, without the parts where it is not known where the object is."""
        return [each for each in self.found.tested if self.audit.sure or each.name in self.audit.families]

    @property
    def images(self) -> list[_Changed]:
        """Some of its images, exchanged."""
        audit, names = self.audit, self.audit.names
        rows = [at for at, row in enumerate(audit.shown.tolist()) if names[audit.predicted[row]] == self.found.name]
        return [self._changed(at) for at in rows]

    def _changed(self, at: int) -> _Changed:
        audit = self.audit
        row = int(audit.shown[at])
        before = int(audit.predicted[row])
        answers = audit.changed_answers[at].tolist()
        family = audit.trials[int(audit.changed_by[at])]
        photograph, drop = audit.photographs[at], audit.shown_drops[0, at].astype(np.float32)
        largest = float(drop.max())
        told = (
            self.of.text.say(
                "page covered",
                answer=audit.names[before],
                most=self.of.text.say("page covered most", drop=f"{largest:.2f}"),
            )
            if largest >= _NOTHING
            else self.of.text.say("page covered none")
        )
        weight = _enlarged(drop.clip(0, 1), photograph.shape[:2])
        shown = overlay(photograph, weight if largest >= _NOTHING else 0 * weight)
        return _Changed(
            seen=drawn(photograph),
            seen_told=self._seen(row),
            covered=drawn(shown),
            told=told,
            other=drawn(audit.changed[at, 0]),
            own=drawn(audit.changed[at, 1]),
            family=self.of.name(family),
            answer=audit.names[before],
            answers=(audit.names[answers[0]], audit.names[answers[1]]),
            moved=(answers[0] != before, answers[1] != before),
            anchor=self.of.anchor(self.found.name, family),
        )

    def _seen(self, row: int) -> str:
        answer, label = self.audit.names[self.audit.predicted[row]], int(self.audit.target[row])
        if label < 0 or label == self.audit.predicted[row]:
            return self.of.text.say("page seen", answer=answer)
        return self.of.text.say("page seen wrongly", answer=answer, label=self.audit.names[label])

    @property
    def mean(self) -> list[tuple[str, str]]:
        """The mean maps, one for each patch, with what they show."""
        audit = self.audit
        found: list[tuple[str, str]] = []
        for which, patch in enumerate(audit.patches):
            drops = audit.drops[which, self.place].astype(np.float32)
            reach = max(0.05, float(np.abs(drops).max()))
            picture = colour(
                _enlarged(drops, (144, round(144 * drops.shape[1] / drops.shape[0]))),
                low=-reach,
                high=reach,
                table="RdBu_r",
            )
            found.append(
                (
                    data_uri(to_png(picture)),
                    self.of.text.say("page mean", patch=patch, name=self.found.name, most=f"{drops.max():.2f}"),
                )
            )
        return found

    @property
    def shares(self) -> list[str]:
        """Say where the cost lies."""
        found, text = self.found, self.of.text
        told: list[str] = []
        mine = self.audit.predicted[self.audit.occluded] == self.audit.names.index(found.name)
        if mine.any():
            low, middle, high = np.quantile(self.audit.largest[0, mine].clip(0), (0.25, 0.5, 0.75))
            if high < _NOTHING:
                return [text.say("page covered none")]
            told.append(text.say("page largest", middle=f"{middle:.2f}", low=f"{low:.2f}", high=f"{high:.2f}"))
        if not math.isnan(found.border):
            told.append(text.say("page border", share=percent(found.border), area=percent(found.area)))
        if not math.isnan(found.on_object) and self.audit.sure:
            told.append(text.say("page on object", share=percent(found.on_object), area=percent(found.object_area)))
        return told

    @property
    def made(self) -> tuple[str, str, str]:
        """The optimised picture, what it is, and the property that counts measured on it."""
        audit, text = self.audit, self.of.text
        told = text.say("page made", name=self.found.name)
        family = self.of.family
        value = ""
        if family in audit.overall.names:
            made = audit.values_of(family, audit.made_values)[self.place]
            values = audit.values_of(family)
            number = audit.strongest(family)
            if not np.isnan(made[number]):
                mine = audit.predicted == audit.names.index(self.found.name)
                value = text.say(
                    "page made value",
                    family=self.of.name(family),
                    value=f"{made[number]:.2f}",
                    own=f"{values[mine, number].mean():.2f}",
                    others=f"{values[~mine, number].mean():.2f}" if (~mine).any() else "-",
                )
        return drawn(audit.made[self.place]), told, value

    @property
    def exemplars(self) -> list[str]:
        """The images that its logit answers most."""
        return [drawn(picture) for picture in self.audit.exemplars[self.place]]


def _enlarged(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Give a map in other pixels, smoothly."""
    from PIL import Image

    resized = Image.fromarray(values).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(resized, np.float32)


def drawn(pixels: NDArray[np.uint8]) -> str:
    """Give a picture for a page: a small one to the last bit, a large one as JPEG."""
    return data_uri(to_png(pixels) if max(pixels.shape[:2]) <= PLAIN else to_jpeg(pixels))
