"""The objective of a picture: units, directions, regions and functions, added, subtracted and scaled."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from iconoscope.errors import QuestionError, UnitError, written
from iconoscope.optimization.function_objective import FunctionTarget, ObjectiveFunction
from iconoscope.signatures import checked
from iconoscope.subject.network.network import Network
from iconoscope.vocabulary.unit import ClassUnit, LayerUnit, Unit, parse_unit

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["Objective", "ObjectiveLike", "Target", "Term", "direction", "interpolate", "objectives", "region", "unit"]


@dataclass(frozen=True)
class Target:
    """The answer that one term of an objective reads.

    Attributes
    ----------
    unit : LayerUnit or ClassUnit
        A unit; with a direction, its layer.
    rows, columns : tuple of int or None
        The first and the last row and column of a channel's map, if only a part of it is asked.
    vector : tuple of float or None
        A direction in the space of the layer's channels.
    cosine : float
        The power of the cosine with the direction that the dot product is weighted with.
    """

    unit: Unit
    rows: tuple[int, int] | None = None
    columns: tuple[int, int] | None = None
    vector: tuple[float, ...] | None = None
    cosine: float = 0.0

    def __str__(self) -> str:
        text = str(self.unit)
        if self.rows is not None and self.columns is not None:
            text += f"[{self.rows[0]}-{self.rows[1]},{self.columns[0]}-{self.columns[1]}]"
        if self.vector is not None:
            digest = hashlib.sha256(np.asarray(self.vector, np.float64).tobytes()).hexdigest()[:8]
            text += f" along {digest}" + (f" (cosine^{self.cosine:g})" if self.cosine else "")
        return text

    def resolved(self, network: Network) -> Target:
        """Give it with the full name of its layer or class."""
        return replace(self, unit=network.resolve(self.unit))


@dataclass(frozen=True)
class Term:
    """A target with its weight."""

    weight: float
    target: Target | FunctionTarget


@dataclass(frozen=True)
class Objective:
    """A sum of targets with weights, to be made as large as possible.

    Examples
    --------
    >>> str(2 * unit("logit:bird") - unit("logit:truck"))
    '2*logit:bird - logit:truck'
    >>> str(-unit("layer1:3"))
    '-layer1:3'
    """

    terms: tuple[Term, ...]

    def __add__(self, other: ObjectiveLike) -> Objective:
        return Objective((*self.terms, *read_objective(other).terms))

    def __radd__(self, other: ObjectiveLike | int) -> Objective:
        if isinstance(other, int):  # `sum` begins with 0
            return self if other == 0 else NotImplemented
        return read_objective(other) + self

    def __sub__(self, other: ObjectiveLike) -> Objective:
        return self + -read_objective(other)

    def __neg__(self) -> Objective:
        return -1.0 * self

    def __mul__(self, factor: float) -> Objective:
        return Objective(tuple(replace(term, weight=term.weight * factor) for term in self.terms))

    __rmul__ = __mul__

    def __str__(self) -> str:
        text = ""
        for term in self.terms:
            sign = ("-" if term.weight < 0 else "") if not text else (" - " if term.weight < 0 else " + ")
            size = abs(term.weight)
            text += sign + ("" if size == 1 else f"{size:g}*") + str(term.target)
        return text

    @property
    def sole_class(self) -> ClassUnit | None:
        """The class that is asked for, if it is all that is; not one that is to be silenced."""
        if len(self.terms) != 1 or self.terms[0].weight < 0:
            return None
        unit = self.terms[0].target.unit
        return unit if isinstance(unit, ClassUnit) else None

    def resolved(self, network: Network) -> Objective:
        """Give the objective with full names of layers and classes.

        Raises
        ------
        UnitError
            If the network has no such layer or class.
        QuestionError
            If a function fails, or has no gradient.
        """
        return Objective(tuple(replace(term, target=term.target.resolved(network)) for term in self.terms))

    @property
    def functions(self) -> tuple[FunctionTarget, ...]:
        """The functions of the user's in it."""
        return tuple(term.target for term in self.terms if isinstance(term.target, FunctionTarget))


