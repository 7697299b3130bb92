# ruff: noqa: D102
"""Judgements and exchanges on the page."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from iconoscope.results import VERDICTS, Exchange, Finding, Look, Result
from iconoscope.results.look import EVIDENCE
from iconoscope.show.template import picture_uri

__all__ = ["Exchanged", "Looked", "same_exchange", "same_look"]


def same_exchange(result: Exchange) -> tuple[Any, ...]:
    """Tell what two networks must have seen alike to stand in one table."""
    settings = {name: value for name, value in result.question.settings.items() if name != "classes"}
    return result.question.pixels, json.dumps(settings, sort_keys=True)


def same_look(result: Look) -> tuple[Any, ...]:
    """Tell what two networks must have been asked alike to stand in one table."""
    settings = {key: value for key, value in result.question.settings.items() if key not in ("classes", "exchange")}
    return result.question.pixels, json.dumps(settings, sort_keys=True)


@dataclass(frozen=True)
class Looked:
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
        return picture_uri(result.outline(place))

    def overlay(self, result: Look, place: int) -> str:
        return picture_uri(result.overlaid(place))

    @property
    def small(self) -> bool:
        return max(self.first.pictures_shown.shape[1:3]) <= 64


@dataclass(frozen=True)
class Exchanged:
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
                        "picture": picture_uri(self.first.examples[index, place]),
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
