"""Deletion and insertion: how good is a map? Change the pixels in its order and watch the answer."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import IconoscopeWarning, QuestionError, shortened
from iconoscope.occlusion.attribute import PREFIX, attribute_each
from iconoscope.occlusion.attribution_maps import Map, rank_pixels, read_maps
from iconoscope.occlusion.fills import Fill, read_fill
from iconoscope.occlusion.geometry import make_grid
from iconoscope.occlusion.occlude import occlude_each
from iconoscope.occlusion.query import answered, is_one, question_of, say_unlabelled, unit_of
from iconoscope.progress import track
from iconoscope.results import Attribution, Curves, Occlusion, Question
from iconoscope.results.rendering import rgb
from iconoscope.store import Store
from iconoscope.subject.images import Image, Images, load_images
from iconoscope.subject.network import Network
from iconoscope.vocabulary.labels import match_labels
from iconoscope.vocabulary.unit import Unit

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image as PillowImage

__all__ = ["DRAWS", "curves"]

PIXELS = 1_500_000
"""Of all pictures that go through the network at once."""

DRAWS = 5
"""To how many other places the map is moved, for the null."""


class Settings(TypedDict, total=False):
    """The settings of `curves`, for its two forms below: one image in, one result out; a set in, a list out."""

    patch: int | tuple[int, int] | None
    stride: int | tuple[int, int] | None
    fill: str | Path | NDArray[Any]
    start: str | Path | NDArray[Any]
    steps: int
    batch: int | None
    seed: int
    store: Store | str | Path | None


Maps = Occlusion | Attribution | Sequence[Any] | NDArray[Any] | str | Path | None


@overload
def curves(
    network: Network,
    images: Image | PillowImage,
    maps: Maps = None,
    unit: str | Unit | None = None,
    **settings: Unpack[Settings],
) -> Curves: ...
@overload
def curves(
    network: Network,
    images: Images | Sequence[Any] | Path,
    maps: Maps = None,
    unit: str | Unit | None = None,
    **settings: Unpack[Settings],
) -> list[Curves]: ...
@overload
def curves(
    network: Network, images: Any, maps: Any = None, unit: str | Unit | None = None, **settings: Unpack[Settings]
) -> Any: ...
def curves(
    network: Network,
    images: Any,
    maps: Any = None,
    unit: str | Unit | None = None,
    *,
    patch: int | tuple[int, int] | None = None,
    stride: int | tuple[int, int] | None = None,
    fill: str | Path | NDArray[Any] = "mean",
    start: str | Path | NDArray[Any] = "blur",
    steps: int = 32,
    batch: int | None = None,
    seed: int = 0,
    store: Store | str | Path | None = None,
) -> Curves | list[Curves]:
    """Delete, and insert, the pixels that a map ranks first, and plot the probability against their share.

    Deletion covers the photograph pixel by pixel, the most important first: the better the map, the sooner the probability
    falls and the smaller is the area under the curve. Insertion puts the photograph's pixels into a blurred one in the same
    order: the better the map, the larger the area (Petsiuk, Das and Saenko 2018, "RISE"). The null is the same
    map moved to other places, around the border of the image: an order as coarse or as fine, which knows nothing of the image.

    Parameters
    ----------
    network
        The network.
    images
        One image, or a set of them.
    maps
        What ranks the pixels: a .npy or .npz file with an array (height, width) for one image, (images, height, width) for
        a set, in pixels of the network's input, the highest the most important; or a method of `attribute`, as
        captum:Saliency, whose maps are then made. In Python also that array, or an `Occlusion` or an `Attribution`, or a list
        of them. If not given, the occlusion map is made.
    unit
        The unit that is asked: prob:truck, logit:truck, layer2.0.conv1:17 and so on. If not given, that of the occlusion map;
        else the probability of the image's label or, if it has none, of the class that the network predicts.
    patch
        Side of the patch of the occlusion map, or height and width as 8x12 (in Python (8, 12)), in pixels of the network's
        input; half of it is the standard deviation of a blur. If not given, a sixth of the input's short side.
    stride
        Step of the occlusion map from one position to the next, likewise. If not given, a quarter of the patch.
    fill
        What deletion puts in place of a pixel: mean, zero, black, blur, noise, or an image, as in occlude. The occlusion map
        is made with the same.
    start
        The picture that insertion starts from, likewise.
    steps
        How many steps of equal size there are. Pixels of equal value are changed at once; where there are many there are
        fewer steps.
    batch
        How many pictures go through the network at once, at most; chosen by their size if not given.
    seed
        Seed of the places that the map is moved to, and of the random fill.
    store
        Folder where the answer is looked for first, and kept.

    Returns
    -------
    Curves or list of Curves
        One for one image, a list for a set, also of one. Images that cannot be read, or whose map is constant or missing, are
        left out with a warning.

    Raises
    ------
    QuestionError
        If the maps do not fit the images or the input, are not finite, or rank no pixel; or a setting is no choice.
    UnitError
        If the network has no such unit.
    NonFiniteError
        If the network answers NaN or infinity.

    Examples
    --------
    >>> import iconoscope as ico
    >>> net = ico.load_network("cars-honest", device="cpu")
    >>> image = ico.demo_images(2, seed=1)[0]
    >>> found = ico.curves(net, image, patch=24, stride=12, steps=8)
    >>> found.share.shape, found.deletion.shape, found.null_deletion.shape
    ((9,), (9, 2), (5, 9))
    >>> bool(found.deletion_area < found.null_deletion_areas.mean())
    True
    """
    if steps < 1 or (batch is not None and batch < 1) or seed < 0:
        raise QuestionError(f"steps={steps} and batch={batch} must be at least 1, and seed={seed} at least 0.")
    if maps is not None and stride is not None:
        raise QuestionError(
            f"stride={stride!r} is a setting of the occlusion map, and maps were given.",
            hint="Leave one of the two out.",
        )
    pictures = load_images(images)
    size = network.preprocessing.size
    asked = _Asked(
        network=network,
        weights=network.digest(),
        fill=read_fill(fill, network.preprocessing).for_regions(),
        start=read_fill(start, network.preprocessing).for_regions(),
        patch=make_grid(size, patch=patch).patch,
        unit=None if unit is None else network.resolve(unit),
        steps=steps,
        batch=batch,
        seed=seed,
        store=None if store is None else Store.at(store),
    )
    made: list[Occlusion] | list[Attribution] | None = None
    if maps is None:
        each = occlude_each(network, pictures, unit, patch=patch, stride=stride, fill=fill, seed=seed, store=store)
        made = list(each)
    elif isinstance(maps, str) and maps.startswith(PREFIX):
        made = list(attribute_each(network, pictures, unit, method=maps, seed=seed, store=store))
    if made is not None:
        maps, mapped = made, {one.question.subject for one in made}
        pictures = pictures[[place for place, name in enumerate(pictures.ids) if name in mapped]]
    found = asked.all(pictures, read_maps(maps, pictures, size))
    return found[0] if is_one(images) else found


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """All that is asked of every image alike."""

    network: Network
    weights: str  # their digest
    fill: Fill
    start: Fill
    patch: tuple[int, int]
    unit: Unit | None
    steps: int
    batch: int | None
    seed: int
    store: Store | None

    def all(self, pictures: Images, map_of: Callable[[Image], Map]) -> list[Curves]:
        """Ask about every image; one that has no map to score does not take the others with it."""
        labels: dict[str, int] = {}
        found: list[Curves] = []
        failed: dict[str, str] = {}
        for image in track(pictures.readable(), f"deleting and inserting, {self.network.name}", total=len(pictures)):
            try:
                attribution = map_of(image)
            except QuestionError as error:
                if len(pictures) == 1:
                    raise
                failed[image.id] = error.message
                continue
            if self.unit is None and not attribution.unit and not labels:
                labels = dict(
                    zip(pictures.ids, match_labels(self.network.names, pictures.labels).tolist(), strict=True)
                )
            found.append(self._ask(image, attribution, labels.get(image.id, -1)))
        if failed:
            message = f"{len(failed)} of {len(pictures)} images have no map to score: {shortened(failed.values())}"
            if not found:
                raise QuestionError(message)
            warnings.warn(f"{message} They were left out.", IconoscopeWarning, stacklevel=3)
        if labels:
            say_unlabelled([result.target_origin for result in found])
        return found

    def _ask(self, image: Image, attribution: Map, label: int) -> Curves:
        import torch

        with self.network.questioned(), torch.inference_mode():
            picture = self.network.preprocessing.shown(image)
            tensor = self.network.preprocessing.normalise(picture[None])[0]
            unit, origin = self._unit(tensor, attribution, label)
            question = self._question(image, attribution, unit)

            def answer() -> Curves:
                return self._answer(question, picture, tensor, attribution, unit, origin)

            now = {"target_origin": origin, "ranked_by": attribution.name}
            return answered(question, Curves, answer, self.store, **now)

    def _unit(self, tensor: torch.Tensor, attribution: Map, label: int) -> tuple[Unit, str]:
        if self.unit is not None:
            return self.unit, "asked"
        if attribution.unit:
            return self.network.resolve(attribution.unit), attribution.origin
        return unit_of(self.network, tensor, label)

    def _question(self, image: Image, attribution: Map, unit: Unit) -> Question:
        settings = {
            "map": attribution.key,
            "fill": self.fill.name,
            "start": self.start.name,
            "patch": self.patch if "blur" in (self.fill.name, self.start.name) else None,
            "steps": self.steps,
            "draws": DRAWS,
            "seed": self.seed,
        }
        return question_of("curves", self.network, self.weights, image, unit, settings)

    def _answer(
        self,
        question: Question,
        picture: NDArray[np.uint8],
        tensor: torch.Tensor,
        attribution: Map,
        unit: Unit,
        origin: str,
    ) -> Curves:
        import torch

        from iconoscope.occlusion.dense import clean_response

        share, point = rank_pixels(attribution.values, self.steps)
        orders = torch.from_numpy(np.stack([point, *_moved(point, self.seed, question.pixels)]))
        fill, start = (
            torch.from_numpy(each.field(picture, self.network.preprocessing, self.patch, self.seed))
            for each in (self.fill, self.start)
        )
        _, names, target, measure = clean_response(self.network, tensor, unit)
        deletion = self._change(tensor, fill, orders, len(share), unit, "deleting")
        insertion = self._change(start, tensor, orders, len(share), unit, "inserting")
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
            fill=self.fill.name,
            start=self.start.name,
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
            place = torch.arange(first, min(first + batch, count), device=device)
            changed = orders[place // points] <= (place % points)[:, None, None]
            pictures = torch.where(changed[:, None], after, before)
            answers.append(respond(self.network, pictures, unit).values.cpu().numpy())
        return np.concatenate(answers).reshape(len(orders), points, -1)


def _moved(point: NDArray[np.int64], seed: int, pixels: str) -> list[NDArray[np.int64]]:
    """Move an order (height, width) around the border, to places drawn for this image (a digest of its pixels)."""
    generator = np.random.default_rng([seed, int(pixels[:16], 16)])
    shifts = generator.choice(np.arange(1, point.size), min(DRAWS, point.size - 1), replace=False)
    return [np.roll(point, divmod(int(shift), point.shape[1]), (0, 1)) for shift in shifts]
