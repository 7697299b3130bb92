"""Region occlusion: cover one region after another and ask again."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from iconoscope import __version__
from iconoscope.errors import IconoscopeWarning, QuestionError, nearest
from iconoscope.occlusion.cover import Cover
from iconoscope.occlusion.fills import Fill, read_fill
from iconoscope.occlusion.geometry import Grid, make_grid
from iconoscope.progress import track
from iconoscope.results import Occlusion, Question, Store
from iconoscope.subject.images import Image, Images, load_images
from iconoscope.subject.labels import match_labels
from iconoscope.subject.network import Network
from iconoscope.subject.unit import Unit

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image as PillowImage

    from iconoscope.occlusion.dense import Scan

__all__ = ["METHODS", "occlude"]


def _exact(images: int) -> Callable[..., Scan]:
    from iconoscope.occlusion.incremental import Plans, scan_exact

    return lambda *question, batch, **settings: scan_exact(*question, plans=Plans(images), **settings)


def _dense(images: int) -> Callable[..., Scan]:
    from iconoscope.occlusion.dense import scan_dense

    return scan_dense


METHODS: dict[str, Callable[[int], Callable[..., Scan]]] = {"exact": _exact, "dense": _dense}
"""From the number of images to the engine that answers for each of them."""


class Settings(TypedDict, total=False):
    """The settings of `occlude`, for its two forms below: one image in, one result out; a set in, a list out."""

    patch: int | tuple[int, int] | None
    stride: int | tuple[int, int] | None
    fill: str | Path | NDArray[Any]
    method: str
    batch: int | None
    seed: int
    store: Store | str | Path | None


@overload
def occlude(
    network: Network, images: Image | PillowImage, unit: str | Unit | None = None, **settings: Unpack[Settings]
) -> Occlusion: ...
@overload
def occlude(
    network: Network,
    images: Images | Sequence[Any] | Path,
    unit: str | Unit | None = None,
    **settings: Unpack[Settings],
) -> list[Occlusion]: ...
@overload
def occlude(network: Network, images: Any, unit: str | Unit | None = None, **settings: Unpack[Settings]) -> Any: ...
def occlude(
    network: Network,
    images: Any,
    unit: str | Unit | None = None,
    *,
    patch: int | tuple[int, int] | None = None,
    stride: int | tuple[int, int] | None = None,
    fill: str | Path | NDArray[Any] = "zero",
    method: str = "dense",
    batch: int | None = None,
    seed: int = 0,
    store: Store | str | Path | None = None,
) -> Occlusion | list[Occlusion]:
    """Slide a patch over an image and plot the probability of the right class against its position.

    Where the probability falls is what the network looked at (Zeiler and Fergus 2014, "Visualizing and Understanding
    Convolutional Networks", section 4.2). The answers of all classes are kept, and nothing is normalised.

    Parameters
    ----------
    network
        The network.
    images
        One image, or a set of them.
    unit
        The unit that is asked: prob:truck, logit:truck, layer2.0.conv1:17 and so on. If not given, the probability of the
        image's label or, if it has none, of the class that the network predicts.
    patch
        Side of the patch, or height and width as 8x12 (in Python (8, 12)), in pixels of the network's input. If not given,
        a sixth of its short side.
    stride
        Step from one position to the next, in pixels, likewise. If not given, a quarter of the patch.
    fill
        What covers the region. zero: zeros in the network's normalised input, a grey that is the mean colour of its
        training images. black: black paint. mean: the mean colour of this image. blur: this image out of focus. noise:
        random colours. Or an image file (in Python also an array).
    method
        dense: the whole network at every position. exact: compute anew only what the patch changes, and put it into the maps
        of the untouched image; the same answers up to rounding, faster on many convolutional networks, and on trial.
    batch
        How many positions go through the network at once, at most; chosen by the size of its maps if not given.
    seed
        Seed of the random fill.
    store
        Folder where the answer is looked for first, and kept.

    Returns
    -------
    Occlusion or list of Occlusion
        One for one image (an `Image`, a PIL image, an array of at most three axes), a list for a set, also of one. Images
        that cannot be read are left out with a warning.

    Raises
    ------
    QuestionError
        If the patch does not fit, or a setting is no choice.
    UnitError
        If the network has no such unit.
    ImageFileError
        If the one image cannot be read.
    NonFiniteError
        If the network answers NaN or infinity.

    Examples
    --------
    >>> import iconoscope as ico
    >>> net = ico.load_network("cars-honest", device="cpu")
    >>> found = ico.occlude(net, ico.demo_images(2, seed=1)[0], patch=24, stride=24)
    >>> found.map.shape
    (4, 4)
    """
    if method not in METHODS:
        raise QuestionError(f"method={method!r} is not a choice.", hint=nearest(method, METHODS))
    pictures = load_images(images)
    scan = _Scan(
        network=network,
        weights=network.digest(),
        grid=make_grid(network.preprocessing.size, patch=patch, stride=stride),
        fill=read_fill(fill, network.preprocessing),
        unit=None if unit is None else network.resolve(unit),
        method=method,
        answer=METHODS[method](len(pictures)),
        batch=batch,
        seed=seed,
        store=None if store is None else Store.at(store),
    )
    if (batch is not None and batch < 1) or seed < 0:
        raise QuestionError(f"batch={batch} must be at least 1, and seed={seed} at least 0.")
    labels = dict(zip(pictures.ids, match_labels(network, pictures.labels).tolist(), strict=True))
    one_by_one = track(pictures.readable(), f"occluding, {network.name}", total=len(pictures))
    found = [scan.ask(image, labels[image.id]) for image in one_by_one]
    unlabelled = sum(result.target_origin == "prediction" for result in found)
    if 0 < unlabelled < len(found):
        warnings.warn(
            f"{unlabelled} of {len(found)} images have no label that the network knows: they were asked about the class "
            "that it predicts.",
            IconoscopeWarning,
            stacklevel=2,
        )
    return found[0] if _is_one(images) else found


def _is_one(images: Any) -> bool:
    """Tell one image from a set of one, by what was given: an `Image`, a PIL image, or pixels without an axis for images."""
    return isinstance(images, Image) or hasattr(images, "getexif") or getattr(images, "ndim", 4) <= 3


@dataclass(frozen=True, kw_only=True)
class _Scan:
    """All that is asked of every image alike."""

    network: Network
    weights: str  # their digest
    grid: Grid
    fill: Fill
    unit: Unit | None
    method: str
    answer: Callable[..., Scan]
    batch: int | None
    seed: int
    store: Store | None

    def ask(self, image: Image, label: int) -> Occlusion:
        import torch

        with self.network.questioned(), torch.inference_mode():
            picture = self.network.preprocessing.fit(image.pixels)
            tensor = self.network.preprocessing.normalise(picture[None])[0]
            unit, origin = self._unit(tensor, label)
            question = self._question(image, unit)
            if self.store is None:
                return self._answer(question, picture, tensor, unit, origin)
            known = self.store.answer(
                question, Occlusion, lambda: self._answer(question, picture, tensor, unit, origin)
            )
            # The same unit may have been asked for another reason before.
            return replace(known, target_origin=origin)

    def _unit(self, tensor: torch.Tensor, label: int) -> tuple[Unit, str]:
        if self.unit is not None:
            return self.unit, "asked"
        if label >= 0:
            return self.network.class_unit("prob", label), "label"
        predicted = int(self.network.logits(tensor[None].to(self.network.device))[0].argmax())
        return self.network.class_unit("prob", predicted), "prediction"

    def _question(self, image: Image, unit: Unit) -> Question:
        network = self.network
        return Question(
            technique="occlude",
            network=network.name,
            weights=self.weights,
            subject=image.id,
            pixels=image.digest,
            unit=str(unit),
            settings={
                "preprocessing": network.preprocessing.to_json(),
                "classes": network.classes_digest,
                "patch": self.grid.patch,
                "top": self.grid.top.tolist(),
                "left": self.grid.left.tolist(),
                "fill": self.fill.name,
                "seed": self.seed if self.fill.random else None,
                "method": self.method,
            },
            version=__version__,
        )

    def _answer(
        self, question: Question, picture: NDArray[np.uint8], tensor: torch.Tensor, unit: Unit, origin: str
    ) -> Occlusion:
        import torch

        from iconoscope.occlusion.dense import clean_response

        clean, names, target, measure = clean_response(self.network, tensor, unit)
        fill = self.fill.field(picture, self.network.preprocessing, self.grid.patch, self.seed)
        scan = self.answer(self.network, tensor, Cover(torch.from_numpy(fill)), self.grid, unit, batch=self.batch)
        return Occlusion(
            question=question,
            top=self.grid.top,
            left=self.grid.left,
            patch=self.grid.patch,
            clean=clean,
            occluded=scan.occluded,
            target=target,
            target_origin=origin,
            names=names,
            measure=measure,
            picture=picture,
            method=self.method,
            plan=scan.plan,
        )
