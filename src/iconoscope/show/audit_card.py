"""One class in the page of an audit: its verdict, what was exchanged, and its pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from iconoscope.language import current_language
from iconoscope.results.audit import Audit, ClassVerdict
from iconoscope.results.audit_text import AuditText, capitalised, percent
from iconoscope.results.decision_rule import Conclusion, Examined
from iconoscope.results.estimate import Estimate
from iconoscope.results.folders import without_folders
from iconoscope.results.live_patch import PatchAnswers, live_element
from iconoscope.results.rendering import colour, data_uri, overlay, to_png
from iconoscope.show.template import picture_uri

__all__ = ["SHARP", "AuditView", "Card"]

_BARS, _LEAST_BARS = 8, 3  # properties of a class that are drawn, with and without an effect; all are in the table
_NOTICED = 0.1  # of the answers: a difference that a reader sees, and wants explained
_NOTHING = 0.02  # of the probability, or of the answers: what changes less changes nothing
_HYPOTHESES = 2  # of a class that are shown
_AT_A_PLACE = {"stamp", "mark"}  # two ways to say the same
_ZOOMED = 40  # pixels of a picture's middle
SHARP = 100  # pixels up to which pictures are drawn with sharp edges and as PNG


@dataclass(frozen=True)
class AuditView:
    """One audit of those on a page, in a language; `number` counts them."""

    audit: Audit
    text: AuditText
    number: int

    @cached_property
    def findings(self) -> dict[str, ClassVerdict]:
        """The conclusions by class."""
        return self.audit.findings(current_language())

    @cached_property
    def property(self) -> str:
        """The property that the page asks about: what the network relies on, else what changed most answers."""
        conclusions, nuisances = self.audit.conclusions, self.audit.interventions.nuisances
        if conclusions.relied_on:
            return conclusions.relied_on[0]
        examined = [
            single for of_class in conclusions.examined.values() for single in of_class if single.name in nuisances
        ]
        largest = max(examined, key=lambda single: np.nan_to_num(single.effect.excess, nan=-1.0), default=None)
        return largest.name if largest else ""

    def name(self, exchanged: str) -> str:
        """Give the name of a property, or of one of the two parts."""
        return self.text.exchanged_name(exchanged)

    def anchor(self, of_class: str, exchanged: str) -> str:
        """Give the address of the row of the table in which the numbers of a property and a class are."""
        return f"n{self.number}-{self.audit.names.index(of_class)}-{exchanged.replace(' ', '-')}"


@dataclass(frozen=True)
class SeenHypothesis:
    """What was found in the images of a class, to be looked at.

    Attributes
    ----------
    kind, name, cost
        One of `HYPOTHESIS_KINDS`, what it is called, and what it costs, in words.
    picture
        What it says, (side, side, 3).
    pairs
        Images of the class as they are and without it.
    zoomed
        Whether that is their middle alone, large: for what is in the finest detail.
    """

    kind: str
    name: str
    cost: str
    picture: NDArray[np.uint8]
    pairs: list[list[NDArray[np.uint8]]]
    zoomed: bool


@dataclass(frozen=True)
class Card:
    """One class; `index` counts those that have pictures."""

    view: AuditView
    finding: ClassVerdict
    index: int

    @property
    def audit(self) -> Audit:
        """The audit that it is part of."""
        return self.view.audit

    @property
    def word(self) -> str:
        """The verdict, as a key of `AUDIT_WORDS`."""
        return self.finding.conclusion.word

    @property
    def exchanged(self) -> bool:
        """Whether properties of the class were exchanged, and not in a few images only."""
        return self.audit.conclusions.exchanged(self.class_index)

    @property
    def shows_exchange(self) -> bool:
        """Whether its images are shown with an exchanged property: not where something else was found that has pictures."""
        return self.exchanged and not {*self.finding.conclusion.names[:1]} & self.finding.tested.keys()

    @property
    def class_index(self) -> int:
        """The class's index among the network's."""
        return self.audit.names.index(self.finding.name)

    @property
    def hypotheses(self) -> list[SeenHypothesis]:
        """What was found in the images and decides, or may: the first that the verdict names, and one of another kind.

        Where a property gives the verdict its name, that has pictures too, and the strongest is enough.
        """
        evidence, conclusion = self.audit.hypotheses, self.finding.conclusion
        kinds = [name for name in conclusion.names if name in self.finding.tested]
        if evidence is None or not kinds:
            return []
        kinds = [kinds[0], *(kind for kind in kinds[1:] if not {kind, kinds[0]} <= _AT_A_PLACE)]
        kinds = kinds[: _HYPOTHESES if conclusion.names[0] in kinds else 1]
        effects = {single.name: single.effect for single in self.finding.examined}
        pictured: list[SeenHypothesis] = []
        for kind in kinds:
            number = evidence.number(self.class_index, kind)
            pairs = [pair for pair in evidence.examples[number] if pair.any()]
            zoomed = kind == "spectrum" and bool(pairs)
            named = Conclusion(conclusion.word, (kind,), position=self.finding.tested[kind].position)
            pictured.append(
                SeenHypothesis(
                    kind=kind,
                    name=capitalised(self.view.text.placed_name(named)),
                    cost=capitalised(self.view.text.cost(self.finding.name, effects[kind])) + ".",
                    picture=evidence.pictures[number],
                    pairs=[[_middle(picture) for picture in pair] for pair in pairs[:2]]
                    if zoomed
                    else [*map(list, pairs)],
                    zoomed=zoomed,
                )
            )
        return pictured

    @property
    def bars(self) -> list[Examined]:
        """The strongest properties, without the parts where it is not known where the object is; none if few were exchanged."""
        if not self.exchanged:
            return []
        sure, nuisances = self.audit.conclusions.objects_known, self.audit.interventions.nuisances
        examined = [single for single in self.finding.examined if sure or single.name in nuisances][:_BARS]
        return [
            single
            for rank, single in enumerate(examined)
            if rank < _LEAST_BARS or max(single.effect.raw, single.effect.control) >= _NOTHING
        ]

    def but(self, examined: Examined) -> str:
        """Say why a property that changes answers is not relied on."""
        if not examined.failed or not examined.effect.raw - examined.effect.control >= _NOTICED:
            return ""
        failed = next((condition for condition in examined.failed if condition != "effect"), examined.failed[0])
        return self.view.text.say(f"fails {failed}")

    @property
    def images(self) -> list[int]:
        """Its images that are shown as they are, covered, exchanged and under the control: positions among all of the kind."""
        answers = self.audit.images.predicted[self.audit.illustrations.rows]
        return np.flatnonzero(answers == self.audit.names.index(self.finding.name)).tolist()

    def covered(self, position: int) -> tuple[str, str]:
        """Give a photograph under what covering costs, and what that shows."""
        say, illustrations = self.view.text.say, self.audit.illustrations
        photograph, drop = illustrations.photographs[position], illustrations.drops[0, position].astype(np.float32)
        largest = float(drop.max())
        if largest < _NOTHING:
            weight, caption = np.zeros(photograph.shape[:2], np.float32), say("page covered none")
        else:
            weight, most = (
                _enlarged(drop.clip(0, 1), photograph.shape[:2]),
                say("page covered most", drop=self.view.text.decimal(largest)),
            )
            caption = say("page covered", answer=self.finding.name, most=most)
        return picture_uri(overlay(photograph, weight), lossless=SHARP), caption

    def live(self, position: int, still: str) -> str:
        """Give the same to be felt over with a pointer; `still` is shown where there is no script, or nothing to feel."""
        illustrations, occlusion = self.audit.illustrations, self.audit.occlusion
        photograph, drop = illustrations.photographs[position], illustrations.drops[0, position].astype(np.float32)
        if float(drop.max()) < _NOTHING or occlusion is None:
            return still
        top, left = (
            np.arange(count) * side // count for count, side in zip(drop.shape, photograph.shape[:2], strict=True)
        )
        side = occlusion.patches[0]
        answers = PatchAnswers(
            top=top,
            left=left,
            patch=(math.ceil(photograph.shape[0] / drop.shape[0]), math.ceil(photograph.shape[1] / drop.shape[1])),
            clean=np.zeros(1, np.float32),
            occluded=drop[..., None],
            names=(self.finding.name,),
            target=0,
            measure="cost",
            fill=f"{side}x{side}",
            colour=None,
        )
        name = self.audit.images.ids[illustrations.rows[position]]
        first = next(shown for shown in self.images if float(illustrations.drops[0, shown].max()) >= _NOTHING)
        return live_element(
            [answers],
            photograph,
            still,
            alt=without_folders(str(name)),
            captioned=position == first,
        )

    def with_interval(self, estimate: Estimate) -> str:
        """Give a share of the images with its interval."""
        share, low, high = (percent(number) for number in estimate)
        return self.view.text.say("page interval", share=share, low=low, high=high)

    @property
    def mean(self) -> list[tuple[str, str]]:
        """The mean maps, one for each patch, with what they show."""
        occlusion = self.audit.occlusion
        if occlusion is None:
            return []
        maps: list[tuple[str, str]] = []
        for patch, of_patch in zip(occlusion.patches, occlusion.mean_drops, strict=True):
            drops = of_patch[self.index].astype(np.float32)
            reach = max(0.05, float(np.abs(drops).max()))
            large = _enlarged(drops, (144, round(144 * drops.shape[1] / drops.shape[0])))
            picture = colour(large, low=-reach, high=reach, table="RdBu_r")
            caption = self.view.text.say(
                "page mean",
                patch=patch,
                name=self.finding.name,
                most=self.view.text.decimal(max(0.0, float(drops.max()))),
            )
            maps.append((data_uri(to_png(picture)), caption))
        return maps

    @property
    def shares(self) -> list[str]:
        """Say where the cost lies."""
        finding, say, occlusion = self.finding, self.view.text.say, self.audit.occlusion
        if occlusion is None:
            return []
        sentences: list[str] = []
        in_class = self.audit.images.predicted[occlusion.rows] == self.audit.names.index(finding.name)
        if in_class.any():
            low, middle, high = np.quantile(occlusion.largest_drop[0, in_class].clip(0), (0.25, 0.5, 0.75))
            if high < _NOTHING:
                return [say("page covered none")]
            written = self.view.text.decimal
            sentences.append(say("page largest", middle=written(middle), low=written(low), high=written(high)))
        if not math.isnan(finding.border_share):
            border = {"share": percent(finding.border_share), "area": percent(finding.border_area)}
            sentences.append(say("page border", **border))
        if not math.isnan(finding.object_share.value) and self.audit.conclusions.objects_known:
            share = self.with_interval(finding.object_share)
            sentences.append(say("page on object", share=share, area=percent(finding.object_area)))
            sentences.append(say("page pointing", share=self.with_interval(finding.pointing)))
        return sentences

    @property
    def made(self) -> str:
        """Say what the optimised picture is, with the property that counts measured on it."""
        audit, say, of_property = self.audit, self.view.text.say, self.view.property
        caption = say("page made", name=self.finding.name)
        if audit.optimized is None or of_property not in audit.overall.names:
            return caption
        number = audit.conclusions.best_number(of_property)
        measured = audit.interventions.statistic(of_property, audit.optimized.statistics)[self.index, number]
        if np.isnan(measured):
            return caption
        values = audit.interventions.statistic(of_property)[:, number]
        in_class = audit.images.predicted == audit.names.index(self.finding.name)
        sentence = say(
            "page made value",
            property=self.view.name(of_property),
            value=self.view.text.decimal(measured),
            own=self.view.text.decimal(values[in_class].mean()),
            others=self.view.text.decimal(values[~in_class].mean() if (~in_class).any() else math.nan),
        )
        return f"{caption} {sentence}"


def _middle(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Give the middle of a picture, where its finest detail is seen."""
    height, width = picture.shape[:2]
    side = min(height, width, _ZOOMED)
    top, left = (height - side) // 2, (width - side) // 2
    return picture[top : top + side, left : left + side]


def _enlarged(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Give a map (height, width) in other pixels, smoothly."""
    from PIL import Image

    resized = Image.fromarray(values).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(resized, np.float32)
