"""The heart of the recording: from a shard of images to what was answered, a pure function whose results merge.

Nothing here knows a disk, a set of images or another shard: an engine on many machines can call `ask_shard` as it is, and
merge the tallies in any grouping.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from iconoscope.exemplars.activation_histogram import Spread
from iconoscope.exemplars.activation_summary import Heard, Thresholds
from iconoscope.exemplars.loader import Batch
from iconoscope.exemplars.top_k import EMPTY, Shortlist
from iconoscope.subject.network import Preprocessing
from iconoscope.subject.network.logits import ACTIVATIONS

__all__ = ["NOT_FINITE", "Plan", "Rows", "Tally", "ask_shard"]

_MERGED = 16  # batches between two merges at most; the first ones follow sooner, so that thresholds rise
_SAMPLED_EVERY = 4  # batches: fewer and larger samples cost less
_SAMPLED = 4096  # activations of every unit that are enough for its histogram
_ANSWERS = ("maximum", "mean", "penultimate", "logits")
_SPREAD = ("count", "total", "square", "lowest", "histogram")
NOT_FINITE = "the network answers NaN or infinity"


@dataclass(frozen=True)
class Plan:
    """What decides the answer beside the network and the images.

    Attributes
    ----------
    k : int
        How many images of every unit are kept on either side.
    units : int
        How many there are in the layers.
    classes : int
        How many logits.
    places : int
        At how many places the activation is sampled, in every fourth batch.
    preprocessing : Preprocessing
        The network's.
    device : torch.device
        Where the network is.
    activation : str
        How its logits become probabilities.
    """

    k: int
    units: int
    classes: int
    places: int
    preprocessing: Preprocessing
    device: torch.device
    activation: str = "softmax"

    @staticmethod
    def places_for(images: int) -> int:
        """Give at how many places the maps of every fourth batch are read to make enough for a histogram; at most 16."""
        return min(16, -(-_SAMPLED * _SAMPLED_EVERY // max(images, 1)))


@dataclass(frozen=True, eq=False)
class Tally:
    """What is known of every unit after some images.

    Attributes
    ----------
    most, least : Shortlist
        The images that it answers most, and least (there with the values' signs turned). Logits come after the channels.
    spread : Spread
        Of its sampled activations; of logits, of the same images.
    """

    most: Shortlist
    least: Shortlist
    spread: Spread

    @classmethod
    def empty(cls, plan: Plan) -> Tally:
        """Give the tally of no image."""
        units = plan.units + plan.classes
        return cls(Shortlist.empty(units, plan.k), Shortlist.empty(units, plan.k), Spread.empty(units))

    def merged(self, other: Tally) -> Tally:
        """Give the tally of both; of equal answers the earlier image's stands first."""
        return Tally(self.most.merged(other.most), self.least.merged(other.least), self.spread.added(other.spread))

    def to_columns(self) -> dict[str, NDArray[Any]]:
        """Give the tally as a recording keeps it: `iconoscope.store.recording_writer.UNIT_COLUMNS`, a row for every unit."""
        columns: dict[str, NDArray[Any]] = {name: getattr(self.spread, name) for name in _SPREAD}
        for side, ranking, sign in (("most", self.most, 1), ("least", self.least, -1)):
            columns |= {
                f"{side}_row": ranking.rows,
                f"{side}_value": ranking.values * np.float32(sign) + np.float32(0),  # +0 of -0
                f"{side}_position": ranking.positions,
            }
        return columns

    @classmethod
    def from_columns(cls, columns: Mapping[str, NDArray[Any]]) -> Tally:
        """Make the tally again of which `to_columns` gave the columns."""
        return cls(
            Shortlist.restored(columns["most_value"], columns["most_row"], columns["most_position"]),
            Shortlist.restored(-columns["least_value"], columns["least_row"], columns["least_position"]),
            Spread(**{name: columns[name] for name in _SPREAD}),
        )

    def thresholds(self, plan: Plan) -> Thresholds:
        """Give which answers a later image must pass to be kept."""
        most, least = (
            torch.from_numpy(each.threshold[: plan.units]).to(plan.device) for each in (self.most, self.least)
        )
        return Thresholds(most, -least)


@dataclass(frozen=True, eq=False)
class Rows:
    """What was answered to every image of a shard.

    Attributes
    ----------
    rows : ndarray of int64, (images,)
        Their numbers in the set.
    maximum, mean : ndarray of float32, (images, units)
        Over the map of every channel.
    penultimate : ndarray of float32, (images, numbers)
        The vector before the logits.
    logits : ndarray of float32, (images, classes)
        The network's answer.
    failed : dict of str or int to str
        The images that are not among them, by id or by number, and why.
    """

    rows: NDArray[np.int64]
    maximum: NDArray[np.float32]
    mean: NDArray[np.float32]
    penultimate: NDArray[np.float32]
    logits: NDArray[np.float32]
    failed: dict[str | int, str]

    def to_columns(self, plan: Plan) -> dict[str, NDArray[Any]]:
        """Give what a recording keeps of every image beside its layers' answers, a row for every image."""
        return {
            "prediction": self.logits.argmax(1).astype(np.int64),
            "probabilities": ACTIVATIONS[plan.activation][0](torch.from_numpy(self.logits)).numpy(),
            "logits": self.logits,
            "penultimate": self.penultimate,
        }


def ask_shard(run: Any, batches: Iterable[Batch], plan: Plan, *, known: Tally | None = None) -> tuple[Rows, Tally]:
    """Show a shard's images to a network.

    Parameters
    ----------
    run
        As `iconoscope.exemplars.activation_summary.listening` gives it.
    batches
        The shard, in the order of the images' numbers.
    plan
        What is kept.
    known
        The tally of images with lower numbers. With it, only what can enter their merge is kept, which costs less; without it
        everything that can enter any merge. The merge of both is the same.

    Returns
    -------
    tuple of Rows, Tally
        What was answered to each image, and the tally of this shard alone.
    """
    tally = Tally.empty(plan)
    floor = tally if known is None else known
    waiting: list[_Part] = []
    kept: list[Rows] = []
    failed: dict[str | int, str] = {}
    # Early images pass low thresholds; with those of earlier shards there is less to take in.
    until = 1 if known is None or (known.most.floor == EMPTY).any() else _MERGED
    for number, batch in enumerate(batches):
        if not len(batch.rows):
            failed |= batch.failed
            continue
        count = 0 if number % _SAMPLED_EVERY else plan.places
        places = torch.from_numpy(np.random.default_rng(int(batch.rows[0])).integers(0, 2**31, count))
        shown = plan.preprocessing.normalise(batch.pixels).to(plan.device)
        part = _Part.of(batch, run(shown, floor.thresholds(plan), places))
        failed |= part.answered.failed
        waiting.append(part)
        kept.append(part.answered)
        if number + 1 >= until:
            tally, floor = _merge(tally, floor, waiting, plan)
            waiting = []
            until = number + 1 + min(number + 1, _MERGED)
    tally, _ = _merge(tally, floor, waiting, plan)
    return _rows(kept, plan, failed), tally


@dataclass(frozen=True, eq=False)
class _Part:
    """One batch, in main memory, without the images to which the network answered no numbers."""

    answered: Rows
    position: NDArray[np.int32]
    sampled: NDArray[np.float32]

    @classmethod
    def of(cls, batch: Batch, heard: Heard) -> _Part:
        found = {name: getattr(heard, name).cpu().numpy() for name in (*_ANSWERS, "position", "sampled")}
        whole = np.logical_and.reduce([np.isfinite(found[name]).all(1) for name in _ANSWERS])
        failed: dict[str | int, str] = dict.fromkeys(batch.rows[~whole].tolist(), NOT_FINITE)
        if failed:
            found = {name: value[whole] for name, value in found.items()}
        answers = {name: found.pop(name) for name in _ANSWERS}
        return cls(Rows(batch.rows[whole], **answers, failed=batch.failed | failed), **found)


def _merge(tally: Tally, floor: Tally, parts: list[_Part], plan: Plan) -> tuple[Tally, Tally]:
    """Take some batches into the tally of the shard, and into that of all that was seen, which gives the thresholds."""
    if not parts:
        return tally, floor
    answers = [part.answered for part in parts]
    rows = np.concatenate([each.rows for each in answers])
    values = np.concatenate([np.hstack([each.maximum, each.logits]) for each in answers])
    positions = np.concatenate([np.pad(part.position, ((0, 0), (0, plan.classes))) for part in parts])
    sampled = [part for part in parts if part.sampled.shape[2]]
    spread = Spread.empty(plan.units + plan.classes)
    if sampled:
        logits = np.concatenate([part.answered.logits for part in sampled])
        spread = _joined(
            Spread.of(np.concatenate([part.sampled for part in sampled])), Spread.of(logits[:, :, None].copy())
        )
    found = Tally(
        Shortlist.of(values, rows, positions, plan.k, floor.most.floor),
        Shortlist.of(-values, rows, positions, plan.k, floor.least.floor),
        spread,
    )
    merged = tally.merged(found)
    return merged, merged if floor is tally else floor.merged(found)


def _joined(first: Spread, second: Spread) -> Spread:
    return Spread(*(np.concatenate([getattr(first, name), getattr(second, name)]) for name in _SPREAD))


def _rows(parts: list[Rows], plan: Plan, failed: dict[str | int, str]) -> Rows:
    if not parts:
        widths = {"maximum": plan.units, "mean": plan.units, "penultimate": 1, "logits": plan.classes}
        return Rows(
            np.zeros(0, np.int64), **{name: np.zeros((0, widths[name]), np.float32) for name in _ANSWERS}, failed=failed
        )
    answers = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _ANSWERS}
    return Rows(np.concatenate([part.rows for part in parts]), **answers, failed=failed)
