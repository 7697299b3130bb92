"""The report of an audit: one page, in English or Spanish, from what the audit holds."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import QuestionError
from iconoscope.results.audit import Audit, ClassFinding
from iconoscope.results.audit_text import SUITE, AuditText, percent
from iconoscope.results.decision_rule import PARTS, Examined
from iconoscope.results.image_map import class_colours
from iconoscope.results.rendering import colour, data_uri, to_jpeg
from iconoscope.show.audit_card import PLAIN, Card, drawn
from iconoscope.show.template import write_page

__all__ = ["audit_page"]

_PLACES = 18  # thumbnails across the picture of the map
_BREAKING = 8
_NUMBERED = 20  # classes


def audit_page(
    audits: Audit | Iterable[Audit],
    path: str | Path = "audit.html",
    *,
    lang: str = "en",
    title: str = "",
    lead: str = "",
    links: Iterable[tuple[str, str]] = (),
) -> Path:
    """Write one audit, or those of several networks one after another, as a self-contained page.

    Parameters
    ----------
    audits
        What `audit` gave.
    path
        Where to write the page.
    lang
        en or es.
    title, lead
        Its heading, and a sentence or two under it; a heading is made if none is given.
    links
        Texts and addresses of pages beside it.

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    QuestionError
        If there is no such language, or no audit.
    StoreError
        If it cannot be written.
    """
    audits = [audits] if isinstance(audits, Audit) else list(audits)
    if not audits:
        raise QuestionError("There is no audit to be shown.")
    told = Audit.told(lang)
    names = list(dict.fromkeys(each.question.network for each in audits))
    heading = told.say(
        "page title" if len(names) == 1 else "page title many", networks=f" {told.say('page and')} ".join(names)
    )
    return write_page(
        path,
        "audit.html.j2",
        lang=lang,
        say=told.say,
        title=title or heading,
        lead=lead,
        links=list(links),
        suite=told.say("suite", **SUITE),
        audited=[Audited(each, told, lang, place) for place, each in enumerate(audits)],
    )


@dataclass(frozen=True)
class Audited:
    """One audit, as the page asks for it."""

    audit: Audit
    text: AuditText
    lang: str
    place: int

    @property
    def small(self) -> bool:
        """Whether pictures have so few pixels that they are drawn with sharp edges."""
        return max(self.audit.photographs.shape[1:3], default=0) <= PLAIN

    @property
    def network(self) -> str:
        return self.audit.question.network

    @property
    def verdict(self) -> str:
        whole = self.text.overall(self.audit)
        return whole[:1].upper() + whole[1:]

    @cached_property
    def findings(self) -> dict[str, ClassFinding]:
        return self.audit.findings(self.lang)

    @property
    def audited(self) -> str:
        """Say how many images were asked, and how many objects are known."""
        given, known = int(self.audit.given.sum()), int(self.audit.known.sum())
        how = "page masks" if given == known else "page found" if not given else "page masks and found"
        told = self.text.say(
            "page audited", audited=len(self.audit.ids), seen=self.audit.seen, known=known, how=self.text.say(how)
        )
        return told if self.audit.sure else f"{told} {self.text.say('page unsure')}"

    @property
    def family(self) -> str:
        """The property that the page asks about: what the network relies on, else what changed most answers."""
        names = [name for name in self.audit.overall.names if name in self.audit.families]
        if names:
            return names[0]
        tested = [each for found in self.audit.tested.values() for each in found if each.name in self.audit.families]
        best = max(tested, key=lambda each: np.nan_to_num(each.effect.excess, nan=-1.0), default=None)
        return best.name if best else ""

    def name(self, family: str) -> str:
        """Give the name of a property, or of one of the two parts."""
        return self.text.say(f"part {family}") if family in PARTS else self.text.family(family)

    @property
    def quick(self) -> bool:
        """Whether it was the quick audit."""
        return bool(self.audit.question.settings.get("quick"))

    @cached_property
    def cards(self) -> list[Card]:
        """The classes that have pictures, those that are accused first."""
        shown = [self.audit.names[each] for each in self.audit.shown_classes]
        order = ("shortcut", "unnamed", "mixed", "undecided", "object")
        by_gravity = sorted(shown, key=lambda name: order.index(self.findings[name].conclusion.word))
        return [Card(self, self.findings[name], shown.index(name)) for name in by_gravity]

    @property
    def others(self) -> list[ClassFinding]:
        """The classes without pictures."""
        shown = {self.audit.names[each] for each in self.audit.shown_classes}
        return [found for name, found in self.findings.items() if name not in shown]

    @property
    def numbered(self) -> list[ClassFinding]:
        """The classes whose numbers are listed: those that have pictures, and more if they are not too many."""
        return [*(card.found for card in self.cards), *self.others][: max(len(self.cards), _NUMBERED)]

    @property
    def hidden(self) -> str:
        """Say what hiding the object, and the background, does."""
        asked = (self.audit.hidden >= 0).all(1)
        if not asked.any() or not self.audit.sure:
            return ""
        changed = (self.audit.hidden[asked] != self.audit.predicted[asked, None]).mean(0)
        return self.text.say("page hidden", object=f"{changed[0]:.0%}", ground=f"{changed[1]:.0%}")

    @property
    def neighbours(self) -> str:
        """Say by what the neighbourhoods in the last layer are explained."""
        if not self.family:
            return ""
        answer, chance = self.audit.neighbours[0]
        share, by_chance = self.audit.neighbours[1 + self.audit.families.index(self.family)]
        if math.isnan(answer):
            return ""
        return self.text.say(
            "page neighbours",
            answer=f"{answer:.0%}",
            answer_chance=f"{chance:.0%}",
            family=self.name(self.family),
            family_share=f"{share:.0%}",
            family_chance=f"{by_chance:.0%}",
        )

    @cached_property
    def breaking(self) -> dict[str, Any] | None:
        """The images that carry the relied-on property of another class; None where nothing is relied on."""
        names = [name for name in self.audit.overall.names if name in self.audit.families]
        if not names:
            return None
        accused = next(each for each, found in self.audit.conclusions.items() if names[0] in found.names)
        tested = next(each for each in self.audit.tested[accused] if each.name == names[0])
        number = self.audit.strongest_number(names[0])
        mine = self.audit.predicted == accused
        sign = 1 if np.median(number[mine]) >= np.median(number[~mine]) else -1
        high, low = np.median(sign * number[mine]), np.median(sign * number[~mine])
        of_class = self.audit.target == accused
        labelled = self.audit.target >= 0
        breaks = labelled & np.where(of_class, sign * number <= low, sign * number >= high)
        rows = np.flatnonzero(breaks)
        wrong_first = rows[np.argsort(self.audit.predicted[rows] == self.audit.target[rows], kind="stable")]
        return {
            "family": self.name(names[0]),
            "wrong": percent(tested.agreement.conflicting),
            "right": percent(tested.agreement.agreeing),
            "few": math.isnan(tested.agreement.conflicting),
            "images": [
                (drawn(self.audit.thumbnails[row]), str(self.audit.ids[row]), self._told(row))
                for row in wrong_first[:_BREAKING]
            ],
        }

    def _told(self, row: int) -> str:
        label, answer = self.audit.names[self.audit.target[row]], self.audit.names[self.audit.predicted[row]]
        return self.text.say("page breaking caption", label=label, answer=answer)

    @property
    def units(self) -> list[tuple[str, str]]:
        """The units that follow a property: their picture, and what is said of them."""
        made = {unit: place for place, unit in enumerate(self.audit.made_units)}
        return [
            (
                drawn(self.audit.made[made[unit]]),
                self.text.say("page unit", unit=unit, family=self.name(family), area=f"{area:.2f}"),
            )
            for unit, family, area in zip(
                self.audit.units, self.audit.unit_families, self.audit.unit_area.tolist(), strict=True
            )
            if unit in made
        ]

    @property
    def skipped(self) -> str:
        """Name what could not be tried, and why."""
        reasons: dict[str, list[str]] = {}
        for family, reason in self.audit.skipped:
            reasons.setdefault(reason, []).append(self.text.family(family))
        told = "; ".join(f"{', '.join(names)} ({self.text.say(reason)})" for reason, names in reasons.items())
        return self.text.say("page skipped", list=told) if told else ""

    # -----------------------------------------------------------------------------------------------------------------
    # The map
    # -----------------------------------------------------------------------------------------------------------------

    @cached_property
    def dots(self) -> list[tuple[float, float, str, str]]:
        """Places in a square of 100, the colour of the answer, and that of the property."""
        points = self._square(98.0)
        inks = ["#{:02x}{:02x}{:02x}".format(*ink) for ink in self._inks()]
        if self.family:
            values = self.audit.strongest_number(self.family)
            ranks = values.argsort().argsort() / max(1, len(values) - 1)
            shades = [
                "#{:02x}{:02x}{:02x}".format(*ink) for ink in colour(ranks[:, None], low=0, high=1)[:, 0].tolist()
            ]
        else:
            shades = inks
        return [
            (round(1 + float(x), 1), round(1 + float(y), 1), ink, shade)
            for (x, y), ink, shade in zip(points, inks, shades, strict=True)
        ]

    @property
    def legend(self) -> list[tuple[str, str]]:
        """The commonest answers and their colours."""
        colours = class_colours(len(self.audit.answered))
        pairs = zip(self.audit.answered, colours, strict=True)
        return [("#{:02x}{:02x}{:02x}".format(*ink), self.audit.names[each]) for each, ink in list(pairs)[:12]]

    def _inks(self) -> list[tuple[int, int, int]]:
        colours = dict(zip(self.audit.answered, class_colours(len(self.audit.answered)), strict=True))
        return [colours[each] for each in self.audit.predicted.tolist()]

    def _square(self, side: float) -> NDArray[np.float32]:
        points = self.audit.points - self.audit.points.min(0)
        return points / np.maximum(points.max(0), 1e-9) * side

    @cached_property
    def pictured_map(self) -> str:
        """Some of the images in their places, framed in the colour of their answer; never two over one another."""
        side = self.audit.thumbnails.shape[1]
        cell = side + 4
        picture = np.full((_PLACES * cell, _PLACES * cell, 3), 255, np.uint8)
        cells = np.minimum(self._square(_PLACES).astype(int), _PLACES - 1)
        taken: set[tuple[int, int]] = set()
        inks = self._inks()
        for row, (across, down) in enumerate(cells.tolist()):
            if (across, down) in taken:
                continue
            taken.add((across, down))
            top, left = down * cell, across * cell
            picture[top : top + cell, left : left + cell] = inks[row]
            picture[top + 2 : top + 2 + side, left + 2 : left + 2 + side] = self.audit.thumbnails[row]
        return data_uri(to_jpeg(picture))

    # -----------------------------------------------------------------------------------------------------------------
    # Numbers
    # -----------------------------------------------------------------------------------------------------------------

    def anchor(self, of_class: str, family: str) -> str:
        """Give the address of the row of the table in which the numbers of a property and a class are."""
        return f"n{self.place}-{self.audit.names.index(of_class)}-{family.replace(' ', '-')}"

    def row(self, of_class: str, each: Examined) -> dict[str, str]:
        """Give the cells of a row of the table."""
        effect, agreed = each.effect, each.agreement
        part = each.name in PARTS
        says = self.text.say(f"fails {each.failed[0]}" if each.failed else "decides" if part else "relied on")
        if part and not self.audit.sure:
            says = self.text.say("skipped objects")
        return {
            "anchor": self.anchor(of_class, each.name),
            "name": self.name(each.name),
            "excess": "-" if math.isnan(effect.excess) else f"{effect.excess:+.2f} ± {2 * effect.error:.2f}",
            "flips": f"{percent(effect.raw)} / {percent(effect.control)}",
            "area": "-" if math.isnan(each.area) else f"{each.area:.2f}",
            "accuracy": "-" if part else f"{percent(agreed.agreeing)} / {percent(agreed.conflicting)}",
            "says": says,
            "relied": "relied" if not each.failed and not part else "",
        }

    @property
    def json(self) -> str:
        """The same for machines; what would end the script is escaped."""
        return json.dumps(self.audit.to_json(), ensure_ascii=False).replace("<", "\\u003c")

    @property
    def machine(self) -> str:
        question = self.audit.question
        return self.text.say("page made by", version=question.version, weights=question.weights[:12])