INTERPOLATED = 10_000
"""Objectives from one to another at the most: a picture is made of each."""

ObjectiveLike = Objective | Unit | str | ObjectiveFunction
"""An objective, a unit, or either as it is written, ``"2*logit:bird - logit:truck"``; or a function, as `unit` has it."""


@checked
def unit(name: str | Unit | ObjectiveFunction) -> Objective:
    """Give the objective that asks for one unit: the mean of a channel, a neuron, a logit, a probability, a whole layer.

    A whole layer is asked for the mean of the squares of its activations (DeepDream: Mordvintsev, Olah and Tyka 2015). A
    probability is asked for by its logarithm, which has the same maximum and does not go flat on the way there.

    Parameters
    ----------
    name
        The unit: ``logit:bird``, ``layer2.0.conv1:17``. Or a function from what layers answer to one picture to one number,
        a tensor with a gradient. It is given a mapping: ``answers["layer2.0.conv1"]`` is (channels, rows, columns), of a
        vector (channels,), read before a ReLU that follows; ``answers["logits"]`` is (classes,).

    Examples
    --------
    >>> str(unit("logit:bird") + 0.5 * unit("layer1:3"))
    'logit:bird + 0.5*layer1:3'
    >>> str(2 * unit(lambda answers: answers["logits"].std()) - unit("logit:bird"))
    '2*lambda() - logit:bird'
    """
    if not isinstance(name, str | LayerUnit | ClassUnit):
        return Objective((Term(1.0, FunctionTarget(name)),))
    return Objective((Term(1.0, Target(parse_unit(name))),))


@checked
def region(name: str | Unit, rows: tuple[int, int], columns: tuple[int, int]) -> Objective:
    """Ask for the mean of a channel over a part of its map.

    Parameters
    ----------
    name
        A channel: ``layer2.0.conv1:17``.
    rows, columns
        The first and the last, from 0.

    Examples
    --------
    >>> str(region("layer2.0.conv1:17", (0, 3), (4, 7)))
    'layer2.0.conv1:17[0-3,4-7]'
    """
    parsed = parse_unit(name)
    if not isinstance(parsed, LayerUnit) or parsed.channel is None or parsed.position is not None:
        raise QuestionError(f"{name} is not a channel; a region is a part of a channel's map.")
    if not (0 <= rows[0] <= rows[1] and 0 <= columns[0] <= columns[1]):
        raise QuestionError(f"rows={rows} and columns={columns} must be a first and a last, from 0.")
    return Objective((Term(1.0, Target(parsed, rows, columns)),))


@checked
def direction(layer: str, vector: ArrayLike, *, cosine: float = 0.0) -> Objective:
    """Ask for a direction in the space of a layer's channels: the dot product with it, in the mean over all places.

    Parameters
    ----------
    layer
        The layer.
    vector
        (channels,).
    cosine
        Weigh the dot product with this power of the cosine between the two, so that the picture is about the direction and
        little else (Carter et al. 2019, "Activation Atlas"); 0 does not.

    Examples
    --------
    >>> str(direction("layer1", [0.0, 1.0], cosine=2)).startswith("layer1 along ")
    True
    """
    try:
        values = np.asarray(vector, np.float64)
    except (
        ValueError,
        TypeError,
        RuntimeError,
        OverflowError,
    ):  # texts, lists of unequal length, tensors with a gradient
        values = np.zeros(0)
    if values.ndim != 1 or not np.isfinite(values).all() or not values.any():
        raise QuestionError(
            f"A direction is a vector of finite numbers that are not all zero; {written(vector)} is none."
        )
    if not 0 <= cosine < float("inf"):
        raise QuestionError(f"cosine={cosine} must be at least 0.")
    parsed = parse_unit(layer)
    if not isinstance(parsed, LayerUnit) or parsed.channel is not None:
        raise QuestionError(f"{layer} is not a layer; a direction lies in the space of a layer's channels.")
    return Objective((Term(1.0, Target(parsed, vector=tuple(values.tolist()), cosine=cosine)),))


