"""Input optimisation: make the picture that a unit answers most."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from iconoscope import __version__
from iconoscope.errors import IconoscopeWarning, QuestionError
from iconoscope.optimization.objective import Objective, objectives
from iconoscope.optimization.style import Style, read_style
from iconoscope.progress import quietly, track
from iconoscope.results import Question, Store, Visualization
from iconoscope.subject.memory import read_memory, written_memory
from iconoscope.subject.network import Network
from iconoscope.subject.unit import ClassUnit, Unit

if TYPE_CHECKING:
    import torch

    from iconoscope.optimization.loop import Reached
    from iconoscope.optimization.start import Start, StartLike

__all__ = ["compare_styles", "optimize"]

STEPS, STEPS_LARGE = 128, 256
"""How many steps suit small pictures, and large ones."""

FRAMES = 9
"""How many pictures on the way are kept."""

PIXELS, MOST = 8 * 256 * 256, 64
"""Of all pictures that go through the network at once, and how many these are at most."""

MEMORY, USED = 2 * 10**9, 0.75
"""Bytes that may be taken if nothing else is said, and the share of them that is planned for."""

HELD_OUT = 8
"""In how many other places a finished picture is tried."""


def optimize(
    network: Network,
    unit: str | Unit | Objective | Sequence[str | Unit | Objective],
    *,
    count: int = 1,
    style: Style | str = "default",
    start: StartLike = "noise",
    size: int | tuple[int, int] | None = None,
    steps: int | None = None,
    diversity: float = 0.0,
    compare: Any = None,
    memory: str | int | None = None,
    seed: int = 0,
    store: Store | str | Path | None = None,
) -> Visualization:
    """Make the picture that a unit answers most: what does it look for?

    A picture is changed along the gradient of the unit's answer, written down and moved about in such a way that it means
    something to a person (Olah, Mordvintsev and Schubert 2017, "Feature Visualization"). A unit behind a ReLU is asked before
    it, where it says what it lacks even while it is off.

    Parameters
    ----------
    network
        The network; its weights are not touched.
    unit
        What is asked for: logit:bird, layer2.0.conv1:17, many as layer2.0.conv1:0-15 or layer2.0.conv1:*, or a sum as
        "2*logit:bird - logit:truck"; with a minus before it, what silences it (in a shell as --unit=-logit:bird). In Python
        also objectives, and lists.
    count
        How many pictures of each, from different starts.
    style
        How pictures are made: default, none, frequency, robust, preconditioned or all; in Python also a `Style`.
    start
        What pictures begin as: noise, a colour (grey, #ff8800), an image or a folder of them, each in turn; in Python also
        arrays and PIL images.
    size
        Side of the pictures, or height and width as 128x192 (in Python (128, 192)), in pixels. If not given, that of the
        network's input; a larger one is shown to the network part by part.
    steps
        How many steps. If not given, 128 for pictures under 100 pixels, else 256.
    diversity
        What it costs, in the unit's answers, that pictures of one unit are alike: try 1 to 100.
    compare
        Images whose strongest answer is stated beside that of the picture: a folder, a file, arrays.
    memory
        Bound on the memory that pictures and maps take, the weights and finished pictures not counted: 500MB, 2GB, 1.5GiB, or
        bytes; 2GB if not given. It decides how many pictures are made at once.
    seed
        Seed of the start and of the moves.
    store
        Folder where the answer is looked for first, and kept: one for every unit.

    Returns
    -------
    Visualization
        All pictures: those of the first unit first. Ctrl-C gives what has been reached by then, with a warning.

    Raises
    ------
    UnitError
        If the network has no such unit.
    QuestionError
        If a setting is no choice.
    NonFiniteError
        If the network answers NaN or infinity; it says at which step.

    Examples
    --------
    >>> import iconoscope as ico
    >>> net = ico.load_network("cars-honest", device="cpu")
    >>> found = ico.optimize(net, "conv4:0-1", steps=4)
    >>> found.images.shape, found.units
    ((2, 96, 96, 3), ('conv4:0', 'conv4:1'))
    """
    from iconoscope.optimization.start import read_start

    _check(count, steps, diversity, seed)
    bound = read_memory(memory) or MEMORY
    pair = (size, size) if isinstance(size, int) else size
    if pair is not None and min(pair) < 1:
        raise QuestionError(f"size={size!r} must be at least 1.")
    begun, sides = read_start(start, network.preprocessing, pair)
    asked = _Asked(
        network=network,
        weights=network.digest(),
        style=read_style(style).fitted(sides, len(network.preprocessing.mean)),
        start=begun,
        size=sides,
        count=count,
        steps=steps or (STEPS if min(sides) < 100 else STEPS_LARGE),
        diversity=diversity,
        seed=seed,
        compare=None if compare is None else _compared(network, compare),
    )
    wanted = objectives(network, unit)
    groups = [wanted] if asked.style.joint else [[each] for each in wanted]
    return _all(asked, groups, bound, None if store is None else Store.at(store))


def compare_styles(
    network: Network, unit: str | Unit | Objective, styles: Sequence[Style | str] = (), **settings: Any
) -> dict[str, Visualization]:
    """Make the pictures of one unit in several styles, with the same seed: what does each do?

    Parameters
    ----------
    network, unit
        As in `optimize`.
    styles
        Which; if not given, the field's comparison: none, frequency, robust, preconditioned, all.
    **settings
        The other settings of `optimize`.

    Returns
    -------
    dict of str to Visualization
        By the name of the style, or what it is made of.
    """
    chosen = styles or ("none", "frequency", "robust", "preconditioned", "all")
    return {
        each if isinstance(each, str) else each.describe(): optimize(network, unit, style=each, **settings)
        for each in chosen
    }


def _check(count: int, steps: int | None, diversity: float, seed: int) -> None:
    for name, value in (("count", count), ("steps", steps)):
        if value is not None and value < 1:
            raise QuestionError(f"{name}={value} must be at least 1.")
    if diversity < 0 or seed < 0:
        raise QuestionError(f"diversity={diversity} and seed={seed} must be at least 0.")
    if diversity and count < 2:
        raise QuestionError(f"diversity={diversity} is between pictures of one unit.", hint="Give count=2 or more.")


def _compared(network: Network, images: Any) -> tuple[torch.Tensor, str]:
    """Give images to compare with (n, channels, height, width), 0..1, and a digest of them."""
    from iconoscope.optimization.start import read_start

    if isinstance(images, str) and not Path(images).expanduser().exists():
        raise QuestionError(f"compare={images!r} does not exist.", hint="Give a folder of images, a file, or arrays.")
    start, _ = read_start(images, network.preprocessing, None)
    assert start.pictures is not None
    return start.pictures, start.digest


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """All that is asked of every unit alike."""

    network: Network
    weights: str  # their digest
    style: Style
    start: Start
    size: tuple[int, int]
    count: int
    steps: int
    diversity: float
    seed: int
    compare: tuple[torch.Tensor, str] | None

    @property
    def each(self) -> int:
        """How many pictures are made of one objective."""
        return self.count * (1 if self.start.pictures is None else len(self.start.pictures))

    def question(self, group: Sequence[Objective]) -> Question:
        network = self.network
        return Question(
            technique="optimize",
            network=network.name,
            weights=self.weights,
            subject=self.start.name,
            pixels=self.start.digest,
            unit="; ".join(map(str, group)),
            settings={
                "preprocessing": network.preprocessing.to_json(),
                "classes": network.classes_digest,
                "style": self.style.to_json(),
                "size": self.size,
                "count": self.count,
                "steps": self.steps,
                "diversity": self.diversity,
                "compare": "" if self.compare is None else self.compare[1],
                "seed": self.seed,
            },
            version=__version__,
        )

    def pictures(self, group: Sequence[Objective]) -> list[_Picture]:
        """List the pictures of a group: those of its first objective first."""
        return [_Picture(each, number) for each in group for number in range(self.each)]

    def lots(self, group: Sequence[Objective]) -> list[list[_Picture]]:
        """Sort the pictures of a group into those that must be made together."""
        pictures = self.pictures(group)
        size = len(pictures) if self.style.joint else self.each if self.diversity else 1
        return [pictures[first : first + size] for first in range(0, len(pictures), size)]

    def fitting(self, lot: Sequence[_Picture], memory: int) -> int:
        """Give how many pictures may be made at once, by what one of them takes in one step."""
        from iconoscope.subject.ledger import Ledger

        with quietly(), Ledger() as ledger:
            made = replace(self, steps=1, compare=None).make(lot[:1])
        if not made.ended:
            raise KeyboardInterrupt
        fits = int(memory * USED / ledger.peak)
        if fits < len(lot):
            what = "one picture takes" if len(lot) == 1 else f"{len(lot)} pictures that are made together take"
            need = len(lot) * ledger.peak
            raise QuestionError(
                f"memory={written_memory(memory)} is too little: before {self.network.name} {what} {written_memory(need)}.",
                hint=f"Give {written_memory(1.1 * need / USED)} or more.",
            )
        return max(len(lot), min(fits, MOST, PIXELS // (self.size[0] * self.size[1])))

    def make(self, pictures: Sequence[_Picture]) -> _Made:
        """Make some pictures in one batch."""
        import torch

        from iconoscope.optimization.canvas import paint_on
        from iconoscope.optimization.loop import adam, ascend
        from iconoscope.optimization.scores import Scores

        style = self.style
        draws = [torch.Generator().manual_seed(_seed(self.seed, str(each.objective), each.number)) for each in pictures]
        start = None
        if self.start.pictures is not None:
            start = self.start.pictures[[each.number % len(self.start.pictures) for each in pictures]]
        shape = (len(pictures), len(self.network.preprocessing.mean), *self.size)
        assert style.colours is not None and style.rate is not None
        assert not isinstance(style.transforms, str)
        with self.network.questioned():
            scores = Scores([each.objective for each in pictures], self.network.device)
            canvas = paint_on(style.parameterization, shape, draws, start, root=style.colours, limits=style.limits)
            reached = ascend(
                self.network,
                scores,
                canvas,
                transforms=style.transforms,
                numbers=None if style.transforms is None else style.transforms.draw(self.steps, draws),
                regularizers=style.regularizers,
                stepper=adam(style.rate),
                steps=self.steps,
                frames=FRAMES,
                diversity=self.diversity,
            )
            arrays = self._judged(scores, reached, pictures)
        arrays |= {
            "images": _channels_last(reached.pictures),
            "objective": reached.scores.cpu().numpy(),
            "last_gradient": _channels_last(reached.gradient),
            "frames": (_channels_last(reached.frames) * 255).round().astype(np.uint8),
        }
        return _Made(arrays, reached.ended)

    def _judged(self, scores: Any, reached: Reached, pictures: Sequence[_Picture]) -> dict[str, np.ndarray]:
        """Look at the finished pictures: as they are, moved otherwise, and beside the images to compare with."""
        import torch

        from iconoscope.optimization.loop import score
        from iconoscope.optimization.scores import Scores
        from iconoscope.optimization.transforms import Transforms

        pictured = [each.objective for each in pictures]
        size = self.network.preprocessing.size
        shown = reached.pictures
        if self.size != size:
            shown = torch.nn.functional.interpolate(shown, size, mode="bilinear", antialias=True)
        activation = score(self.network, scores, shown)
        moves = Transforms(jitter=max(size) / 10, rotation=15, scale=(0.85, 1.2))
        draws = [
            torch.Generator().manual_seed(_seed(self.seed, f"held out, {each.objective}", each.number))
            for each in pictures
        ]
        numbers = moves.draw(HELD_OUT, draws)
        moved = torch.stack([score(self.network, scores, moves(reached.pictures, size, each)) for each in numbers])
        natural = torch.full_like(activation, float("nan"))
        if self.compare is not None:
            for objective in dict.fromkeys(pictured):
                each = Scores([objective] * len(self.compare[0]), self.network.device)
                strongest = score(self.network, each, self.compare[0]).max()
                natural[[place for place, other in enumerate(pictured) if other == objective]] = strongest
        # The logarithm of a probability is 0 where the network is certain, and flat there: the opposite of dead.
        wanted = torch.tensor(
            [all(term.weight > 0 and not _is_probability(term.target.unit) for term in each.terms) for each in pictured]
        )
        silent = (activation.cpu() == 0) | (reached.gradient.flatten(1).abs().amax(1) == 0).cpu()
        return {
            "activation": activation.cpu().numpy(),
            "moved_activation": moved.mean(0).cpu().numpy(),
            "natural_activation": natural.cpu().numpy(),
            "dead": (silent & wanted).numpy() & reached.ended,
        }

    def result(self, group: Sequence[Objective], arrays: dict[str, np.ndarray]) -> Visualization:
        """Put what was made of a group into a result."""
        return Visualization(
            question=self.question(group),
            units=tuple(str(each.objective) for each in self.pictures(group))[: len(arrays["images"])],
            start=self.start.name,
            style=f"{self.style.describe()}; {self.steps} steps",
            **arrays,
        )


@dataclass(frozen=True)
class _Picture:
    """One picture to be made: of what, and the how manieth of it."""

    objective: Objective
    number: int


@dataclass(frozen=True)
class _Made:
    """What was made in one batch: the arrays of a `Visualization`, and whether all steps were done."""

    arrays: dict[str, np.ndarray]
    ended: bool

    def __len__(self) -> int:
        return len(self.arrays["images"])

    def part(self, first: int, last: int) -> dict[str, np.ndarray]:
        return {name: values[first:last] for name, values in self.arrays.items()}


def _is_probability(unit: Unit) -> bool:
    return isinstance(unit, ClassUnit) and unit.kind == "prob"


def _channels_last(pictures: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(pictures.movedim(-3, -1).cpu().numpy())


def _put_together(parts: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Put arrays one behind another; those that were ended early are shorter in steps and frames, and so are all then."""
    steps = min(each["objective"].shape[1] for each in parts)
    frames = min(each["frames"].shape[1] for each in parts)
    cut = [each | {"objective": each["objective"][:, :steps], "frames": each["frames"][:, -frames:]} for each in parts]
    return {name: np.concatenate([each[name] for each in cut]) for name in parts[0]}


def _seed(seed: int, name: str, number: int) -> int:
    """Give a seed for a picture that does not depend on what else is made with it."""
    return int.from_bytes(hashlib.sha256(f"{seed} {name} {number}".encode()).digest()[:7], "big")


def _all(asked: _Asked, groups: Sequence[Sequence[Objective]], memory: int, store: Store | None) -> Visualization:
    """Make the pictures of all groups, batch by batch; what the store has is not made again."""
    known: dict[int, Visualization] = {}
    if store is not None:
        for place, group in enumerate(groups):
            found = store.known(asked.question(group), Visualization)
            if found is not None:
                known[place] = found
        store.prepare()
    lots = [(place, lot) for place, group in enumerate(groups) if place not in known for lot in asked.lots(group)]
    parts: dict[int, list[dict[str, np.ndarray]]] = {}
    ended = True
    batches = _packed(lots, asked.fitting(lots[0][1], memory)) if lots else []
    for batch in track(batches, f"optimizing, {asked.network.name}") if len(batches) > 1 else batches:
        try:
            made = asked.make([picture for _, lot in batch for picture in lot])
        except KeyboardInterrupt:
            if not known and not parts:
                raise
            ended = False
            break
        first = 0
        for place, lot in batch:
            parts.setdefault(place, []).append(made.part(first, first + len(lot)))
            first += len(lot)
        for place in {place for place, _ in batch}:
            if sum(len(each["images"]) for each in parts[place]) == len(groups[place]) * asked.each and made.ended:
                known[place] = asked.result(groups[place], _put_together(parts.pop(place)))
                if store is not None:
                    store.keep(known[place])
        if not made.ended:
            ended = False
            break
    known |= {place: asked.result(groups[place], _put_together(some)) for place, some in parts.items()}
    found = _joined([known[place] for place in sorted(known)])
    if not ended:
        warnings.warn(
            f"Ended by Ctrl-C: {len(found)} of {asked.each * sum(map(len, groups))} pictures, the last ones unfinished.",
            IconoscopeWarning,
            stacklevel=3,
        )
    return found


def _packed(lots: Sequence[tuple[int, list[_Picture]]], most: int) -> list[list[tuple[int, list[_Picture]]]]:
    """Put lots into batches of at most so many pictures."""
    batches: list[list[tuple[int, list[_Picture]]]] = []
    room = 0
    for place, lot in lots:
        if len(lot) > room:
            batches.append([])
            room = max(most, len(lot))
        batches[-1].append((place, lot))
        room -= len(lot)
    return batches


def _joined(results: Sequence[Visualization]) -> Visualization:
    """Put the results of several units into one."""
    if len(results) == 1:
        return results[0]
    names = (
        "images",
        "objective",
        "last_gradient",
        "frames",
        "activation",
        "moved_activation",
        "natural_activation",
        "dead",
    )
    units = tuple(name for each in results for name in each.units)
    return replace(
        results[0],
        question=replace(results[0].question, unit="; ".join(dict.fromkeys(units))),
        units=units,
        **_put_together([{name: getattr(each, name) for name in names} for each in results]),
    )
