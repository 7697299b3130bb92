"""Everything that an audit says, in English and in Spanish: the one place where its sentences are."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import Any

from iconoscope.results.audit_conclusions import Conclusions
from iconoscope.results.decision_rule import LEAST_IMAGES, Conclusion, Examined

__all__ = ["LANGUAGES", "SUITE", "AuditText", "percent", "read_words"]

LANGUAGES = ("en", "es")
"""Each has a file of its own in the folder ``words``: the nuisances, and all texts by the same keys."""


SUITE = {
    "networks": "74", "detected": "100%", "named": "95%", "honest": "204", "accused": "2", "low": "0.1%", "high": "3.5%",
}  # fmt: skip
"""Results of `make bench-audit` on seeds not looked at while the rule was made; docs/performance.md has the table."""


@cache
def read_words(lang: str) -> dict[str, Any]:
    """Read the file of a language."""
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
        self.texts: dict[str, str] = words["texts"]
        self.properties: dict[str, dict[str, str]] = words["properties"]

    def say(self, key: str, **values: Any) -> str:
        """Give a sentence with its values."""
        return self.texts[key].format(**values)

    def property_name(self, name: str) -> str:
        """Give the name of a property in the middle of a sentence; one's own keep the name that they have."""
        return self.properties[name]["name"] if name in self.properties else name

    def short(self, conclusion: Conclusion) -> str:
        """Give the conclusion without figures."""
        if conclusion.word == "undecided":
            return self.say("undecided", reason=self.say(conclusion.reason))
        return self.say(conclusion.word, property=self.property_name(conclusion.names[0]) if conclusion.names else "")

    def verdict(self, conclusion: Conclusion, examined: list[Examined], *, images: int, classes: int) -> str:
        """Give the conclusion with the figures that decided it."""
        figures = self.figures(conclusion, examined, images=images, classes=classes)
        return f"{self.short(conclusion)} ({figures})" if figures else self.short(conclusion)

    def figures(self, conclusion: Conclusion, examined: list[Examined], *, images: int, classes: int) -> str:
        """Give the figures that decided, nothing where there are none."""
        effects = {single.name: single.effect for single in examined}
        if conclusion.names:
            effect = effects[conclusion.names[0]]
            name = self.property_name(conclusion.names[0]).partition(",")[0]
            key = "figures" if classes == 2 else "figures many"
            return self.say(key, property=name, raw=percent(effect.raw), control=percent(effect.control))
        if conclusion.reason == "too few images":
            return self.say("figures few", images=images, least=LEAST_IMAGES)
        if conclusion.reason == "middle":
            return self.say("middle")
        if conclusion.word == "object" and "object" in effects:
            shares = {part: percent(effects[part].raw) for part in ("object", "background")}
            return self.say("figures object", **shares)
        return ""

    def advice(self, conclusion: Conclusion, *, name: str, swap_alone: bool = False) -> str:
        """Say what to do next about a class of this name; after a swap alone that is to try properties."""
        if conclusion.word in ("shortcut", "mixed"):
            words = self.properties.get(conclusion.names[0])
            if words is None:
                return self.say("advice own property", name=name, property=conclusion.names[0])
            return self.say("advice shortcut", name=name, collect=words["collect"], augment=words["augment"])
        key = "swap alone" if swap_alone and not conclusion.reason else conclusion.reason or conclusion.word
        return self.say(f"advice {key}", name=name, least=LEAST_IMAGES)

    def overall(self, conclusions: Conclusions) -> str:
        """Give the conclusion on the network: in which classes, and the figures of the one that it is plainest in."""
        overall, by_class = conclusions.overall, conclusions.by_class
        alike = [index for index, conclusion in by_class.items() if self._alike(conclusion, overall)]
        if not alike:
            return self.short(overall)
        if overall.word == "undecided":
            return self.in_classes(self.short(overall), alike, conclusions)

        def strength(index: int) -> float:
            effects = {single.name: single.effect.excess for single in conclusions.examined[index]}
            return effects.get(overall.names[0] if overall.names else "object", 0.0)

        plainest = max(alike, key=strength)
        sentence = self.verdict(
            overall if overall.names else by_class[plainest],
            conclusions.examined[plainest],
            images=int((conclusions.images.predicted == plainest).sum()),
            classes=len(by_class),
        )
        return self.in_classes(sentence, alike, conclusions)

    def in_classes(self, verdict: str, alike: list[int], conclusions: Conclusions) -> str:
        """Add to a verdict on the network the classes that it holds for, and the others that something else decides."""
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
        return self.say("and others", verdict=sentence, names=self._listed(others)) if others else sentence

    def _listed(self, names: list[str]) -> str:
        return ", ".join(names[:4]) + (" " + self.say("and more", count=len(names) - 4) if len(names) > 4 else "")

    @staticmethod
    def _alike(conclusion: Conclusion, overall: Conclusion) -> bool:
        if overall.names:
            return bool(conclusion.names) and overall.names[0] in conclusion.names
        return conclusion.word == overall.word


def percent(share: float) -> str:
    """Give a share in whole hundredths, a dash where it is not known.

    >>> percent(0.125), percent(float("nan"))
    ('12%', '-')
    """
    return "-" if math.isnan(share) else f"{share:.0%}"
