"""The report of an audit: one page, in English or Spanish, from what the audit holds."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iconoscope.language import current_language
from iconoscope.language.network_lines import in_spanish
from iconoscope.results.audit import Audit, ClassVerdict
from iconoscope.results.audit_text import SUITE, capitalised, percent
from iconoscope.results.decision_rule import ACCUSING, IMAGE_PARTS, UNJUDGED, Examined, conflicting_images
from iconoscope.results.image_map import class_colours
from iconoscope.results.live_patch import live_script
from iconoscope.results.rendering import colour, data_uri, to_jpeg
from iconoscope.show.audit_card import SHARP, AuditView, Card
from iconoscope.show.template import write_page

__all__ = ["audit_page"]

_CELLS = 18  # thumbnails across the picture of the map
_CONFLICTING = 8
_NUMBERED = 20  # classes
_LISTED = 40  # classes
_OF_OTHERS = (170, 170, 170)  # the colour of answers that nobody asked about
_CONFUSED = 12  # classes of a table of confusion, else pairs


def audit_page(
    audits: Sequence[Audit], path: str | Path, *, title: str, lead: str, links: Iterable[tuple[str, str]]
) -> Path:
    """Write one audit, or those of several networks one after another, as a self-contained page.

    Settings are those of `report`.
    """
    lang = current_language()
    sentences = Audit.sentences(lang)
    say = sentences.say
    names = list(dict.fromkeys(audit.question.network for audit in audits))
    heading = say("page title" if len(names) == 1 else "page title many", networks=f" {say('page and')} ".join(names))
    return write_page(
        path,
        "audit.html.j2",
        lang=lang,
        say=say,
        sharp=SHARP,
        number=sentences.decimal,
        title=title or heading,
        lead=lead,
        links=list(links),
        # The rate of error was measured for audits that try properties.
        suite=""
        if all(audit.swap_alone for audit in audits)
        else say("suite", **{key: sentences.localised(figure) for key, figure in SUITE.items()}),
        script=live_script() if any(audit.illustrations.drops.size for audit in audits) else "",
        audited=[_AuditSection(audit, sentences, number) for number, audit in enumerate(audits)],
    )


@dataclass(frozen=True)
class _AuditSection(AuditView):
    """One audit, as the page asks for it."""

    @property
    def small(self) -> bool:
        """Whether pictures have so few pixels that they are drawn with sharp edges."""
        return max(self.audit.illustrations.photographs.shape[1:3], default=0) <= SHARP

    @property
    def verdict(self) -> str:
        """The conclusion on the network; what would have been found where nothing was is a sentence of its own."""
        return _sentence(self.text.overall(self.audit.conclusions, figures=self.audit.word != "nothing"))

    @property
    def power(self) -> str:
        """What would have been found where nothing was; empty where something was."""
        return _sentence(self.text.power(self.audit.conclusions)) if self.audit.word == "nothing" else ""

    @property
    def outcome(self) -> str:
        """The outcome, for the page: to pass while nobody knows the objects is to pass with a reservation."""
        reserved = self.audit.outcome == "pass" and not self.audit.conclusions.objects_known
        return "reserved" if reserved else self.audit.outcome

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What must be known of the audit before its verdict is believed: accuracy, images, preprocessing, date."""
        images, say = self.audit.images, self.text.say
        accuracy = say("page accuracy none")
        if images.labelled:
            accuracy = say(
                "page accuracy", share=percent(images.accuracy), right=images.right, labelled=images.labelled
            )
        return [
            (say("fact accuracy"), accuracy),
            (say("fact images"), self.audited),
            (say("fact preprocessing"), self.preprocessing),
            (say("fact date"), images.date),
        ]

    @property
    def preprocessing(self) -> str:
        """What happened to every image before the network saw it, and who said so."""
        lines = self.audit.images.preprocessing.split("; ")
        return "; ".join(map(in_spanish, lines)) if current_language() == "es" else "; ".join(lines)

    @property
    def cautions(self) -> list[str]:
        """What limits all that is said."""
        say, conclusions = self.text.say, self.audit.conclusions
        cautions: list[str] = []
        if self.audit.images.near_chance and conclusions.overall.reason != "near chance":
            cautions.append(_sentence(say("near chance")))
        if selection_of := self.audit.question.settings.get("selection_of"):
            cautions.append(say("page selection", chosen=self.audit.images.set_size, all=selection_of))
        if of_interest := self.audit.images.of_interest:
            cautions.append(say("page only", classes=len(self.audit.names), asked=len(of_interest)))
        if self.audit.swap_alone:
            cautions.append(say("page swap alone"))
        elif self.audit.question.settings.get("quick") and self.audit.interventions.trials and self.asked_fewer:
            cautions.append(say("page quick"))
        if conclusions.overall.reason and not self.audit.interventions.trials:
            cautions.append(self.text.advice(conclusions.overall, name=say("page every class")))
        elif self.audit.images.preprocessing_assumed:
            cautions.append(say("advice preprocessing assumed"))
        return cautions

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The classes, the gravest verdicts first: how many images, how many right, and the verdict without figures."""
        cards = [card.finding.name for card in self.cards]
        order = ("shortcut", "unnamed", "mixed", *UNJUDGED, "object", "nothing")
        findings = sorted(self.findings.values(), key=lambda finding: order.index(finding.conclusion.word))
        rows: list[dict[str, Any]] = []
        for finding in findings[:_LISTED]:
            index = self.audit.names.index(finding.name)
            labels = self.audit.images.confusion[self.audit.images.confusion[:, 0] == index]
            labelled = int(labels[:, 2].sum())
            right = self.audit.images.confused(index, index) / labelled if labelled else math.nan
            rows.append({
                "name": finding.name,
                "labelled": labelled or "-",
                "right": percent(right),
                "word": finding.conclusion.word,
                # Few are the answers, not the labels that the row counts.
                "verdict": finding.verdict
                if finding.conclusion.reason == "too few images"
                else self.text.short(finding.conclusion),
                "card": cards.index(finding.name) if finding.name in cards else None,
            })  # fmt: skip
        return rows

    @property
    def asked_fewer(self) -> bool:
        """Whether some images of the set were not audited."""
        return len(self.audit.images) < self.audit.images.set_size

    @property
    def unlisted(self) -> int:
        """How many classes are not among the rows."""
        return len(self.findings) - len(self.rows)

    @property
    def confusion(self) -> list[tuple[str, list[int]]]:
        """Of every label how many images get each answer, of the whole set; none where labels lack or classes are many."""
        images = self.audit.images
        listed = sorted(self.audit.conclusions.listed)
        if not images.labelled or len(listed) > _CONFUSED:
            return []
        return [(images.class_names[label], [images.confused(label, answer) for answer in listed]) for label in listed]

    @property
    def confused_pairs(self) -> list[tuple[str, str, int]]:
        """The labels that most images of the whole set are answered otherwise than, with that answer."""
        images = self.audit.images
        label, answer = images.confusion[:, :2].T
        wrong = images.confusion[(label >= 0) & (label != answer)]
        worst = wrong[np.argsort(-wrong[:, 2], kind="stable")][:_CONFUSED].tolist()
        return [(images.class_names[label], images.class_names[answer], count) for label, answer, count in worst]

    @property
    def audited(self) -> str:
        """Say how many images were asked, and how many objects are known."""
        images = self.audit.images
        given_objects, known_objects = int(images.object_given.sum()), int(images.object_known.sum())
        how = "page masks and found" if given_objects else "page found"
        how = "page masks" if given_objects == known_objects else how
        sentence = self.text.say(
            "page audited", audited=len(images), seen=images.set_size, known=known_objects, how=self.text.say(how)
        )
        if self.audit.conclusions.objects_known or not self.audit.interventions.trials:
            return sentence
        return f"{sentence} {self.text.say('page unsure')}"

    @cached_property
    def cards(self) -> list[Card]:
        """The classes that have pictures, those that are accused first."""
        names = [self.audit.names[index] for index in self.audit.shown_classes]
        word_of = {name: self.findings[name].conclusion.word for name in names}
        order = (*ACCUSING, *UNJUDGED)
        by_gravity = sorted(names, key=lambda name: (*order, word_of[name]).index(word_of[name]))
        return [Card(self, self.findings[name], names.index(name)) for name in by_gravity]

    @property
    def others(self) -> list[ClassVerdict]:
        """The classes without pictures."""
        pictured = {self.audit.names[index] for index in self.audit.shown_classes}
        return [finding for name, finding in self.findings.items() if name not in pictured]

    @property
    def numbered(self) -> list[ClassVerdict]:
        """The classes whose numbers are listed: those that have pictures, and more if they are not too many."""
        findings = [*(card.finding for card in self.cards), *self.others][: max(len(self.cards), _NUMBERED)]
        return [finding for finding in findings if finding.examined]

    @property
    def hidden(self) -> str:
        """Say what hiding the object, and the background, does."""
        answers = self.audit.interventions.answers_without
        asked_about = (answers >= 0).all(1)
        if not asked_about.any() or not self.audit.conclusions.objects_known:
            return ""
        changed = (answers[asked_about] != self.audit.images.predicted[asked_about, None]).mean(0)
        return self.text.say("page hidden", object=f"{changed[0]:.0%}", background=f"{changed[1]:.0%}")

    @property
    def neighbours(self) -> str:
        """Say by what the neighbourhoods in the last layer are explained."""
        if not self.property or self.audit.neighbourhoods is None:
            return ""
        shared = self.audit.neighbourhoods.shared
        answer, chance = shared[0]
        share, by_chance = shared[1 + self.audit.interventions.nuisances.index(self.property)]
        if math.isnan(answer):
            return ""
        return self.text.say(
            "page neighbours",
            answer=f"{answer:.0%}",
            answer_chance=f"{chance:.0%}",
            property=self.name(self.property),
            property_share=f"{share:.0%}",
            property_chance=f"{by_chance:.0%}",
        )

    @cached_property
    def conflict(self) -> dict[str, Any] | None:
        """The images that carry the relied-on property of another class; None where nothing is relied on."""
        conclusions, images = self.audit.conclusions, self.audit.images
        if not conclusions.relied_on:
            return None
        name = conclusions.relied_on[0]
        accused = next(index for index, conclusion in conclusions.by_class.items() if name in conclusion.names)
        accuracy = next(single.accuracy for single in conclusions.examined[accused] if single.name == name)
        values = self.audit.interventions.statistic(name)
        rows = np.flatnonzero(conflicting_images(values, images.predicted, images.target, accused)[1])
        wrong_first = rows[np.argsort(~images.misclassified[rows], kind="stable")]
        return {
            "property": self.name(name),
            "wrong": percent(accuracy.conflicting),
            "right": percent(accuracy.agreeing),
            "few": math.isnan(accuracy.conflicting),
            "rows": wrong_first[:_CONFLICTING].tolist(),
        }

    @property
    def units(self) -> list[tuple[NDArray[np.uint8], str, str, float]]:
        """The units that follow a property: picture, unit, nuisance, and how well it tells the nuisance."""
        space, optimized = self.audit.neighbourhoods, self.audit.optimized
        if space is None or optimized is None:
            return []
        pictures = dict(zip(optimized.units, optimized.pictures, strict=True))
        return [(pictures[unit], unit, nuisance, area) for unit, nuisance, area in space.following if unit in pictures]

    @property
    def skipped(self) -> str:
        """Name what could not be tried, and why."""
        reasons: dict[str, list[str]] = {}
        for nuisance, reason in self.audit.interventions.skipped:
            reasons.setdefault(reason, []).append(self.text.property_name(nuisance))
        listed = "; ".join(f"{', '.join(names)} ({self.text.say(reason)})" for reason, names in reasons.items())
        return self.text.say("page skipped", list=listed) if listed else ""

    # -----------------------------------------------------------------------------------------------------------------
    # The map
    # -----------------------------------------------------------------------------------------------------------------

    @cached_property
    def dots(self) -> list[tuple[float, float, str, str]]:
        """Points in a square of 100, the colour of the answer, and that of the property; none without neighbourhoods."""
        if self.audit.neighbourhoods is None:
            return []
        shades = self._inks
        if self.property:
            values = self.audit.conclusions.best_values(self.property)
            ranks = values.argsort().argsort() / max(1, len(values) - 1)
            shades = colour(ranks[:, None], low=0, high=1)[:, 0]
        return [
            (round(1 + float(across), 1), round(1 + float(down), 1), _hexadecimal(ink), _hexadecimal(shade))
            for (across, down), ink, shade in zip(self._points(98.0), self._inks, shades, strict=True)
        ]

    @property
    def legend(self) -> list[tuple[str, str]]:
        """The commonest answers and their colours."""
        answered = self.audit.conclusions.answered[:12]
        legend = [(_hexadecimal(self._colours[index]), self.audit.names[index]) for index in answered]
        if self.audit.images.of_interest:
            legend.append((_hexadecimal(_OF_OTHERS), self.text.say("page map others")))
        return legend

    @cached_property
    def _colours(self) -> dict[int, tuple[int, int, int]]:
        answered = self.audit.conclusions.answered
        return dict(zip(answered, class_colours(len(answered)), strict=True))

    @cached_property
    def _inks(self) -> NDArray[np.uint8]:
        """The colour of every image's answer, (n, 3)."""
        return np.array(
            [self._colours.get(index, _OF_OTHERS) for index in self.audit.images.predicted.tolist()], np.uint8
        )

    def _points(self, side: float) -> NDArray[np.float32]:
        """Give the map's points (n, 2) in a square."""
        space = self.audit.neighbourhoods
        points = np.zeros((len(self.audit.images), 2), np.float32) if space is None else space.points
        points = points - points.min(0)
        return points / np.maximum(points.max(0), 1e-9) * side

    @cached_property
    def pictured_map(self) -> str:
        """Some of the images where they lie, framed in the colour of their answer; never two over one another."""
        thumbnails = self.audit.illustrations.thumbnails
        side = thumbnails.shape[1]
        step = side + 4
        picture = np.full((_CELLS * step, _CELLS * step, 3), 255, np.uint8)
        occupied: set[tuple[int, int]] = set()
        for row, (across, down) in enumerate(np.minimum(self._points(_CELLS).astype(int), _CELLS - 1).tolist()):
            if (across, down) in occupied:
                continue
            occupied.add((across, down))
            top, left = down * step, across * step
            picture[top : top + step, left : left + step] = self._inks[row]
            picture[top + 2 : top + 2 + side, left + 2 : left + 2 + side] = thumbnails[row]
        return data_uri(to_jpeg(picture))

    # -----------------------------------------------------------------------------------------------------------------
    # Numbers
    # -----------------------------------------------------------------------------------------------------------------

    def says(self, examined: Examined) -> str:
        """Say what the numbers of a property come to."""
        is_part = examined.name in IMAGE_PARTS
        says = f"fails {examined.failed[0]}" if examined.failed else "decides" if is_part else "relied on"
        return self.text.say("skipped objects" if is_part and not self.audit.conclusions.objects_known else says)

    @property
    def json(self) -> str:
        """The same for machines; what would end the script is escaped."""
        question = {**self.audit.question.to_json(), "subject": self.audit.question.subject_name}
        return json.dumps({**self.audit.to_json(), "question": question}, ensure_ascii=False).replace("<", "\\u003c")


def _sentence(words: str) -> str:
    return f"{capitalised(words)}."


def _hexadecimal(ink: Iterable[int]) -> str:
    return "#" + bytes(ink).hex()
