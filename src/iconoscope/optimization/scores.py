"""Scores: how well each picture of a batch answers its own objective, all in one graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch

from iconoscope.errors import NetworkError, UnitError
from iconoscope.optimization.function_objective import FunctionTarget
from iconoscope.optimization.objective import Objective, Target
from iconoscope.subject.activation_layout import place_at, token_grid
from iconoscope.subject.network import Network
from iconoscope.subject.probe import LOGITS
from iconoscope.vocabulary.unit import ClassUnit, LayerUnit

__all__ = ["Scores", "Scoring"]

LEAST_COSINE = 0.1
"""The cosine counts as at least this, or a picture that points nowhere near the direction would get no gradient."""

BELOW_ZERO = 0.1
"""The weight of a place of a channel's map where it is below zero. Filters of edges and textures sum up to nothing, so the
plain mean of what comes out of a convolution knows only of brightness and of the border; and where a ReLU follows, what is
below zero is as good as nothing, but must still say in what direction up is."""

Read = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From a layer's answer and the pictures asked about to one value for each of them."""


@dataclass(frozen=True)
class _Group:
    """Terms that are read in the same way, of several pictures."""

    layer: str
    pictures: torch.Tensor
    weights: torch.Tensor
    read: Read

    @property
    def layers(self) -> tuple[str, ...]:
        return (self.layer,)

    def __call__(self, answers: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.read(answers[self.layer].float(), self.pictures)


@dataclass(frozen=True)
class _Function:
    """A function of one picture."""

    pictures: torch.Tensor
    weights: torch.Tensor
    target: FunctionTarget
    picture: int

    @property
    def layers(self) -> tuple[str, ...]:
        return self.target.layers

    def __call__(self, answers: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.target(answers, self.picture)[None]


class Scoring(Protocol):
    """The part of scores that the loop wants: of objectives, or of the distance from a code."""

    before_relu: ClassVar[bool]
    """Whether layers are read before a ReLU that follows."""
    layers: tuple[str, ...]
    """The layers that must be read."""

    def __call__(self, answers: dict[str, torch.Tensor]) -> torch.Tensor:
        """Give the scores (pictures,) from what the layers answer to all pictures."""
        ...

    def likeness(self, answers: dict[str, torch.Tensor]) -> torch.Tensor:
        """Say how alike pictures are (pictures,)."""
        ...


class Scores:
    """The objectives of the pictures of a batch, sorted by what is read of the network.

    Parameters
    ----------
    objectives
        Resolved, one for each picture.
    network
        That will be asked.
    size
        Height and width of what it will be shown; that of its preprocessing if not given.
    """

    before_relu: ClassVar[bool] = True

    def __init__(self, objectives: Sequence[Objective], network: Network, size: tuple[int, int] | None = None) -> None:
        self.count = len(objectives)
        device = network.device

        def of_pictures(pictures: Sequence[int], weights: Sequence[float]) -> tuple[torch.Tensor, torch.Tensor]:
            return torch.tensor(pictures, device=device), torch.tensor(weights, device=device, dtype=torch.float32)

        terms_by_reading: dict[tuple[object, ...], list[tuple[int, float, Target]]] = {}
        self._groups: list[_Group | _Function] = []
        for picture, objective in enumerate(objectives):
            for term in objective.terms:
                if isinstance(term.target, FunctionTarget):
                    self._groups.append(_Function(*of_pictures([picture], [term.weight]), term.target, picture))
                else:
                    terms = terms_by_reading.setdefault(_reading(term.target), [])
                    terms.append((picture, term.weight, term.target))
        for reading, terms in terms_by_reading.items():
            pictures, weights, targets = zip(*terms, strict=True)
            read = _reader(targets, network, size or network.preprocessing.size)
            self._groups.append(_Group(str(reading[0]), *of_pictures(pictures, weights), read))
        first = torch.tensor([objectives.index(objective) for objective in objectives], device=device)
        self._same = (first[:, None] == first).fill_diagonal_(False)
        self.layers = tuple(dict.fromkeys(layer for group in self._groups for layer in group.layers))
        """The layers that must be read."""

    def __call__(self, answers: dict[str, torch.Tensor]) -> torch.Tensor:
        """Give the scores (pictures,) from what the layers answer to all pictures.

        Raises
        ------
        UnitError
            If a layer has no such channel or place, or is not one of maps or vectors.
        NetworkError
            If a class is asked for, and the network answers no classes, or too few.
        QuestionError
            If a function fails.
        """
        scores = torch.zeros(self.count, device=self._groups[0].weights.device, dtype=torch.float32)
        for group in self._groups:
            scores = scores.index_add(0, group.pictures, group(answers) * group.weights)
        return scores

    def likeness(self, answers: dict[str, torch.Tensor]) -> torch.Tensor:
        """Say how alike pictures of one objective are (pictures,): the mean cosine of the Gram matrices of what layers answer.

        Gram matrices hold what is there and forget where (Gatys, Ecker and Bethge 2015), so a picture that is moved is the
        same picture.
        """
        total = torch.zeros(self.count, device=self._same.device, dtype=torch.float32)
        for layer in self.layers:
            flat = _places(answers[layer].float())
            gram = torch.nn.functional.normalize(torch.bmm(flat, flat.transpose(1, 2)).flatten(1), dim=1)
            total = total + ((gram @ gram.T) * self._same).sum(1) / self._same.sum(1).clamp_min(1)
        return total / len(self.layers)


def _reading(target: Target) -> tuple[object, ...]:
    """Give what terms must have in common to be read together."""
    if isinstance(target.unit, ClassUnit):
        return LOGITS, target.unit.kind
    unit = target.unit
    return (
        unit.layer,
        unit.channel is None,
        unit.position,
        target.rows,
        target.columns,
        target.cosine,
        target.vector is None,
    )


def _reader(targets: Sequence[Target], network: Network, size: tuple[int, int]) -> Read:
    first, device = targets[0], network.device
    if isinstance(first.unit, ClassUnit):
        classes = torch.tensor([t.unit.index for t in targets if isinstance(t.unit, ClassUnit)], device=device)
        return _of_class(classes, torch.nn.Identity() if first.unit.kind == "logit" else network.log_probabilities)
    if first.vector is not None:
        directions = torch.tensor([target.vector for target in targets], dtype=torch.float32, device=device)
        return _direction(directions, first.cosine, first.unit)
    if first.unit.channel is None:
        return lambda answer, pictures: answer[pictures].flatten(1).square().mean(1)
    channels = [target.unit.channel for target in targets if isinstance(target.unit, LayerUnit)]
    return _channel(torch.tensor(channels, device=device), first, size)


def _of_class(classes: torch.Tensor, transform: Callable[[torch.Tensor], torch.Tensor]) -> Read:
    most = int(classes.max())

    def read(answer: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
        if answer.ndim != 2:
            raise NetworkError(f"The network answers {tuple(answer.shape)}; a classifier answers (images, classes).")
        if most >= answer.shape[1]:
            raise NetworkError(
                f"The network has {answer.shape[1]} outputs, and class {most} was asked for.",
                hint="Were as many names of classes given as there are outputs?",
            )
        return transform(answer)[pictures, classes]

    return read


def _channel(channels: torch.Tensor, target: Target, size: tuple[int, int]) -> Read:
    assert isinstance(target.unit, LayerUnit)
    layer, position, most = target.unit.layer, target.unit.position, int(channels.max())

    def read(answer: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
        if most >= answer.shape[1]:
            raise UnitError(f"{layer} has no channel {most}: its channels are 0 to {answer.shape[1] - 1}.")
        chosen = answer[pictures, channels]
        if chosen.ndim == 1:
            if position is not None or target.rows is not None:
                raise UnitError(f"{layer} is a vector: it has no positions.")
            return chosen
        if position is not None:
            return chosen[(..., *place_at(answer.shape, layer, position, size))]
        if target.rows is not None and target.columns is not None:
            chosen = _region(chosen, target, size)
        return torch.nn.functional.leaky_relu(chosen, BELOW_ZERO).flatten(1).mean(1)

    return read


def _region(chosen: torch.Tensor, target: Target, size: tuple[int, int]) -> torch.Tensor:
    """Cut a part out of maps (n, rows, columns), or out of the patches of tokens (n, tokens)."""
    assert target.rows is not None and target.columns is not None and isinstance(target.unit, LayerUnit)
    if chosen.ndim == 2:
        first = place_at((len(chosen), 1, chosen.shape[1]), target.unit.layer, (0, 0), size)[0]
        grid = token_grid(chosen.shape[1], size)
        assert grid is not None
        chosen = chosen[:, first:].unflatten(1, (grid.rows, grid.columns))
    rows, columns = chosen.shape[1:]
    if target.rows[1] >= rows or target.columns[1] >= columns:
        raise UnitError(f"{target} lies outside of the maps of {target.unit.layer}, which are {rows}x{columns}.")
    return chosen[:, target.rows[0] : target.rows[1] + 1, target.columns[0] : target.columns[1] + 1]


def _places(answer: torch.Tensor) -> torch.Tensor:
    """Put all places of maps or tokens one behind another (n, channels, places); a vector has one."""
    return answer[:, :, None] if answer.ndim == 2 else answer.flatten(2)


def _direction(directions: torch.Tensor, cosine: float, unit: LayerUnit) -> Read:
    def read(answer: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
        if answer.shape[1] != directions.shape[1]:
            raise UnitError(
                f"{unit.layer} has {answer.shape[1]} channels, and the direction {directions.shape[1]} numbers."
            )
        chosen = _places(answer[pictures])
        dot = torch.einsum("ncp,nc->np", chosen, directions)
        if cosine:
            lengths = chosen.norm(dim=1) * directions.norm(dim=1)[:, None]
            dot = dot * (dot / lengths.clamp_min(1e-6)).clamp_min(LEAST_COSINE) ** cosine
        return dot.mean(1)

    return read