@checked
def interpolate(first: ObjectiveLike, last: ObjectiveLike, steps: int) -> list[Objective]:
    """Go from one objective to another in a number of steps, both ends included.

    Parameters
    ----------
    first, last
        The ends: objectives, units, or texts.
    steps
        How many objectives there are, at least 2.

    Returns
    -------
    list of Objective
        For `optimize`; with an `Alignment` among the regularizers neighbouring pictures stay alike.

    Examples
    --------
    >>> [str(objective) for objective in interpolate("logit:0", "logit:1", 3)]
    ['logit:0', '0.5*logit:0 + 0.5*logit:1', 'logit:1']
    """
    if not 2 <= steps <= INTERPOLATED:
        raise QuestionError(f"steps={steps} must be 2 to {INTERPOLATED:,}.")
    start, end = read_objective(first), read_objective(last)
    shares = [step / (steps - 1) for step in range(steps)]
    return [start, *((1 - share) * start + share * end for share in shares[1:-1]), end]


_TERM = re.compile(
    r"\s*(?P<sign>[+-])?\s*(?:(?P<factor>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*\*\s*)?(?P<unit>.+?)\s*(?=$|\s[+-]\s)"
)


def read_objective(objective: ObjectiveLike) -> Objective:
    """Read an objective as it is written.

    Raises
    ------
    UnitError
        If a part of it is not a unit.

    Examples
    --------
    >>> str(read_objective("2*logit:bird - logit:truck + 0.5*layer2.0.conv1:17"))
    '2*logit:bird - logit:truck + 0.5*layer2.0.conv1:17'
    """
    if isinstance(objective, Objective):
        return objective
    if not isinstance(objective, str):
        return unit(objective)  # a unit, or a function
    terms: list[Term] = []
    end = 0
    while end < len(objective.rstrip()):
        match = _TERM.match(objective, end)
        if match is None or (terms and not match["sign"]):
            raise UnitError(f"{objective!r} is not an objective.", hint='Write "2*logit:bird - logit:truck".')
        weight = float(match["factor"] or 1) * (-1 if match["sign"] == "-" else 1)
        terms.append(Term(weight, Target(parse_unit(match["unit"]))))
        end = match.end()
    if not terms:
        raise UnitError("An empty text names no unit.", hint='Write "logit:bird", or "2*logit:bird - logit:truck".')
    return Objective(tuple(terms))


_RANGE = re.compile(r"(?P<layer>[\w.\-/]+):(?:(?P<first>\d{1,18})-(?P<last>\d{1,18})|(?P<all>\*))")


def objectives(network: Network, units: Any) -> list[Objective]:
    """Read one objective or many, and resolve them: ``layer3.2.conv2:0-63`` and ``layer3.2.conv2:*`` are many.

    Raises
    ------
    UnitError
        If the network has no such unit.
    """
    import torch

    from iconoscope.subject.response import activations

    resolved: list[Objective] = []
    if isinstance(units, str | Objective | LayerUnit | ClassUnit) or callable(units):
        units = [units]
    for text in units:
        match = _RANGE.fullmatch(text.strip()) if isinstance(text, str) else None
        if match is None:
            resolved.append(read_objective(text).resolved(network))
            continue
        layer = network.resolve(match["layer"])
        assert isinstance(layer, LayerUnit)
        with network.questioned(), torch.inference_mode():
            channels = activations(network, network.blank(), layer.layer).shape[1]
        first, last = (0, channels - 1) if match["all"] else (int(match["first"]), int(match["last"]))
        if not first <= last < channels:
            raise UnitError(f"{layer.layer} has no channels {first} to {last}: its channels are 0 to {channels - 1}.")
        resolved += [unit(LayerUnit(layer.layer, channel)) for channel in range(first, last + 1)]
    if not resolved:
        raise UnitError("No unit was asked for.")
    return resolved
