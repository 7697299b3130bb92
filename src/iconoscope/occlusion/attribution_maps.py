"""Attribution maps, wherever they come from, and the order in which a map ranks the pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import QuestionError, shortened
from iconoscope.results import Attribution, Occlusion
from iconoscope.subject.images import Image, Images
from iconoscope.subject.images.arrays import unpacked

__all__ = ["AttributionMap", "Ranking", "rank_pixels", "read_maps"]


@dataclass(frozen=True)
class AttributionMap:
    """One attribution map.

    Attributes
    ----------
    values : ndarray of float32, (height, width)
        A number for every pixel of the network's input; the highest is the most important. Not constant.
    name : str
        Where it comes from, for people.
    key : str
        The same for the key of a question.
    full : float
        The value that is drawn in the strongest red.
    unit, origin : str
        What the map itself was asked about, and why; empty where it does not say.
    """

    values: NDArray[np.float32]
    name: str
    key: str
    full: float
    unit: str = ""
    origin: str = ""


class Ranking(NamedTuple):
    """The order of the pixels.

    Attributes
    ----------
    share : ndarray of float64, (points,)
        Share of the pixels that have been changed at each point, from 0 to 1.
    point : ndarray of int64, (height, width)
        The first point at which a pixel is changed.
    """

    share: NDArray[np.float64]
    point: NDArray[np.int64]


def rank_pixels(values: NDArray[Any], steps: int) -> Ranking:
    """Say when each pixel is changed if the highest come first, in about `steps` equal steps.

    Equal values are one plateau, and a plateau is changed at once: a point lies at the end of a plateau, the one nearest to
    its equal share. So the order never depends on where a pixel is, and where plateaus are large there are fewer points.

    Parameters
    ----------
    values
        (height, width).
    steps
        How many steps there are where all values differ.

    Examples
    --------
    >>> order = rank_pixels(np.array([[9.0, 1.0], [5.0, 1.0]]), 4)
    >>> order.share.tolist(), order.point.tolist()
    ([0.0, 0.25, 0.5, 1.0], [[1, 3], [2, 3]])
    """
    _, level, sizes = np.unique(-values, return_inverse=True, return_counts=True)
    ends = np.concatenate([[0], np.cumsum(sizes)])
    equal = np.linspace(0, values.size, steps + 1)
    after = np.searchsorted(ends, equal)
    before = np.maximum(after - 1, 0)
    points = np.unique(np.where(equal - ends[before] < ends[after] - equal, before, after))
    return Ranking(ends[points] / values.size, np.searchsorted(points, level.reshape(values.shape) + 1))


def read_maps(maps: Any, images: Images, size: tuple[int, int]) -> Callable[[Image], AttributionMap]:
    """Give what finds the map of an image.

    Parameters
    ----------
    maps
        An `Occlusion`, an `Attribution` or a list of them, in any order; an array or a tensor, (height, width) for one image
        or (images, height, width), or a list of such; or a .npy or .npz file with such an array.
    images
        What the maps are of.
    size
        Height and width of the network's input, pixels.

    Raises
    ------
    QuestionError
        If they are none of these, do not fit the images or the input, or are not finite. The function that is given raises
        it for an image that has no map or a constant one.
    """
    results = [maps] if isinstance(maps, Occlusion | Attribution) else maps
    if isinstance(results, Sequence) and results and all(isinstance(one, Occlusion | Attribution) for one in results):
        by_pixels = {one.question.pixels: one for one in results}
        by_pixels |= {f"{one.question.pixels} {one.question.subject}": one for one in results}
        return partial(_result_of, by_pixels, size)
    name = "a map that was given"
    if isinstance(maps, str | Path):
        name, maps = f"a map from {Path(maps).name}", _loaded(Path(maps).expanduser())
    values = _stacked(maps, len(images), size)
    rows = {identity: row for row, identity in enumerate(images.ids)}

    def find(image: Image) -> AttributionMap:
        array = _refuse_constant(values[rows[image.id]], image)
        return AttributionMap(array, name, f"array {hashlib.sha256(array.tobytes()).hexdigest()}", float(array.max()))

    return find


_HINT = "A map is an Occlusion, an Attribution, or an array (height, width), or (images, height, width) for a set of images."


def _result_of(by_pixels: Mapping[str, Occlusion | Attribution], size: tuple[int, int], image: Image) -> AttributionMap:
    result = by_pixels.get(f"{image.digest} {image.id}", by_pixels.get(image.digest))
    if result is None:
        subjects = shortened(sorted({other.question.subject for other in by_pixels.values()}))
        raise QuestionError(
            f"There is no map of {image.id}; there are maps of {subjects}.",
            hint="To score the map of another image, give its numbers: effect_by_pixel() or, of an Attribution, map.",
        )
    _check_size(result.picture.shape[:2], size)
    question = result.question
    if isinstance(result, Attribution):
        values, name = result.map, result.told
    else:
        values, name = result.effect_by_pixel().astype(np.float32), _named(result)
    key = f"{question.technique} {question.key}"
    return AttributionMap(
        _refuse_constant(values, image), name, key, result.full_red, question.unit, result.target_origin
    )


def _named(occlusion: Occlusion) -> str:
    name = f"occlusion with a patch of {occlusion.patch[0]}x{occlusion.patch[1]}"
    fill = occlusion.question.settings.get("fill")
    if fill == "drop":
        return f"{name} kept, other tokens dropped" if occlusion.kept else f"{name}, its tokens dropped"
    if occlusion.kept:
        name += " kept, all else"
    return f"{name}{'' if occlusion.kept else ','} filled with {fill}" if fill else name


def _refuse_constant(values: NDArray[np.float32], image: Image) -> NDArray[np.float32]:
    """Give the map back if it ranks any pixel before another."""
    if values.min() == values.max():
        raise QuestionError(
            f"The map of {image.id} is {values.flat[0]:g} everywhere: it ranks no pixel before another.",
            hint="Leave that image out. An occlusion map is constant where no patch changes the answer.",
        )
    return values


def _loaded(path: Path) -> NDArray[Any]:
    if path.suffix not in (".npy", ".npz") or not path.is_file():
        reason = "does not exist" if not path.exists() else "is no .npy or .npz file"
        raise QuestionError(f"maps={str(path)!r} {reason}.", hint="Write the maps with numpy.save or numpy.savez.")
    try:
        with path.open("rb") as file:
            stored = np.load(file, allow_pickle=False)
            if isinstance(stored, np.ndarray):
                return stored
            if "maps" not in stored.files and len(stored.files) != 1:
                raise QuestionError(
                    f"{path} has the arrays {shortened(stored.files)}; which of them are the maps?",
                    hint="Call that one maps: numpy.savez(file, maps=...).",
                )
            return unpacked(stored, "maps" if "maps" in stored.files else stored.files[0])
    except QuestionError:
        raise
    # A damaged archive or header fails in zipfile, zlib, struct and NumPy, each with errors of its own.
    except Exception as error:
        raise QuestionError(f"{path} cannot be read as maps: {error}.", hint=_HINT) from error


def _stacked(maps: Any, images: int, size: tuple[int, int]) -> NDArray[np.float32]:
    """Give the maps as one array (images, height, width)."""
    try:
        listed = maps if isinstance(maps, list | tuple) else [maps]
        arrays = [np.asarray(one.detach().cpu() if hasattr(one, "detach") else one) for one in listed]
        values = np.stack(arrays) if isinstance(maps, list | tuple) else arrays[0]
    except (ValueError, TypeError, IndexError) as error:
        raise QuestionError(f"maps={type(maps).__name__} cannot be read as maps: {error}", hint=_HINT) from error
    if values.dtype.kind not in "fiub" or not 2 <= values.ndim <= 4:
        raise QuestionError(f"Maps of shape {values.shape} and type {values.dtype} rank no pixels.", hint=_HINT)
    if values.ndim == 4 or (values.ndim == 3 and images == 1 and len(values) > 1):
        raise QuestionError(
            f"Maps of shape {values.shape} have channels; a map has one number for a pixel.",
            hint=f"Say how they count together, for example their sum: maps.sum({values.ndim - 3}).",
        )
    values = values[None] if values.ndim == 2 else values
    if len(values) != images:
        raise QuestionError(f"{len(values)} maps were given for {images} images.", hint=_HINT)
    _check_size(values.shape[1:], size)
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    if not np.isfinite(values).all():
        wrong = np.flatnonzero(~np.isfinite(values).all((1, 2)))
        raise QuestionError(
            f"The maps of {len(wrong)} of {images} images hold NaN or infinity, the first of them map {wrong[0]}.",
            hint="Every pixel needs a number; numpy.nan_to_num gives it one, if that is what you mean.",
        )
    return values


def _check_size(shape: tuple[int, ...], size: tuple[int, int]) -> None:
    if tuple(shape) != size:
        raise QuestionError(
            f"A map of {shape[0]}x{shape[1]} does not fit the network's input of {size[0]}x{size[1]}.",
            hint="A map has one number for every pixel of the network's input, after resizing: enlarge it to that.",
        )
