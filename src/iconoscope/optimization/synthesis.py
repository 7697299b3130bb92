"""A question of input optimisation: what is asked of every unit alike, and one batch of pictures made of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from iconoscope import __version__
from iconoscope.errors import NetworkError, NonFiniteError, QuestionError
from iconoscope.optimization.latent_parameterization import LatentParameterization, sampled_images
from iconoscope.optimization.objective import Objective
from iconoscope.optimization.spectator import unwatched
from iconoscope.optimization.style import Style
from iconoscope.optimization.transforms import NUMBERS
from iconoscope.progress import quietly
from iconoscope.results import Question, Visualization
from iconoscope.subject.memory import check_fits, written_memory
from iconoscope.subject.network import Network

if TYPE_CHECKING:
    import torch

    from iconoscope.optimization.canvas import Canvas
    from iconoscope.optimization.initial_image import Start
    from iconoscope.optimization.loop import Ascent
    from iconoscope.optimization.parameterization import Parameterization
    from iconoscope.optimization.reference_activations import ReferenceAnswers, ReferenceImages
    from iconoscope.optimization.scores import Scores
    from iconoscope.priors import Prior

__all__ = ["PictureRequest", "Synthesis", "check_pictures", "concatenate"]

FRAMES = 9
"""The number of pictures on the way that are kept."""

PIXELS, MOST = 4 * 256 * 256, 64
"""Of all pictures that go through the network at once, and how many these are at most. With more the maps of the first layers
no longer lie in memory that the process keeps: the system takes it back, and clears it anew, at every step."""

USED = 0.75
"""The share of the memory that is planned for."""

HELD_OUT = 8
"""In how many other places a finished picture is tried."""


def check_pictures(count: int, *, channels: int, size: tuple[int, int], steps: int, memory: int | None = None) -> None:
    """Refuse so many pictures where they, what is kept of their making and the numbers of their moves would not fit.

    Raises
    ------
    QuestionError
        With the estimate, and what there is.
    """
    values = channels * size[0] * size[1]
    # A picture and its gradient in 32 bits, the frames in 8; of one that is made, its spectrum, gradients and moments.
    need = count * (values * (2 * 4 + FRAMES + 1) + steps * 4 * (NUMBERS + 1)) + values * 4 * 10
    check_fits(
        float(need),
        f"{count:,} picture{'s' * (count != 1)} of {size[0]}x{size[1]} pixels in {steps:,} steps",
        memory=memory,
        hint="Give fewer, smaller ones, or fewer steps; memory= raises the bound.",
    )


@dataclass(frozen=True, kw_only=True)
class Synthesis:
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
    compare: ReferenceImages | None

    @property
    def prior(self) -> Prior | None:
        """The prior of pictures, if they are made along a prior."""
        parameterization = self.style.parameterization
        return parameterization.prior if isinstance(parameterization, LatentParameterization) else None

    @property
    def _may_begin_at_patterns(self) -> bool:
        """Who chose a start wants no other, and of a prior its own pictures are all that it can write down."""
        return self.start.pictures is None and self.prior is None

    @property
    def per_objective(self) -> int:
        """The number of pictures that are made of one objective."""
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
            settings={**self._settings, **self._settings_of(group)},
            version=__version__,
        )

    def _settings_of(self, group: Sequence[Objective]) -> dict[str, Any]:
        """Give the weights in a group of objectives, and the digests of its functions if there are any."""
        functions = [target.key for objective in group for target in objective.functions]
        weights = [[term.weight for term in objective.terms] for objective in group]
        return {"weights": weights, **({"functions": functions} if functions else {})}

    @cached_property
    def _settings(self) -> dict[str, Any]:
        """The settings that the questions of all groups share: digests of images and of a prior, which take their time."""
        charged = bool(self.style.regularizers) or bool(self.diversity) or self.cap is not None
        return {
            "preprocessing": self.network.preprocessing.to_json(),
            "classes": self.network.classes_digest,
            "style": self.style.to_json(),
            "compare": "" if self.compare is None else self.compare.digest,
            **{
                name: getattr(self, name)
                for name in ("size", "count", "steps", "diversity", "cap", "precision", "seed")
            },
            # An answer that was stored before photographs were kept beside what became of them is not given again.
            **({"start_images": "kept"} if self.start.photographed else {}),
            # An answer that was stored when this was the gradient of the whole loss, and hid dead units, is not given again.
            **({"last_gradient": "of the objective"} if charged else {}),
            # Nor one that was stored when what noise leaves off stayed grey.
            **({"left_off_by_noise": "begun at a pattern"} if self._may_begin_at_patterns else {}),
        }

    def requests(self, group: Sequence[Objective]) -> list[PictureRequest]:
        """List the pictures of a group: those of its first objective first."""
        return [PictureRequest(objective, number) for objective in group for number in range(self.per_objective)]

    def bundles(self, group: Sequence[Objective]) -> list[list[PictureRequest]]:
        """Sort the pictures of a group into those that must be made together, as they are charged for each other."""
        pictures = self.requests(group)
        size = len(pictures) if self.style.joint else self.per_objective if self.diversity else 1
        return [pictures[first : first + size] for first in range(0, len(pictures), size)]

    def batch_size(self, bundle: Sequence[PictureRequest], memory: int) -> int:
        """Give how many pictures may be made at once, by what one of them takes in one step."""
        from iconoscope.subject.ledger import Ledger

        if self.prior is not None:
            _ = self.prior.comparison  # made ready once for a prior: it is no part of what a picture takes
        try:
            # What comes after the steps takes less than they do.
            with quietly(), unwatched(), self.network.questioned(), Ledger() as ledger:
                ended = replace(self, steps=1, cap=None)._climb(bundle[:1], {}, self._starts(bundle[:1]))[2].ended
        except NonFiniteError:
            return len(bundle)  # and it will be said at which step of all
        if not ended:
            raise KeyboardInterrupt
        fits = int(memory * USED / ledger.peak)
        if fits < len(bundle):
            together = f"{len(bundle)} pictures that are made together take"
            pictures = "one picture takes" if len(bundle) == 1 else together
            need = len(bundle) * ledger.peak
            raise QuestionError(
                f"memory={written_memory(memory)} is too little: before {self.network.name} {pictures} {written_memory(need)}.",
                hint=f"Give {written_memory(1.1 * need / USED)} or more.",
            )
        return max(len(bundle), min(fits, MOST, PIXELS // (self.size[0] * self.size[1])))

    def reference_answers(self, objectives: Sequence[Objective]) -> dict[Objective, ReferenceAnswers]:
        """Give what real images answer to objectives, or what else there is to measure answers by."""
        reference = self.compare
        if reference is None and self.prior is not None:
            reference = sampled_images(self.prior, self.network)
        if reference is None:
            return {}
        with self.network.questioned():
            return reference.answers(self.network, objectives)

    def _climb(
        self,
        requests: Sequence[PictureRequest],
        reference: dict[Objective, ReferenceAnswers],
        start: torch.Tensor | None,
    ) -> tuple[Scores, Canvas, Ascent]:
        """Change the pictures of a batch step by step; the network must be in evaluation mode."""
        import torch

        from iconoscope.optimization.canvas import begin_canvas
        from iconoscope.optimization.loop import Loss, adam, ascend
        from iconoscope.optimization.scores import Scores

        style = self.style
        draws = [request.generator(self.seed) for request in requests]
        shape = (len(requests), self.network.channels, *self.size)
        objectives = [request.objective for request in requests]
        natural = [reference[objective] for objective in objectives] if reference else []
        assert (
            isinstance(style.colours, np.ndarray)
            and style.rate is not None
            and style.fade is not None
            and not isinstance(style.transforms, str)
        )
        parameterization = self._parameterization(objectives)
        scores = Scores(objectives, self.network)
        canvas = begin_canvas(parameterization, shape, draws, start, root=style.colours, limits=style.limits)
        caps, deviations = (
            None if self.cap is None else [answers.cap(self.cap) for answers in natural],
            [answers.deviation for answers in natural],
        )
        ascent = ascend(
            self.network,
            scores,
            canvas,
            loss=Loss(
                regularizers=style.regularizers,
                diversity=self.diversity,
                cap=None if caps is None else torch.tensor(caps, dtype=torch.float32),
                price=torch.tensor(deviations, dtype=torch.float32) if natural else 1.0,
            ),
            transforms=style.transforms,
            draws=draws,
            stepper=adam(style.rate, steps=self.steps, fade=style.fade),
            steps=self.steps,
            frames=FRAMES,
            blur=style.blur,
            precision=self.precision,
        )
        return scores, canvas, ascent

    def _parameterization(self, objectives: Sequence[Objective]) -> Parameterization:
        """Give how the pictures of some objectives are written down: along a prior, by the class that is asked for."""
        parameterization = self.style.parameterization
        if isinstance(parameterization, LatentParameterization):
            return parameterization.labelled(self.network.classes, objectives)
        return parameterization

    def _starts(self, requests: Sequence[PictureRequest]) -> torch.Tensor | None:
        """Give what pictures begin as (pictures, channels, height, width), unless it is noise."""
        begun = self.start.pictures
        return None if begun is None else begun[[request.number % len(begun) for request in requests]]

    def make(
        self, requests: Sequence[PictureRequest], reference: dict[Objective, ReferenceAnswers]
    ) -> tuple[dict[str, np.ndarray], bool]:
        """Make some pictures in one batch, knowing what real images answer.

        What noise leaves off, and whose gradient says nothing therefore, is asked for again from a pattern that turns it on, if
        there is one: no unit stays grey, or is called dead, because of the noise that it began at.

        Returns
        -------
        dict of str to ndarray, and bool
            The arrays of a `Visualization`, and whether all steps were done.
        """
        import torch

        start = self._starts(requests)
        arrays, asleep, ended = self._made(requests, reference, start)
        # Where a picture cannot begin anew, patterns still tell that a unit is not dead.
        rows = np.flatnonzero(asleep if self._may_begin_at_patterns else arrays["dead"]).tolist()
        if not ended or not rows:
            return arrays, ended
        try:
            woken = self._woken(requests, arrays, rows)
            again = self._beginning_at(woken, requests, arrays) if self._may_begin_at_patterns else {}
            if again:
                awake, _, ended = self._made(
                    [requests[row] for row in again], reference, torch.stack(list(again.values()))
                )
                if len(again) == len(requests):
                    arrays = awake
                elif ended:  # what was interrupted has fewer steps than the others
                    for name, values in awake.items():
                        arrays[name][list(again)] = values
        except KeyboardInterrupt:  # what was made from noise is whole, but nobody knows what a pattern would turn on
            return arrays | {"dead": np.zeros(len(requests), bool)}, False
        arrays["dead"][list(woken)] = False  # though charges may have turned it off again
        return arrays, ended

    def _woken(
        self, requests: Sequence[PictureRequest], arrays: dict[str, np.ndarray], rows: Sequence[int]
    ) -> dict[int, torch.Tensor]:
        """Give patterns (channels, height, width) that turn on what is asked for in some rows, by the rows that have one."""
        from iconoscope.optimization.waking import waking_pictures

        objectives, ranks = [requests[row].objective for row in rows], [requests[row].number for row in rows]
        with self.network.questioned():
            patterns = waking_pictures(
                self.network, objectives, ranks, arrays["activation"][list(rows)].tolist(), self.size
            )
        return {row: pattern for row, pattern in zip(rows, patterns, strict=True) if pattern is not None}

    def _beginning_at(
        self, woken: dict[int, torch.Tensor], requests: Sequence[PictureRequest], arrays: dict[str, np.ndarray]
    ) -> dict[int, torch.Tensor]:
        """Give what pictures are made from again, by their rows: patterns, and beside them what they are charged for.

        Those begin at the noise that they began at.
        """
        import torch

        def company(request: PictureRequest) -> object:
            return None if self.style.joint else request.objective if self.diversity else request

        companies = {company(requests[row]) for row in woken}
        rows = [row for row, request in enumerate(requests) if company(request) in companies]
        noise = torch.from_numpy(arrays["frames"][rows, 0]).movedim(-1, 1).float() / 255
        return {row: woken.get(row, began) for row, began in zip(rows, noise, strict=True)}

    def _made(
        self,
        requests: Sequence[PictureRequest],
        reference: dict[Objective, ReferenceAnswers],
        start: torch.Tensor | None,
    ) -> tuple[dict[str, np.ndarray], np.ndarray, bool]:
        """Make some pictures from noise, or from pictures (pictures, channels, height, width) of 0..1; see `make`.

        Beside that (pictures,) whether nothing said where up is.
        """
        from iconoscope.optimization.loop import channels_last

        objectives = [request.objective for request in requests]
        parameterization = self._parameterization(objectives)
        with self.network.questioned():
            scores, canvas, ascent = self._climb(requests, reference, start)
            arrays, asleep, evaluated = self._evaluate(scores, ascent, requests, reference)
            if self.start.photographed and start is not None:
                beside, classified = self._before_and_after(start, ascent.pictures, objectives)
                arrays, evaluated = arrays | beside, evaluated and classified
        if isinstance(parameterization, LatentParameterization):
            arrays |= parameterization.standing_of(ascent.pictures, canvas.parameters.tensors[0])
        arrays |= {
            "images": channels_last(ascent.pictures),
            "objective": ascent.scores.cpu().numpy(),
            "last_gradient": channels_last(ascent.gradient),
            **({} if ascent.loss_gradient is None else {"loss_gradient": channels_last(ascent.loss_gradient)}),
            "frames": (channels_last(ascent.frames) * 255).round().astype(np.uint8),
        }
        return arrays, asleep, ascent.ended and evaluated

    def _evaluate(
        self,
        scores: Scores,
        ascent: Ascent,
        requests: Sequence[PictureRequest],
        reference: dict[Objective, ReferenceAnswers],
    ) -> tuple[dict[str, np.ndarray], np.ndarray, bool]:
        """Look at the finished pictures: as they are, moved otherwise, and beside real images.

        Say also which of them had no gradient to follow, and whether the looking was ended: Ctrl-C in the midst of it loses
        nothing of what was made.
        """
        unknown = np.full(len(requests), np.nan, np.float32)
        real = self.compare is not None and reference
        strongest = [reference[request.objective].strongest if real else np.nan for request in requests]
        arrays = {
            "activation": unknown,
            "moved_activation": unknown,
            "natural_activation": np.array(strongest, np.float32),
            "dead": np.zeros(len(requests), bool),
        }
        try:
            activation, moved = self._held_out_answers(scores, ascent.pictures, requests)
        except KeyboardInterrupt:
            return arrays, arrays["dead"], False
        # The logarithm of a probability is 0 where the network is certain, and flat there: the opposite of dead. Of functions
        # nobody knows what 0 means.
        excited = [
            not request.objective.functions
            and all(
                term.weight > 0 and getattr(term.target.unit, "kind", "") != "prob" for term in request.objective.terms
            )
            for request in requests
        ]
        flat = (ascent.gradient.flatten(1).abs().amax(1) == 0).cpu().numpy() & ascent.ended
        arrays["activation"] = activation.cpu().numpy()
        arrays["moved_activation"] = moved.cpu().numpy()
        # Real images turn it on. NaN, where there are none, is not more than anything.
        awake = arrays["natural_activation"] > arrays["activation"] + 1e-5 * np.abs(arrays["activation"])
        # What has answered one picture otherwise than another has come to where it can answer no more.
        unmoved = (ascent.scores.amax(1) == ascent.scores.amin(1)).cpu().numpy()
        silent = (arrays["activation"] == 0) & np.array(excited) & ascent.ended
        arrays["dead"] = (silent | (flat & unmoved & np.array(excited))) & ~awake
        return arrays, silent | flat, True

    def _before_and_after(
        self, start: torch.Tensor, pictures: torch.Tensor, objectives: Sequence[Objective]
    ) -> tuple[dict[str, np.ndarray], bool]:
        """Give photographs and as what they are classified beside what became of them, and say whether that was ended.

        Of a network that answers no classes, the photographs alone.
        """
        from iconoscope.optimization.classification import class_probabilities
        from iconoscope.optimization.loop import channels_last

        units = [objective.sole_class for objective in objectives]
        arrays = {
            "start_images": channels_last(start),
            "asked_class": np.array([-1 if unit is None or unit.index is None else unit.index for unit in units]),
        }
        unknown = np.full((len(objectives), len(self.network.classes)), np.nan, np.float32)
        try:
            before, after = (class_probabilities(self.network, shown) for shown in (start, pictures))
        except KeyboardInterrupt:
            return {**arrays, "start_probabilities": unknown, "probabilities": unknown}, False
        except NetworkError:  # layers can be asked of any network, classes of a classifier alone
            return arrays, True
        return {**arrays, "start_probabilities": before, "probabilities": after}, True

    def _held_out_answers(
        self, scores: Scores, pictures: torch.Tensor, requests: Sequence[PictureRequest]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Give the answers (pictures,) to pictures as they are, and the mean of those to them where they were not made."""
        import torch

        from iconoscope.optimization.loop import score
        from iconoscope.optimization.transforms import Transforms

        size = self.network.preprocessing.size
        fitted = pictures
        if self.size != size:
            fitted = torch.nn.functional.interpolate(pictures, size, mode="bilinear", antialias=True)
        moves = Transforms(jitter=max(size) / 10, rotation=15, scale=(0.85, 1.2))
        numbers = moves.draw(HELD_OUT, [request.generator(self.seed, "held out, ") for request in requests])
        moved = torch.stack([score(self.network, scores, moves(pictures, size, step)) for step in numbers])
        return score(self.network, scores, fitted), moved.mean(0)

    def result(self, group: Sequence[Objective], arrays: dict[str, np.ndarray]) -> Visualization:
        """Put what was made of a group into a result."""
        capped = "" if self.cap is None else f"; capped at {self.cap:g} times the answers of real images"
        precision = "" if self.precision == "float32" else f"; the network in {self.precision}"
        pictured = [request.objective for request in self.requests(group)][: len(arrays["images"])]
        # What one picture turns on is not dead, in whatever batch that was made.
        alive = {objective for objective, dead in zip(pictured, arrays["dead"], strict=True) if not dead}
        return Visualization(
            question=self.question(group),
            units=tuple(map(str, pictured)),
            start=self.start.name,
            prior="" if self.prior is None else repr(self.prior).strip("<>"),
            style=f"{self.style.describe()}; {self.steps} steps{capped}{precision}",
            style_name="",
            judge="",
            classes=self.network.classes if "probabilities" in arrays else (),
            **arrays | {"dead": np.array([objective not in alive for objective in pictured])},
        )


@dataclass(frozen=True)
class PictureRequest:
    """One picture to be made: what is asked of it, and its number among those of the same objective."""

    objective: Objective
    number: int

    def generator(self, seed: int, purpose: str = "") -> torch.Generator:
        """Give random numbers for the picture that do not depend on what else is made with it."""
        import torch

        digest = hashlib.sha256(f"{seed} {purpose}{self.objective} {self.number}".encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))


def concatenate(parts: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Put arrays one behind another; those that were ended early are shorter in steps and frames, and so are all then."""
    steps = min(part["objective"].shape[1] for part in parts)
    frames = min(part["frames"].shape[1] for part in parts)
    cut = [part | {"objective": part["objective"][:, :steps], "frames": part["frames"][:, -frames:]} for part in parts]
    return {name: np.concatenate([part[name] for part in cut]) for name in parts[0]}
