"""Deletion and insertion curves of one map after another: what `faithfulness` asks of every image."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import IconoscopeWarning, QuestionError, shortened
from iconoscope.occlusion.attribution_maps import AttributionMap, rank_pixels
from iconoscope.occlusion.fills import Fill
from iconoscope.occlusion.query import answered, question_of, say_unlabelled, unit_of
from iconoscope.progress import track
from iconoscope.results import Curves, Question
from iconoscope.results.rendering import rgb
from iconoscope.store import Store
from iconoscope.subject.images import Image, Images
from iconoscope.subject.network import Network
from iconoscope.vocabulary.labels import match_labels
from iconoscope.vocabulary.unit import Unit

if TYPE_CHECKING:
    import torch

__all__ = ["DRAWS", "CurvesQuestion"]

PIXELS = 1_500_000
"""Of all pictures that go through the network at once."""

DRAWS = 5
"""To how many other positions the map is moved, for the null."""


@dataclass(frozen=True, kw_only=True)
class CurvesQuestion:
    """All that is asked of every image alike: `weights` is the network's digest, `patch` sets the blur."""

    network: Network
    weights: str
    fill: Fill
    start: Fill
    patch: tuple[int, int]
    unit: Unit | None
    steps: int
    batch: int | None
    seed: int
    store: Store | None

    def ask_each(self, pictures: Images, map_of: Callable[[Image], AttributionMap]) -> list[Curves]:
        """Ask about every image; one that has no map to score does not take the others with it."""
        labels: dict[str, int] = {}
        answers: list[Curves] = []
        reasons: list[str] = []
        for image in track(pictures.readable(), f"deleting and inserting, {self.network.name}", total=len(pictures)):
            try:
                attribution = map_of(image)
            except QuestionError as error:
                if len(pictures) == 1:
                    raise
                reasons.append(error.message)
                continue
            if self.unit is None and not attribution.unit and not labels:
                labels = dict(
                    zip(pictures.ids, match_labels(self.network.names, pictures.labels).tolist(), strict=True)
                )
            answers.append(self._ask(image, attribution, labels.get(image.id, -1)))
        if reasons:
            message = f"{len(reasons)} of {len(pictures)} images have no map to score: {shortened(reasons)}"
            if not answers:
                raise QuestionError(message)
            warnings.warn(f"{message} They were left out.", IconoscopeWarning, stacklevel=3)
        if labels:
            say_unlabelled([curves.target_origin for curves in answers])
        return answers

    def _ask(self, image: Image, attribution: AttributionMap, label: int) -> Curves:
        import torch

        with self.network.questioned(), torch.inference_mode():
            picture = self.network.preprocessing.shown(image)
            tensor = self.network.preprocessing.normalise(picture[None])[0]
            unit, origin = self._unit(tensor, attribution, label)
            fill, start = self.fill.of(picture), self.start.of(picture)
            question = self._question(image, attribution, unit, fill, start)

            def answer() -> Curves:
                return self._answer(question, picture, tensor, attribution, unit, origin, fill, start)

            return answered(question, Curves, answer, self.store, target_origin=origin, ranked_by=attribution.name)

    def _unit(self, tensor: torch.Tensor, attribution: AttributionMap, label: int) -> tuple[Unit, str]:
        if self.unit is not None:
            return self.unit, "asked"
        if attribution.unit:
            return self.network.resolve(attribution.unit), attribution.origin
        return unit_of(self.network, tensor, label)

    def _question(self, image: Image, attribution: AttributionMap, unit: Unit, fill: Fill, start: Fill) -> Question:
        settings = {
            "map": attribution.key,
            "fill": fill.name,
            "start": start.name,
            "patch": self.patch if "blur" in (fill.name, start.name) else None,
            "steps": self.steps,
            "draws": DRAWS,
            "seed": self.seed,
        }
        return question_of("faithfulness", self.network, self.weights, image, unit, settings)

    def _answer(
        self,
        question: Question,
        picture: NDArray[np.uint8],
        tensor: torch.Tensor,
        attribution: AttributionMap,
        unit: Unit,
        origin: str,
        fill: Fill,
        start: Fill,
    ) -> Curves:
        """Answer about a picture (height, width, channels), which is also the network's input (channels, height, width)."""
        import torch

        from iconoscope.occlusion.dense import clean_response

        share, point = rank_pixels(attribution.values, self.steps)
        orders = torch.from_numpy(np.stack([point, *_moved(point, self.seed, question.pixels)]))
        filled, started = (
            torch.from_numpy(drawing.field(picture, self.network.preprocessing, self.patch, self.seed))
            for drawing in (fill, start)
        )
        _, names, target, measure = clean_response(self.network, tensor, unit)
        deletion = self._change(tensor, filled, orders, len(share), unit, "deleting")
        insertion = self._change(started, tensor, orders, len(share), unit, "inserting")
        return Curves(
            question=question,
            share=share,
            deletion=deletion[0],
            insertion=insertion[0],
            null_deletion=deletion[1:, :, target],
            null_insertion=insertion[1:, :, target],
            target=target,
            target_origin=origin,
            names=names,
            measure=measure,
            attribution=attribution.values,
            full_red=attribution.full,
            ranked_by=attribution.name,
            picture=rgb(picture),
            fill=fill.name,
            start=start.name,
        )

    def _change(
        self, before: torch.Tensor, after: torch.Tensor, orders: torch.Tensor, points: int, unit: Unit, doing: str
    ) -> NDArray[np.float32]:
        """Change one picture (channels, height, width) into another in several orders: (orders, points, outputs)."""
        import torch

        from iconoscope.subject.response import respond

        device = self.network.device
        before, after, orders = before.to(device), after.to(device), orders.to(device)
        height, width = self.network.preprocessing.size
        batch = self.batch or max(8, min(256, PIXELS // (height * width)))
        count = len(orders) * points
        answers: list[NDArray[np.float32]] = []
        for first in track(range(0, count, batch), doing):
            index = torch.arange(first, min(first + batch, count), device=device)
            changed = orders[index // points] <= (index % points)[:, None, None]
            pictures = torch.where(changed[:, None], after, before)
            answers.append(respond(self.network, pictures, unit).values.cpu().numpy())
        return np.concatenate(answers).reshape(len(orders), points, -1)


def _moved(point: NDArray[np.int64], seed: int, pixels: str) -> list[NDArray[np.int64]]:
    """Move an order (height, width) around the border, to positions drawn for this image (a digest of its pixels)."""
    generator = np.random.default_rng([seed, int(pixels[:16], 16)])
    shifts = generator.choice(np.arange(1, point.size), min(DRAWS, point.size - 1), replace=False)
    return [np.roll(point, divmod(int(shift), point.shape[1]), (0, 1)) for shift in shifts]
