"""What is asked of every unit alike, and how one batch of pictures is made of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from iconoscope import __version__
from iconoscope.errors import NonFiniteError, QuestionError
from iconoscope.optimization.latent_parameterization import Along, samples
from iconoscope.optimization.objective import Objective
from iconoscope.optimization.style import Style
from iconoscope.progress import quietly
from iconoscope.results import Question, Visualization
from iconoscope.subject.memory import written_memory
from iconoscope.subject.network import Network
from iconoscope.vocabulary.unit import ClassUnit, Unit

if TYPE_CHECKING:
    import torch

    from iconoscope.optimization.initial_image import Start
    from iconoscope.optimization.loop import Reached
    from iconoscope.optimization.reference_activations import Answers, Natural
    from iconoscope.priors import Prior

__all__ = ["Made", "Making", "Picture", "put_together"]

FRAMES = 9
"""How many pictures on the way are kept."""

PIXELS, MOST = 8 * 256 * 256, 64
"""Of all pictures that go through the network at once, and how many these are at most."""

USED = 0.75
"""The share of the memory that is planned for."""

HELD_OUT = 8
"""In how many other places a finished picture is tried."""


@dataclass(frozen=True, kw_only=True)
class Making:
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
    precision: str
    cap: float | None
    compare: Natural | None

    @property
    def prior(self) -> Prior | None:
        """What pictures may be, if they are made along a prior."""
        way = self.style.parameterization
        return way.prior if isinstance(way, Along) else None

    @property
    def each(self) -> int:
        """How many pictures are made of one objective."""
        return self.count * (1 if self.start.pictures is None else len(self.start.pictures))

    def question(self, group: Sequence[Objective]) -> Question:
        """Give the question that the pictures of a group answer."""
        return Question(
            technique="optimize",
            network=self.network.name,
            weights=self.weights,
            subject=self.start.name,
            pixels=self.start.digest,
            unit="; ".join(map(str, group)),
            settings={**self._settings, "weights": [[term.weight for term in each.terms] for each in group]},
            version=__version__,
        )

    @cached_property
    def _settings(self) -> dict[str, Any]:
        """What is the same in the questions of all groups: digests of images and of a prior, which take their time."""
        return {
            "preprocessing": self.network.preprocessing.to_json(),
            "classes": self.network.classes_digest,
            "style": self.style.to_json(),
            "size": self.size,
            "count": self.count,
            "steps": self.steps,
            "diversity": self.diversity,
            "compare": "" if self.compare is None else self.compare.digest,
            "cap": self.cap,
            "precision": self.precision,
            "seed": self.seed,
        }

    def pictures(self, group: Sequence[Objective]) -> list[Picture]:
        """List the pictures of a group: those of its first objective first."""
        return [Picture(each, number) for each in group for number in range(self.each)]

    def lots(self, group: Sequence[Objective]) -> list[list[Picture]]:
        """Sort the pictures of a group into those that must be made together."""
        pictures = self.pictures(group)
        size = len(pictures) if self.style.joint else self.each if self.diversity else 1
        return [pictures[first : first + size] for first in range(0, len(pictures), size)]

    def fitting(self, lot: Sequence[Picture], memory: int) -> int:
        """Give how many pictures may be made at once, by what one of them takes in one step."""
        from iconoscope.subject.ledger import Ledger

        if isinstance(self.style.parameterization, Along):
            self.style.parameterization.prepare()
        try:
            with quietly(), Ledger() as ledger:
                made = replace(self, steps=1, cap=None).make(lot[:1], {})
        except NonFiniteError:
            return len(lot)  # and it will be said at which step of all
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

    def answers(self, asked: Sequence[Objective]) -> dict[Objective, Answers]:
        """Give what real images answer to objectives, or what else there is to measure answers by."""
        measure = self.compare
        if measure is None and self.prior is not None:
            measure = samples(self.prior, self.network)
        if measure is None:
            return {}
        with self.network.questioned():
            return measure.answers(self.network, asked)

    def make(self, pictures: Sequence[Picture], natural: dict[Objective, Answers]) -> Made:
        """Make some pictures in one batch, knowing what real images answer."""
        import torch

        from iconoscope.optimization.canvas import paint_on
        from iconoscope.optimization.loop import adam, ascend
        from iconoscope.optimization.scores import Scores

        style = self.style
        draws = [torch.Generator().manual_seed(_seed(self.seed, str(each.objective), each.number)) for each in pictures]
        start = None
        if self.start.pictures is not None:
            start = self.start.pictures[[each.number % len(self.start.pictures) for each in pictures]]
        shape = (len(pictures), self.network.channels, *self.size)
        known = [natural[each.objective] for each in pictures] if natural else []
        assert style.colours is not None and style.rate is not None
        assert not isinstance(style.transforms, str)
        with self.network.questioned():
            scores = Scores([each.objective for each in pictures], self.network)
            way = style.parameterization
            if isinstance(way, Along):
                way = way.of(self.network.classes, [each.objective for each in pictures])
            canvas = paint_on(way, shape, draws, start, root=style.colours, limits=style.limits)
            reached = ascend(
                self.network,
                scores,
                canvas,
                transforms=style.transforms,
                numbers=None if style.transforms is None else style.transforms.draw(self.steps, draws),
                regularizers=style.regularizers,
                stepper=adam(style.rate, steps=self.steps, fade=style.fade),
                steps=self.steps,
                frames=FRAMES,
                diversity=self.diversity,
                cap=None if self.cap is None else torch.tensor([each.cap(self.cap) for each in known]),
                price=torch.tensor([each.deviation for each in known]) if known else 1.0,
                precision=self.precision,
            )
            arrays, judged = self._judged(scores, reached, pictures, natural)
        if isinstance(way, Along):
            arrays |= way.held_against(reached.pictures, canvas.field.tensors[0])
        arrays |= {
            "images": _channels_last(reached.pictures),
            "objective": reached.scores.cpu().numpy(),
            "last_gradient": _channels_last(reached.gradient),
            "frames": (_channels_last(reached.frames) * 255).round().astype(np.uint8),
        }
        return Made(arrays, reached.ended and judged)

    def _judged(
        self, scores: Any, reached: Reached, pictures: Sequence[Picture], natural: dict[Objective, Answers]
    ) -> tuple[dict[str, np.ndarray], bool]:
        """Look at the finished pictures: as they are, moved otherwise, and beside real images; and say whether that was ended.

        Ctrl-C in the midst of it loses nothing of what was made.
        """
        import torch

        unknown = np.full(len(pictures), np.nan, np.float32)
        real = self.compare is not None
        best = [natural[each.objective].strongest if real and natural else np.nan for each in pictures]
        found = {
            "activation": unknown,
            "moved_activation": unknown,
            "natural_activation": np.array(best, np.float32),
            "dead": np.zeros(len(pictures), bool),
        }
        try:
            activation, moved = self._tried(scores, reached.pictures, pictures)
        except KeyboardInterrupt:
            return found, False
        # The logarithm of a probability is 0 where the network is certain, and flat there: the opposite of dead.
        wanted = torch.tensor(
            [
                all(term.weight > 0 and not _is_probability(term.target.unit) for term in each.objective.terms)
                for each in pictures
            ]
        )
        # Once a unit answers as strongly as it is asked to, there is no gradient either.
        flat = (reached.gradient.flatten(1).abs().amax(1) == 0).cpu() & (self.cap is None)
        silent = (activation.cpu() == 0) | flat
        found["activation"] = activation.cpu().numpy()
        found["moved_activation"] = moved.cpu().numpy()
        found["dead"] = (silent & wanted).numpy() & reached.ended
        return found, True

    def _tried(self, scores: Any, made: torch.Tensor, pictures: Sequence[Picture]) -> tuple[torch.Tensor, torch.Tensor]:
        """Give the answers to pictures as they are, and the mean of those to them in places where they were not made."""
        import torch

        from iconoscope.optimization.loop import score
        from iconoscope.optimization.transforms import Transforms

        size = self.network.preprocessing.size
        shown = made
        if self.size != size:
            shown = torch.nn.functional.interpolate(made, size, mode="bilinear", antialias=True)
        moves = Transforms(jitter=max(size) / 10, rotation=15, scale=(0.85, 1.2))
        draws = [
            torch.Generator().manual_seed(_seed(self.seed, f"held out, {each.objective}", each.number))
            for each in pictures
        ]
        numbers = moves.draw(HELD_OUT, draws)
        moved = torch.stack([score(self.network, scores, moves(made, size, each)) for each in numbers])
        return score(self.network, scores, shown), moved.mean(0)

    def result(self, group: Sequence[Objective], arrays: dict[str, np.ndarray]) -> Visualization:
        """Put what was made of a group into a result."""
        return Visualization(
            question=self.question(group),
            units=tuple(str(each.objective) for each in self.pictures(group))[: len(arrays["images"])],
            start=self.start.name,
            prior="" if self.prior is None else repr(self.prior).strip("<>"),
            style=f"{self.style.describe()}; {self.steps} steps{self._manner()}",
            **arrays,
        )

    def _manner(self) -> str:
        text = "" if self.cap is None else f"; capped at {self.cap:g} times the answers of real images"
        return text + ("" if self.precision == "float32" else f"; the network in {self.precision}")


@dataclass(frozen=True)
class Picture:
    """One picture to be made: of what, and the how manieth of it."""

    objective: Objective
    number: int


@dataclass(frozen=True)
class Made:
    """What was made in one batch: the arrays of a `Visualization`, and whether all steps were done."""

    arrays: dict[str, np.ndarray]
    ended: bool

    def __len__(self) -> int:
        return len(self.arrays["images"])

    def part(self, first: int, last: int) -> dict[str, np.ndarray]:
        """Give the arrays of some of the pictures."""
        return {name: values[first:last] for name, values in self.arrays.items()}


def _is_probability(unit: Unit) -> bool:
    return isinstance(unit, ClassUnit) and unit.kind == "prob"


def _channels_last(pictures: torch.Tensor) -> np.ndarray:
    return np.ascontiguousarray(pictures.movedim(-3, -1).cpu().numpy())


def put_together(parts: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Put arrays one behind another; those that were ended early are shorter in steps and frames, and so are all then."""
    steps = min(each["objective"].shape[1] for each in parts)
    frames = min(each["frames"].shape[1] for each in parts)
    cut = [each | {"objective": each["objective"][:, :steps], "frames": each["frames"][:, -frames:]} for each in parts]
    return {name: np.concatenate([each[name] for each in cut]) for name in parts[0]}


def _seed(seed: int, name: str, number: int) -> int:
    """Give a seed for a picture that does not depend on what else is made with it."""
    return int.from_bytes(hashlib.sha256(f"{seed} {name} {number}".encode()).digest()[:7], "big")
