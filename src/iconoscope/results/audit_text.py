"""Everything that an audit says, in English and in Spanish: the one place where its sentences are."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from iconoscope.results.audit_conclusions import Conclusions
from iconoscope.results.decision_rule import IMAGE_PARTS, LEAST_IMAGES, UNJUDGED, Conclusion, Effect, has_a_say
from iconoscope.results.hypothesis_rule import HYPOTHESIS_KINDS

__all__ = ["MEASURED_DETECTION", "SUITE", "AuditText", "capitalised", "hundredths", "percent", "read_words"]

SUITE = {
    "networks": "49", "detected": "82%", "from": "68%", "to": "91%", "honest": "153", "accused": "3",
    "low": "0.4%", "high": "5.6%",
}  # fmt: skip
"""Shortcuts in photographs that cost over 20 points, in networks that no constant was chosen by, when these were first run by
the rules of their time; benchmarks/results/audit_photographs_first_run.json has every class (the halves "fresh" and "last")."""

MEASURED_DETECTION = 0.82
"""Of these shortcuts, the share that was detected."""

_ANYWHERE = ("border", "thing")
"""Names that say where it is, or that it may be anywhere."""


@cache
def read_words(lang: str) -> dict[str, Any]:
    """Read the file of a language in the folder ``words``: the nuisances, and all texts by the same keys."""
    return json.loads((Path(__file__).parent / "words" / f"{lang}.json").read_text(encoding="utf-8"))


class AuditText:
    """The sentences of one language.

    Examples
    --------
    >>> AuditText("es").property_name("border"), AuditText("en").property_name("wings of my own")
    ('borde', 'wings of my own')
    """

    def __init__(self, lang: str) -> None:
        words = read_words(lang)
        self.comma = lang == "es"
        self.texts: dict[str, str] = words["texts"]
        self.properties: dict[str, dict[str, str]] = words["properties"]
        self.positions: dict[str, str] = words["positions"]

    def say(self, key: str, **values: Any) -> str:
        """Give a sentence with its values."""
        return self.texts[key].format(**values)

    def decimal(self, number: float, form: str = ".2f") -> str:
        """Give a number as the language writes it, a dash where it is not known.

        >>> AuditText("es").decimal(0.125), AuditText("en").decimal(float("nan"))
        ('0,12', '-')
        """
        return self.localised("-" if math.isnan(number) else format(number, form))

    def localised(self, written: str) -> str:
        """Give a number that is written with a point as the language writes it."""
        return written.replace(".", ",") if self.comma else written

    def property_name(self, name: str) -> str:
        """Give the name of a property in the middle of a sentence; one's own keep the name that they have."""
        return self.properties[name]["name"] if name in self.properties else name

    def exchanged_name(self, name: str) -> str:
        """Give the name of what was exchanged: a property, or one of the two parts of an image."""
        return self.say(f"part {name}") if name in IMAGE_PARTS else self.property_name(name)

    def short(self, conclusion: Conclusion) -> str:
        """Give the conclusion without figures: what it is, and where in the picture."""
        if conclusion.word == "undecided":
            return self.say("undecided", reason=self.say(conclusion.reason, least=LEAST_IMAGES))
        return self.say(conclusion.word, property=self.placed_name(conclusion))

    def placed_name(self, conclusion: Conclusion) -> str:
        """Name what is relied on, with its position in the picture if that says more; empty if it names nothing."""
        if not conclusion.names:
            return ""
        name = self.property_name(conclusion.names[0])
        position = "" if conclusion.names[0] in _ANYWHERE else self.positions.get(conclusion.position, "")
        return f"{name}, {position}" if position else name

    def verdict(self, index: int, conclusions: Conclusions, conclusion: Conclusion | None = None) -> str:
        """Give the conclusion on a class, or another one, with that class's figures."""
        conclusion = conclusions.by_class[index] if conclusion is None else conclusion
        figures = self.figures(index, conclusions, conclusion)
        return f"{self.short(conclusion)} ({figures})" if figures else self.short(conclusion)

    def figures(self, index: int, conclusions: Conclusions, conclusion: Conclusion) -> str:
        """Give the figures of a class that decided, nothing where there are none."""
        effects = {single.name: single.effect for single in conclusions.examined[index]}
        if conclusion.names and conclusion.names[0] in HYPOTHESIS_KINDS:
            return self.cost(conclusions.images.class_names[index], effects[conclusion.names[0]])
        if conclusion.names:
            effect = effects[conclusion.names[0]]
            name = self.property_name(conclusion.names[0]).partition(",")[0]
            key = "figures" if len(np.unique(conclusions.images.predicted)) == 2 else "figures many"
            return self.say(key, property=name, raw=percent(effect.raw), control=percent(effect.control))
        if conclusion.reason == "too few images":
            images = int((conclusions.images.predicted == index).sum())
            return self.say("figures few", images=images, least=LEAST_IMAGES)
        if conclusion.word == "nothing":
            key = "figures nothing" if conclusions.objects_known else "figures nothing unmasked"
            return self.say(key, power=hundredths(conclusions.power(index) * MEASURED_DETECTION))
        if conclusion.word == "object" and "object" in effects:
            shares = {part: percent(effects[part].raw) for part in ("object", "background")}
            if has_a_say(effects["background"]):
                return self.say("figures object and ground", control=percent(effects["background"].control), **shares)
            return self.say("figures object", **shares)
        return ""

    def cost(self, name: str, effect: Effect) -> str:
        """Say what a class loses without a thing, and what others become with it, of a hundred each."""
        return self.say("figures cost", name=name, taken=hundredths(effect.lost), given=hundredths(effect.gained))

    def advice(
        self,
        conclusion: Conclusion,
        *,
        name: str,
        swap_alone: bool = False,
        objects_known: bool = True,
        background: bool = False,
    ) -> str:
        """Say what to do next about a class of this name; after a swap alone that is to try properties.

        `background` says whether it has a say beside the object that decides.
        """
        if conclusion.word in ("shortcut", "mixed"):
            words = self.properties.get(conclusion.names[0])
            if words is None:
                return self.say("advice own property", name=name, property=conclusion.names[0])
            return self.say("advice shortcut", name=name, collect=words["collect"], augment=words["augment"])
        key = "swap alone" if swap_alone and not conclusion.reason else conclusion.reason or conclusion.word
        if key == "nothing" and not objects_known:
            key = "nothing unmasked"
        if key == "object" and background:
            key = "object and ground"
        return self.say(f"advice {key}", name=name, least=LEAST_IMAGES)

    def overall(self, conclusions: Conclusions, *, figures: bool = True) -> str:
        """Give the conclusion on the network: in which classes, and with the figures of the plainest if wished."""
        overall, by_class = conclusions.overall, conclusions.by_class
        alike = [index for index, conclusion in by_class.items() if self._alike(conclusion, overall)]
        if overall.reason in (
            "preprocessing assumed",
            "too many classes",
        ):  # of the network, whatever is said of its classes
            return self.short(overall)
        if not alike or overall.word == "undecided":
            return self.in_classes(self.short(overall), alike, conclusions) if alike else self.short(overall)

        def strength(index: int) -> float:
            if overall.word == "nothing":  # the least that would have been found in each of them
                return -conclusions.power(index)
            effects = {single.name: single.effect.excess for single in conclusions.examined[index]}
            return effects.get(overall.names[0] if overall.names else "object", 0.0)

        if not figures:
            return self.in_classes(self.short(overall), alike, conclusions)
        plainest = max(alike, key=strength)
        sentence = self.verdict(plainest, conclusions, overall if overall.names else None)
        return self.in_classes(sentence, alike, conclusions)

    def power(self, conclusions: Conclusions) -> str:
        """Say what would have been found in the class of which least is known, where nothing was found; else nothing."""
        acquitted = [index for index, single in conclusions.by_class.items() if single.word == "nothing"]
        if not acquitted:
            return ""
        weakest = min(acquitted, key=conclusions.power)
        return self.figures(weakest, conclusions, conclusions.by_class[weakest])

    def in_classes(self, verdict: str, alike: list[int], conclusions: Conclusions) -> str:
        """Add to a verdict the classes that it holds for, those that something else decides, and those that are open."""
        names, by_class = conclusions.images.class_names, conclusions.by_class
        if len(alike) == len(by_class):
            return self.say("for every class", verdict=verdict) if len(alike) > 1 else verdict
        sentence = self.say(
            "in classes",
            verdict=verdict,
            count=len(alike),
            of=len(by_class),
            names=self._listed([names[index] for index in alike]),
        )
        others = [names[index] for index in conclusions.accused if index not in alike]
        unjudged = [
            names[index] for index, conclusion in by_class.items() if conclusion.word in UNJUDGED and index not in alike
        ]
        sentence = self.say("and others", verdict=sentence, names=self._listed(others)) if others else sentence
        return self.say("and unjudged", verdict=sentence, names=self._listed(unjudged)) if unjudged else sentence

    def _listed(self, names: list[str]) -> str:
        return ", ".join(names[:4]) + (" " + self.say("and more", count=len(names) - 4) if len(names) > 4 else "")

    @staticmethod
    def _alike(conclusion: Conclusion, overall: Conclusion) -> bool:
        if overall.names:
            return bool(conclusion.names) and overall.names[0] in conclusion.names
        return conclusion.word == overall.word


def capitalised(sentence: str) -> str:
    """Begin a sentence with a capital; the rest stays as it is, as names do."""
    return sentence[:1].upper() + sentence[1:]


def percent(share: float) -> str:
    """Give a share in whole hundredths, a dash where it is not known.

    >>> percent(0.125), percent(float("nan"))
    ('12%', '-')
    """
    return "-" if math.isnan(share) else f"{share:.0%}"


def hundredths(share: float) -> str:
    """Give a share as how many of a hundred, from none to all, a dash where it is not known.

    >>> hundredths(0.957), hundredths(-0.01)
    ('96', '0')
    """
    return "-" if math.isnan(share) else f"{100 * min(max(share, 0.0), 1.0):.0f}"
