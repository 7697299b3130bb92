"""Everything that an audit says, in English and in Spanish: the one place where its sentences are."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iconoscope.results.decision_rule import ACCUSING, LEAST_IMAGES, Conclusion, Examined

if TYPE_CHECKING:
    from iconoscope.results.audit import Audit

__all__ = ["LANGUAGES", "SUITE", "AuditText", "percent", "read_words"]

LANGUAGES = ("en", "es")
"""Each has a file of its own in the folder ``words``: the families, and all texts by the same keys."""


SUITE = {
    "networks": "74", "detected": "100%", "named": "95%", "honest": "204", "accused": "2", "low": "0.1%", "high": "3.5%",
}  # fmt: skip
"""What `make bench-audit` found, on seeds not looked at while the rule was made; docs/performance.md has the table."""


@cache
def read_words(lang: str) -> dict[str, Any]:
    """Read the file of a language."""
    return json.loads((Path(__file__).parent / "words" / f"{lang}.json").read_text(encoding="utf-8"))


class AuditText:
    """The sentences of one language.

    Examples
    --------
    >>> AuditText("es").family("border"), AuditText("en").family("wings of my own")
    ('borde', 'wings of my own')
    """

    def __init__(self, lang: str) -> None:
        words = read_words(lang)
        self.texts: dict[str, str] = words["texts"]
        self.families: dict[str, dict[str, str]] = words["families"]

    def say(self, key: str, **values: Any) -> str:
        """Give a sentence with its values."""
        return self.texts[key].format(**values)

    def family(self, name: str) -> str:
        """Give the name of a family in the middle of a sentence; one's own keep the name that they have."""
        return self.families[name]["name"] if name in self.families else name

    def short(self, conclusion: Conclusion) -> str:
        """Give the conclusion without figures."""
        if conclusion.word == "undecided":
            return self.say("undecided", reason=self.say(conclusion.reason))
        return self.say(conclusion.word, family=self.family(conclusion.names[0]) if conclusion.names else "")

    def verdict(self, conclusion: Conclusion, tested: list[Examined], *, images: int, classes: int) -> str:
        """Give the conclusion with the figures that decided it."""
        figures = self.figures(conclusion, tested, images=images, classes=classes)
        return f"{self.short(conclusion)} ({figures})" if figures else self.short(conclusion)

    def figures(self, conclusion: Conclusion, tested: list[Examined], *, images: int, classes: int) -> str:
        """Give the figures that decided, nothing where there are none."""
        by_name = {each.name: each.effect for each in tested}
        if conclusion.names:
            effect = by_name[conclusion.names[0]]
            family = self.family(conclusion.names[0]).partition(",")[0]
            key = "figures" if classes == 2 else "figures many"
            return self.say(key, family=family, raw=percent(effect.raw), control=percent(effect.control))
        if conclusion.reason == "too few images":
            return self.say("figures few", images=images, least=LEAST_IMAGES)
        if conclusion.reason == "middle":
            return self.say("middle")
        if conclusion.word == "object" and "object" in by_name:
            pair = {"raw": percent(by_name["object"].raw), "ground": percent(by_name["background"].raw)}
            return self.say("figures object", **pair)
        return ""

    def advice(self, conclusion: Conclusion, *, name: str) -> str:
        """Say what to do next."""
        if conclusion.word in ("shortcut", "mixed"):
            family = self.families.get(conclusion.names[0])
            if family is None:
                return self.say("advice own family", name=name, family=conclusion.names[0])
            return self.say("advice shortcut", name=name, collect=family["collect"], augment=family["augment"])
        key = conclusion.reason or conclusion.word
        return self.say(f"advice {key}", name=name, least=LEAST_IMAGES)

    def overall(self, audit: Audit) -> str:
        """Give the conclusion on the network: in which classes, and the figures of the one that it is plainest in."""
        conclusion, concluded = audit.overall, audit.conclusions
        alike = [each for each, found in concluded.items() if self._alike(found, conclusion)]
        if not alike:
            return self.short(conclusion)

        def strength(each: int) -> float:
            found = {tested.name: tested.effect.excess for tested in audit.tested[each]}
            return found.get(conclusion.names[0] if conclusion.names else "object", 0.0)

        if conclusion.word == "undecided":
            return self._spread(self.short(conclusion), alike, audit)
        plainest = max(alike, key=strength)
        images = int((audit.predicted == plainest).sum())
        whole = self.verdict(
            concluded[plainest] if not conclusion.names else Conclusion(conclusion.word, conclusion.names),
            audit.tested[plainest],
            images=images,
            classes=len(concluded),
        )
        return self._spread(whole, alike, audit)

    def _spread(self, whole: str, alike: list[int], audit: Audit) -> str:
        """Say in which classes."""
        concluded = audit.conclusions
        if len(alike) == len(concluded):
            return self.say("for every class", verdict=whole) if len(alike) > 1 else whole
        names = [audit.names[each] for each in alike]
        found = self.say("in classes", verdict=whole, count=len(alike), of=len(concluded), names=self._named(names))
        others = [audit.names[each] for each in concluded if concluded[each].word in ACCUSING and each not in alike]
        return self.say("and others", verdict=found, names=self._named(others)) if others else found

    def _named(self, names: list[str]) -> str:
        return ", ".join(names[:4]) + (" " + self.say("and more", count=len(names) - 4) if len(names) > 4 else "")

    @staticmethod
    def _alike(found: Conclusion, overall: Conclusion) -> bool:
        if overall.names:
            return bool(found.names) and overall.names[0] in found.names
        return found.word == overall.word


def percent(share: float) -> str:
    """Give a share in whole hundredths, a dash where it is not known.

    >>> percent(0.125), percent(float("nan"))
    ('12%', '-')
    """
    return "-" if math.isnan(share) else f"{share:.0%}"
