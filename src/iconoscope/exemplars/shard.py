"""The heart of the recording: from a shard of images to what was answered, a pure function whose results merge.

Nothing here knows a disk, a set of images or another shard: an engine on many machines can call `ask_shard` as it is, and
merge the tallies in any grouping.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from iconoscope.exemplars.activation_summary import BatchSummary, Summarize, Thresholds
from iconoscope.exemplars.loader import Batch
from iconoscope.exemplars.top_k import EMPTY, TopK
from iconoscope.store.recorded_layer import RecordedLayer
from iconoscope.store.recording_writer import BINS
from iconoscope.subject.network import Network, Preprocessing
from iconoscope.subject.network.logits import ACTIVATIONS

__all__ = ["NOT_FINITE", "RecordingPlan", "ShardAnswers", "Tally", "ask_shard"]

_MERGED = 16  # batches between two merges at most; the first ones follow sooner, so that thresholds rise
_SAMPLED_EVERY = 4  # batches: fewer and larger samples cost less
_SAMPLED = 4096  # activations of every unit that are enough for its histogram
_ANSWERS = ("maximum", "mean", "penultimate", "logits")
_STATISTICS = ("count", "total", "square", "lowest", "histogram")
NOT_FINITE = "the network answers NaN or infinity"
# A bin is a quarter of a doubling: the sign, the exponent and two bits of what follows it, of a float in 32 bits.
_CUT = 21
_ONE = 127 << 2
_REACH = (BINS - 1) // 2


@dataclass(frozen=True)
class RecordingPlan:
    """The settings that decide the answer beside the network and the images.

    Attributes
    ----------
    k : int
        How many images of every unit are kept on either side.
    units : int
        How many there are in the layers.
    classes : int
        How many logits.
    samples : int
        At how many places of a map the activation is sampled, in every fourth batch.
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
    samples: int
    preprocessing: Preprocessing
    device: torch.device
    activation: str = "softmax"

    @classmethod
    def of(cls, network: Network, layers: Sequence[RecordedLayer], *, images: int, k: int) -> RecordingPlan:
        """Plan a recording of so many images, of which `k` are ranked on either side.

        The maps of every fourth batch are sampled at as many places as make enough for a histogram, at most 16.
        """
        return cls(
            k=min(k, images),
            units=sum(layer.channels for layer in layers),
            classes=len(network.classes),
            samples=min(16, -(-_SAMPLED * _SAMPLED_EVERY // max(images, 1))),
            preprocessing=network.preprocessing,
            device=network.device,
            activation=network.activation,
        )


@dataclass(frozen=True, eq=False)
class ActivationStatistics:
    """Sums over the sampled activations of every unit; those of two sets of images add.

    Attributes
    ----------
    count : ndarray of int64, (units,)
        How many there were.
    total, square : ndarray of float64, (units,)
        Their sum, and that of their squares.
    lowest : ndarray of float32, (units,)
        The smallest.
    histogram : ndarray of int64, (units, BINS)
        How many fell into each bin of `iconoscope.store.recording_writer.bin_edges`.

    Examples
    --------
    >>> four = ActivationStatistics.of(np.float32([[[0, 1.0, 1.1, -3]]]))
    >>> four.count.item(), four.total.item(), four.histogram.sum().item(), four.added(four).count.item()
    (4, -0.899..., 4, 8)
    """

    count: NDArray[np.int64]
    total: NDArray[np.float64]
    square: NDArray[np.float64]
    lowest: NDArray[np.float32]
    histogram: NDArray[np.int64]

    @classmethod
    def empty(cls, units: int) -> ActivationStatistics:
        """Give the statistics of no activation."""
        none, nothing = np.zeros(units, np.int64), np.zeros(units)
        return cls(none, nothing, nothing, np.full(units, np.inf, np.float32), np.zeros((units, BINS), np.int64))

    @classmethod
    def of(cls, sampled: NDArray[np.float32]) -> ActivationStatistics:
        """Give the statistics of activations (images, units, positions)."""
        images, units, positions = sampled.shape
        if not sampled.size:
            return cls.empty(units)
        values = torch.from_numpy(sampled)
        bits = values.view(torch.int32)
        # Distance from the smallest magnitude that has a bin of its own; what is nearer to zero counts as zero.
        steps = (bits & 0x7FFFFFFF).bitwise_right_shift_(_CUT).sub_(_ONE - _REACH // 2 - 1).clamp_(0, _REACH)
        bins = torch.where(bits < 0, -steps, steps).add_(
            (torch.arange(units, dtype=torch.int32) * BINS + _REACH)[:, None]
        )
        histogram = torch.bincount(bins.flatten(), minlength=units * BINS).view(units, BINS)
        return cls(
            np.full(units, images * positions, np.int64),
            values.sum((0, 2), dtype=torch.float64).numpy(),
            values.square().sum((0, 2), dtype=torch.float64).numpy(),
            values.amin((0, 2)).numpy(),
            histogram.numpy(),
        )

    def added(self, other: ActivationStatistics) -> ActivationStatistics:
        """Give the statistics of both."""
        return ActivationStatistics(
            self.count + other.count,
            self.total + other.total,
            self.square + other.square,
            np.minimum(self.lowest, other.lowest),
            self.histogram + other.histogram,
        )


@dataclass(frozen=True, eq=False)
class Tally:
    """The rankings and the statistics of every unit after some images.

    Attributes
    ----------
    most, least : TopK
        The images that it answers most, and least (there with the values' signs turned). Logits come after the channels.
    statistics : ActivationStatistics
        Of its sampled activations; of logits, of the same images.
    """

    most: TopK
    least: TopK
    statistics: ActivationStatistics

    @classmethod
    def empty(cls, plan: RecordingPlan) -> Tally:
        """Give the tally of no image."""
        units = plan.units + plan.classes
        return cls(TopK.empty(units, plan.k), TopK.empty(units, plan.k), ActivationStatistics.empty(units))

    def merged(self, other: Tally) -> Tally:
        """Give the tally of both; of equal answers the earlier image's stands first."""
        return Tally(
            self.most.merged(other.most), self.least.merged(other.least), self.statistics.added(other.statistics)
        )

    def to_columns(self) -> dict[str, NDArray[Any]]:
        """Give the tally as a recording keeps it: `iconoscope.store.recording_writer.UNIT_COLUMNS`, a row for every unit."""
        columns: dict[str, NDArray[Any]] = {name: getattr(self.statistics, name) for name in _STATISTICS}
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
            TopK.restored(columns["most_value"], columns["most_row"], columns["most_position"]),
            TopK.restored(-columns["least_value"], columns["least_row"], columns["least_position"]),
            ActivationStatistics(**{name: columns[name] for name in _STATISTICS}),
        )

    def thresholds(self, plan: RecordingPlan) -> Thresholds:
        """Give which answers a later image must pass to be kept."""
        most, least = (
            torch.from_numpy(ranking.threshold[: plan.units]).to(plan.device) for ranking in (self.most, self.least)
        )
        return Thresholds(most, -least)


@dataclass(frozen=True, eq=False)
class ShardAnswers:
    """The answers to every image of a shard.

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

    def to_columns(self, plan: RecordingPlan) -> dict[str, NDArray[Any]]:
        """Give what a recording keeps of every image beside its layers' answers, a row for every image."""
        return {
            "prediction": self.logits.argmax(1).astype(np.int64),
            "probabilities": ACTIVATIONS[plan.activation][0](torch.from_numpy(self.logits)).numpy(),
            "logits": self.logits,
            "penultimate": self.penultimate,
        }


def ask_shard(
    summarize: Summarize, batches: Iterable[Batch], plan: RecordingPlan, *, earlier: Tally | None = None
) -> tuple[ShardAnswers, Tally]:
    """Show a shard's images to a network.

    Parameters
    ----------
    summarize
        As `iconoscope.exemplars.activation_summary.summarizing` gives it.
    batches
        The shard, in the order of the images' numbers.
    plan
        What is kept.
    earlier
        The tally of images with lower numbers. With it, only what can enter their merge is kept, which costs less; without it
        everything that can enter any merge. The merge of both is the same.

    Returns
    -------
    tuple of ShardAnswers, Tally
        What was answered to each image, and the tally of this shard alone.
    """
    tally = Tally.empty(plan)
    floor = tally if earlier is None else earlier
    waiting: list[_BatchAnswers] = []
    answers: list[ShardAnswers] = []
    failed: dict[str | int, str] = {}
    # Early images pass low thresholds; with those of earlier shards there is less to take in.
    until = 1 if earlier is None or (earlier.most.floor == EMPTY).any() else _MERGED
    for number, batch in enumerate(batches):
        if not len(batch.rows):
            failed |= batch.failed
            continue
        count = 0 if number % _SAMPLED_EVERY else plan.samples
        # Drawn without regard to the size of any map; a layer takes them modulo its own.
        places = torch.from_numpy(np.random.default_rng(int(batch.rows[0])).integers(0, 2**31, count))
        pixels = plan.preprocessing.normalise(batch.pixels).to(plan.device)
        part = _BatchAnswers.of(batch, summarize(pixels, floor.thresholds(plan), places))
        failed |= part.answers.failed
        waiting.append(part)
        answers.append(part.answers)
        if number + 1 >= until:
            tally, floor = _merge(tally, floor, waiting, plan)
            waiting = []
            until = number + 1 + min(number + 1, _MERGED)
    tally, _ = _merge(tally, floor, waiting, plan)
    return _joined_answers(answers, plan, failed), tally


@dataclass(frozen=True, eq=False)
class _BatchAnswers:
    """One batch, in main memory, without the images to which the network answered no numbers."""

    answers: ShardAnswers
    position: NDArray[np.int32]
    sampled: NDArray[np.float32]

    @classmethod
    def of(cls, batch: Batch, summary: BatchSummary) -> _BatchAnswers:
        arrays = {name: tensor.cpu().numpy() for name, tensor in summary.items()}
        finite = np.logical_and.reduce([np.isfinite(arrays[name]).all(1) for name in _ANSWERS])
        failed: dict[str | int, str] = dict.fromkeys(batch.rows[~finite].tolist(), NOT_FINITE)
        if failed:
            arrays = {name: array[finite] for name, array in arrays.items()}
        answers = {name: arrays.pop(name) for name in _ANSWERS}
        return cls(ShardAnswers(batch.rows[finite], **answers, failed=batch.failed | failed), **arrays)


def _merge(tally: Tally, floor: Tally, parts: list[_BatchAnswers], plan: RecordingPlan) -> tuple[Tally, Tally]:
    """Take some batches into the tally of the shard, and into that of all that was seen, which gives the thresholds."""
    if not parts:
        return tally, floor
    answers = [part.answers for part in parts]
    rows = np.concatenate([batch.rows for batch in answers])
    values = np.concatenate([np.hstack([batch.maximum, batch.logits]) for batch in answers])
    positions = np.concatenate([np.pad(part.position, ((0, 0), (0, plan.classes))) for part in parts])
    sampled = [part for part in parts if part.sampled.shape[2]]
    statistics = ActivationStatistics.empty(plan.units + plan.classes)
    if sampled:
        logits = np.concatenate([part.answers.logits for part in sampled])
        of_channels = ActivationStatistics.of(np.concatenate([part.sampled for part in sampled]))
        of_logits = ActivationStatistics.of(logits[:, :, None].copy())
        both = (of_channels, of_logits)
        statistics = ActivationStatistics(
            *(np.concatenate([getattr(part, name) for part in both]) for name in _STATISTICS)
        )
    latest = Tally(
        TopK.of(values, rows, positions, plan.k, floor.most.floor),
        TopK.of(-values, rows, positions, plan.k, floor.least.floor),
        statistics,
    )
    merged = tally.merged(latest)
    return merged, merged if floor is tally else floor.merged(latest)


def _joined_answers(parts: list[ShardAnswers], plan: RecordingPlan, failed: dict[str | int, str]) -> ShardAnswers:
    if not parts:
        widths = {"maximum": plan.units, "mean": plan.units, "penultimate": 1, "logits": plan.classes}
        nothing = {name: np.zeros((0, width), np.float32) for name, width in widths.items()}
        return ShardAnswers(np.zeros(0, np.int64), **nothing, failed=failed)
    answers = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _ANSWERS}
    return ShardAnswers(np.concatenate([part.rows for part in parts]), **answers, failed=failed)
