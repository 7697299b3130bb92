"""Region occlusion: cover one region after another and ask again."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, overload

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import IconoscopeWarning, QuestionError, nearest, shortened
from iconoscope.occlusion.fills import Fill, FillLike, read_fill
from iconoscope.occlusion.geometry import Grid, make_grid
from iconoscope.occlusion.object_masks import NO_OBJECT, fitted_object
from iconoscope.occlusion.query import answered, is_one, question_of, save_figures, say_unlabelled, unit_of
from iconoscope.progress import track
from iconoscope.results import Occlusion, Question
from iconoscope.results.rendering import rgb
from iconoscope.results.result import check_figure_name
from iconoscope.store import Store
from iconoscope.subject.images import Image, Images, load_images
from iconoscope.subject.memory import read_memory
from iconoscope.subject.network import Network
from iconoscope.vocabulary.labels import match_labels
from iconoscope.vocabulary.unit import Unit

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image as PillowImage

    from iconoscope.occlusion.dense import Scan

__all__ = ["METHOD", "METHODS", "Common", "Settings", "ask_each", "occlude", "occlude_each", "refine"]


def _exact(images: int, weights: str) -> Callable[..., Scan]:
    from iconoscope.occlusion.incremental import PlanCache, scan_exact

    return partial(scan_exact, plans=PlanCache(images, weights))


def _fast(images: int, weights: str) -> Callable[..., Scan]:
    from iconoscope.occlusion.incremental import FastPlanCache, PlanCache, scan_fast

    return partial(scan_fast, shortcuts=FastPlanCache(PlanCache(images, weights)))


def _dense(images: int, weights: str) -> Callable[..., Scan]:
    from iconoscope.occlusion.dense import scan_dense

    return scan_dense


METHODS: dict[str, Callable[[int, str], Callable[..., Scan]]] = {"exact": _exact, "fast": _fast, "dense": _dense}
"""From the number of images and the digest of the network to the engine that answers for each of them: called as
``scan(network, image, cover, grid, unit, memory=bytes or None)``, with one image after another, in several grids or covers
before the next."""

METHOD = "exact"
"""The one that is taken if nothing is said."""


class Common(TypedDict, total=False):
    """The settings of all that slides a patch over an image."""

    stride: int | tuple[int, int] | None
    method: str
    memory: str | int | None
    seed: int
    store: Store | str | Path | None


class Settings(Common, total=False):
    """The settings of `occlude`, but where its figures are written."""

    patch: int | tuple[int, int] | None
    fill: FillLike


class Written(Settings, total=False):
    """The same, and where the figures are written."""

    out: str | Path | None


@overload
def occlude(
    network: Network, images: Image | PillowImage, unit: str | Unit | None = None, **settings: Unpack[Written]
) -> Occlusion: ...
@overload
def occlude(
    network: Network,
    images: Images | Sequence[Any] | Path,
    unit: str | Unit | None = None,
    **settings: Unpack[Written],
) -> list[Occlusion]: ...
@overload
def occlude(network: Network, images: Any, unit: str | Unit | None = None, **settings: Unpack[Written]) -> Any: ...
def occlude(
    network: Network,
    images: Any,
    unit: str | Unit | None = None,
    *,
    patch: int | tuple[int, int] | None = None,
    stride: int | tuple[int, int] | None = None,
    fill: FillLike = "zero",
    method: str = METHOD,
    memory: str | int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
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
        training images. black: black paint. mean: the mean colour of this image. patch-mean: the mean colour of what the patch
        covers. blur: this image out of focus. noise: random colours. Or an image file (in Python also an array, or a function
        from the picture, (height, width, 3) uint8, to another).
    method
        exact: compute anew only what the patch changes, and put it into the maps of the untouched image; the answers of the
        plain way up to rounding, which is taken where there is nothing to gain. fast: approximate and faster still, with its
        own error measured. dense: the plain way, the whole network at every position. result.plan says what ran how.
    memory
        Bound on the memory that the network's inputs and maps take, its weights and the answers not counted: 500MB, 2GB,
        1.5GiB, or bytes. If not given, what was measured to be fast, under 2GB.
    seed
        Seed of the random fill.
    out
        Where to write the figure: a name ending in .png, .pdf, .svg, .jpg or .webp. Where there are several images, their
        places in the set are put before the ending: occlude-1.png, occlude-2.png.
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
    check_figure_name(out)
    each = occlude_each(
        network,
        images,
        unit,
        patch=patch,
        stride=stride,
        fill=fill,
        method=method,
        memory=memory,
        seed=seed,
        store=store,
    )
    found = list(each)
    save_figures(found, out)
    return found[0] if is_one(images) else found


def occlude_each(
    network: Network, images: Any, unit: str | Unit | None = None, **settings: Unpack[Settings]
) -> Iterator[Occlusion]:
    """Give one result of `occlude` after another, and keep none: for sets that would not fit into memory.

    Parameters
    ----------
    network
        The network; it must stay as it is until the last result.
    images
        A set of images, or one.
    unit
        As in `occlude`.
    **settings
        The settings of `occlude`: patch, stride, fill, method, memory, seed, store.

    Returns
    -------
    iterator of Occlusion
        In the order of the images; those that cannot be read are left out, and a warning at the end names them.

    Raises
    ------
    QuestionError, UnitError
        At once, as `occlude` raises them; what an image raises comes when its turn comes.

    Examples
    --------
    >>> import iconoscope as ico
    >>> net = ico.load_network("cars-honest", device="cpu")
    >>> for found in ico.occlude_each(net, ico.demo_images(2, seed=1), patch=48, stride=48, fill="mean"):
    ...     print(found.map.shape)
    (2, 2)
    (2, 2)
    """
    return (found for (found,) in ask_each(network, images, unit, [settings]))


def ask_each(
    network: Network, images: Any, unit: str | Unit | None, variants: Sequence[Settings]
) -> Iterator[tuple[Occlusion, ...]]:
    """Ask about one image after another, each in all variants of the settings, which have one engine between them.

    What makes no sense is raised at once. All variants have the method of the first.
    """
    return _each(*_prepared(network, images, unit, variants))


def refine(
    network: Network, image: Any, unit: str | Unit | None = None, **settings: Unpack[Settings]
) -> Iterator[Occlusion]:
    """Give results of `occlude` for one image that become finer: with a stride four times as large, twice, and as asked for.

    For a viewer that draws what there is while the rest is computed. The first is there in about a sixteenth of the time,
    and all three together take a third longer than the last alone, which is what `occlude` gives.

    Parameters
    ----------
    network, image, unit
        As in `occlude`; one image.
    **settings
        The settings of `occlude`; the store keeps the last result alone.

    Returns
    -------
    iterator of Occlusion
        Three, or fewer where the coarse grids are no coarser.

    Raises
    ------
    QuestionError, UnitError
        At once, as `occlude` raises them, and if there is more than one image.

    Examples
    --------
    >>> import iconoscope as ico
    >>> net = ico.load_network("cars-honest", device="cpu")
    >>> for found in ico.refine(net, ico.demo_images(2, seed=1)[0], patch=24, stride=12):
    ...     print(found.map.shape)
    (2, 2)
    (4, 4)
    (7, 7)
    """
    complete = _complete(settings)
    if len(load_images(image)) != 1:
        raise QuestionError("refine asks about one image.", hint="Ask about a set with occlude or occlude_each.")
    size = network.preprocessing.size
    fine = make_grid(size, patch=complete["patch"], stride=complete["stride"])
    down, across = (int(starts[1] - starts[0]) if len(starts) > 1 else 1 for starts in (fine.top, fine.left))
    variants: list[Settings] = [settings]
    fewest = len(fine)
    for times in (2, 4):
        stride = down * times, across * times
        count = len(make_grid(size, patch=fine.patch, stride=stride))
        if count < fewest:
            variants.insert(0, {**settings, "stride": stride, "store": None})
            fewest = count
    scans, pictures, labels = _prepared(network, image, unit, variants)
    return (scan.ask(image, labels[image.id], _mask(network, image)[0]) for image in pictures for scan in scans)


def _prepared(
    network: Network, images: Any, unit: str | Unit | None, variants: Sequence[Settings]
) -> tuple[list[_Scan], Images, dict[str, int]]:
    complete = [_complete(settings) for settings in variants]
    method = complete[0]["method"]
    if method not in METHODS:
        raise QuestionError(f"method={method!r} is not a choice.", hint=nearest(method, METHODS))
    pictures = load_images(images)
    weights, resolved = network.digest(), None if unit is None else network.resolve(unit)
    answer = METHODS[method](len(pictures), weights)
    scans = [_scan(network, weights, resolved, answer, settings) for settings in complete]
    labels = dict(zip(pictures.ids, match_labels(network.names, pictures.labels).tolist(), strict=True))
    return scans, pictures, labels


def _complete(settings: Settings) -> dict[str, Any]:
    """Add what `occlude` takes where nothing is said."""
    declared = inspect.signature(occlude).parameters.values()
    complete = {each.name: each.default for each in declared if each.kind is each.KEYWORD_ONLY and each.name != "out"}
    for name in settings:
        if name not in complete:
            raise QuestionError(f"occlude has no setting {name!r}.", hint=nearest(name, complete))
    return {**complete, **settings}


def _each(scans: Sequence[_Scan], pictures: Images, labels: dict[str, int]) -> Iterator[tuple[Occlusion, ...]]:
    network = scans[0].network
    origins: list[str] = []
    unusable: dict[str, str] = {}  # masks, and why
    for image in track(pictures.readable(), f"occluding, {network.name}", total=len(pictures)):
        mask, reason = _mask(network, image)
        if reason:
            unusable[image.id] = reason
        found = tuple(scan.ask(image, labels[image.id], mask) for scan in scans)
        origins.append(found[0].target_origin)
        yield found
    say_unlabelled(origins)
    if unusable:
        reasons = shortened(f"{name} ({reason})" for name, reason in unusable.items())
        message = f"The object of {len(unusable)} of {len(origins)} images is left out: {reasons}."
        warnings.warn(message, IconoscopeWarning, stacklevel=3)


def _mask(network: Network, image: Image) -> tuple[NDArray[np.bool_] | None, str]:
    """Give the object's mask (height, width) at the network's size; or None and, if there should be one, the reason."""
    mask, reason = fitted_object(network.preprocessing, image)
    return mask, "" if reason == NO_OBJECT else reason


def _scan(
    network: Network, weights: str, unit: Unit | None, answer: Callable[..., Scan], settings: dict[str, Any]
) -> _Scan:
    seed, store = settings["seed"], settings["store"]
    if seed < 0:
        raise QuestionError(f"seed={seed} must be at least 0.")
    return _Scan(
        network=network,
        weights=weights,
        grid=make_grid(network.preprocessing.size, patch=settings["patch"], stride=settings["stride"]),
        fill=read_fill(settings["fill"], network.preprocessing),
        unit=unit,
        method=settings["method"],
        answer=answer,
        memory=read_memory(settings["memory"]),
        seed=seed,
        store=None if store is None else Store.at(store),
    )


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
    memory: int | None
    seed: int
    store: Store | None

    def ask(self, image: Image, label: int, mask: NDArray[np.bool_] | None) -> Occlusion:
        import torch

        with self.network.questioned(), torch.inference_mode():
            picture = self.network.preprocessing.shown(image)
            tensor = self.network.preprocessing.normalise(picture[None])[0]
            unit, origin = self._unit(tensor, label)
            fill = self.fill.of(picture)
            question = self._question(image, unit, fill)

            def answer() -> Occlusion:
                return self._answer(question, picture, tensor, unit, origin, fill, mask)

            return answered(question, Occlusion, answer, self.store, target_origin=origin, object_mask=mask)

    def _unit(self, tensor: torch.Tensor, label: int) -> tuple[Unit, str]:
        if self.unit is not None:
            return self.unit, "asked"
        return unit_of(self.network, tensor, label)

    def _question(self, image: Image, unit: Unit, fill: Fill) -> Question:
        settings = {
            "patch": self.grid.patch,
            "top": self.grid.top.tolist(),
            "left": self.grid.left.tolist(),
            "fill": fill.name,
            "seed": self.seed if fill.random else None,
            "method": self.method,
        }
        return question_of("occlude", self.network, self.weights, image, unit, settings)

    def _answer(
        self,
        question: Question,
        picture: NDArray[np.uint8],
        tensor: torch.Tensor,
        unit: Unit,
        origin: str,
        fill: Fill,
        mask: NDArray[np.bool_] | None,
    ) -> Occlusion:
        from iconoscope.occlusion.dense import clean_response

        clean, names, target, measure = clean_response(self.network, tensor, unit)
        cover = fill.cover(picture, self.network.preprocessing, self.grid, self.seed)
        scan = self.answer(self.network, tensor, cover, self.grid, unit, memory=self.memory)
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
            picture=rgb(picture),
            method=self.method,
            plan=scan.plan,
            object_mask=mask,
        )
