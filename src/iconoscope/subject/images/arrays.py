"""Images that are in memory or in ``.npy`` and ``.npz``: arrays, tensors, PIL images. Nothing is unpickled."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import IconoscopeError, ImagesError, first_line, shortened
from iconoscope.reading import check_regular
from iconoscope.subject.images.encoded_images import EncodedImages
from iconoscope.subject.images.pillow_modes import as_mask
from iconoscope.subject.images.source import Label, Pixels, Source, numbered, three_channels
from iconoscope.subject.memory import check_fits

__all__ = [
    "Arrays",
    "RangeError",
    "as_array",
    "load_npy",
    "one_array",
    "open_array",
    "open_arrays",
    "open_npz",
    "open_pictures",
    "plain_label",
    "unpacked",
]

SHAPES = (
    "Shapes understood: (n, h, w, 3), (n, h, w, 1), (n, 3, h, w), (n, h, w), and (h, w, 3) for one image; "
    "and with four channels (n, h, w, 4), (n, 4, h, w), (h, w, 4)."
)
CHANNELS = (1, 3, 4)
SAFE = "Write it with numpy.savez(path, images=..., labels=...), arrays of numbers or of strings."
# How far a float may leave 0..1 by rounding alone (a resize in float32 does).
ROUNDING = 1e-5
# Under which names the arrays of an .npz are looked for, in this order.
IMAGE_KEYS = ("images", "x", "x_test", "arr_0")
LABEL_KEYS = ("labels", "label", "y", "y_test", "targets", "arr_1")


class RangeError(ImagesError):
    """Values that are no pixels: normalised, or of an unknown scale."""


@dataclass(frozen=True, eq=False)
class Arrays(Source):
    """Arrays, each of them (height, width), (height, width, 1, 3 or 4); floats 0..1 or integers 0..255.

    Attributes
    ----------
    arrays : sequence of ndarray
        One for each image; one array of all of them will do. Not copied.
    masks : sequence of ndarray or None
        One for each image, as `as_mask` reads them.
    """

    arrays: Sequence[NDArray] | NDArray = field(repr=False)
    masks: NDArray | None = field(default=None, repr=False, kw_only=True)

    def stamp(self, row: int) -> bytes:
        """Give the digest of all values."""
        return hashlib.sha256(np.ascontiguousarray(self.arrays[row]).tobytes()).digest()

    def read(self, row: int) -> Pixels:
        """Scale to 0..255 and repeat grey three times; of four channels, give the first three."""
        values = _scaled(np.asarray(self.arrays[row]))
        if values.ndim == 2:
            values = values[..., None]
        return np.array(np.broadcast_to(values[..., :3], (*values.shape[:2], 3)), np.uint8, order="C")

    def bands(self, row: int) -> Pixels:
        """Scale all four channels to 0..255."""
        values = np.asarray(self.arrays[row])
        if values.ndim == 2 or values.shape[-1] != 4:
            raise three_channels(self.ids[row], f"the shape {values.shape}")
        return np.array(_scaled(values), np.uint8, order="C")

    def mask(self, row: int) -> NDArray[np.bool_] | None:
        """Read the mask that came with the arrays."""
        if self.masks is None:
            return None
        try:
            return as_mask(self.masks[row])
        except ValueError as error:
            raise ImagesError(f"The mask of {self.ids[row]} in {self.origin} cannot be read: {error}.") from error


@dataclass(frozen=True)
class PictureReader:
    """PIL images, as they are."""

    pictures: Sequence[Any] = field(repr=False)

    def __call__(self, row: int, id: str) -> Any:
        """Give the PIL image."""
        return self.pictures[row]


def open_pictures(pictures: Sequence[Any]) -> EncodedImages:
    """Take PIL images; the id is the file's name where the image has one and no other has the same, else six digits."""
    names = [PurePath(str(getattr(picture, "filename", "") or "")).name for picture in pictures]
    counts = Counter(names)
    ids = [
        name if name and counts[name] == 1 else number for name, number in zip(names, numbered(len(names)), strict=True)
    ]
    return EncodedImages(f"{len(ids)} PIL image" + "s" * (len(ids) != 1), ids, None, PictureReader(pictures))


def as_array(array_like: Any) -> NDArray | None:
    """Give an array for an array, or for anything that offers one (a tensor of any library), else None."""
    if isinstance(array_like, np.ndarray):
        return array_like
    for step in ("detach", "cpu"):  # a tensor of torch that has a gradient or is on a GPU
        if callable(method := getattr(array_like, step, None)):
            array_like = method()
    if callable(method := getattr(array_like, "numpy", None)):
        return np.asarray(method())
    return np.asarray(array_like) if hasattr(array_like, "__array__") else None


def open_array(array: NDArray, origin: str = "") -> Arrays:
    """Take one array of many images, or of one. Raises `ImagesError` where shape, type or range cannot be told."""
    shape = f"{array.dtype} array {array.shape}"
    origin = origin or shape
    _check_range(array, origin)
    if array.ndim == 2 or (array.ndim == 3 and array.shape[-1] in (3, 4)):
        array = array[None]
    if array.ndim == 3 and array.shape[0] == 3:
        raise ImagesError(
            f"{origin}: shape {array.shape} is three grey images or one with its channels first.",
            hint="Give array[..., None] for three grey images, array.transpose(1, 2, 0) for one in colour.",
        )
    if array.ndim == 4:
        last, first = array.shape[-1] in CHANNELS, array.shape[1] in CHANNELS
        if (array.shape[1] == 3 and last) or array.shape[1] == array.shape[-1] == 4:
            raise ImagesError(
                f"{origin}: in shape {array.shape} the channels may be axis 1 or the last axis.",
                hint=f"Give a list of arrays (h, w, {array.shape[1]}).",
            )
        if first and not last:
            array = np.moveaxis(array, 1, -1)
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[-1] not in CHANNELS):
        raise ImagesError(f"{origin}: images cannot be told from the shape {array.shape}.", hint=SHAPES)
    if not array.size:
        raise ImagesError(f"{origin}: shape {array.shape} holds no pixels.", hint=SHAPES)
    return Arrays(origin, numbered(len(array)), None, array)


def open_arrays(arrays: Sequence[NDArray]) -> Arrays:
    """Take a list of arrays, each of one image, in sizes of their own."""
    single = [one_array(array, f"array {row} of the list") for row, array in enumerate(arrays)]
    return Arrays(f"a list of {len(single)} arrays", numbered(len(single)), None, single)


def one_array(array: NDArray, origin: str) -> NDArray:
    """Give the array of one image with its channels last. Raises `ImagesError`, `RangeError` for values of no pixels."""
    flat = array[0] if array.ndim == 4 and len(array) == 1 else array
    if flat.ndim == 3 and flat.shape[-1] not in CHANNELS and flat.shape[0] in CHANNELS:
        flat = np.moveaxis(flat, 0, -1)
    if flat.ndim not in (2, 3) or (flat.ndim == 3 and flat.shape[-1] not in CHANNELS) or not flat.size:
        raise ImagesError(
            f"{origin}: shape {array.shape} is not one image.",
            hint="One image is (h, w, 3), (h, w, 4), (h, w, 1) or (h, w), or has its channels first.",
        )
    _check_range(flat, origin)
    return flat


def load_npy(path: Path) -> NDArray:
    """Map the array of an ``.npy`` file into memory. Raises `ImagesError`."""

    def read() -> NDArray:
        with path.open("rb") as file:  # NumPy leaves a file open whose header makes no sense
            _shape_and_type(file)
        return np.load(path, mmap_mode="r", allow_pickle=False)

    return _without_pickle(path, read)


def unpacked(archive: Any, name: str) -> NDArray:
    """Read an array of an ``.npz`` that NumPy has opened, if it fits into memory: a megabyte may unpack to any size.

    Raises
    ------
    ValueError
        If it would not, or has not the values that its header tells of.
    """
    member = next((entry for entry in (f"{name}.npy", name) if entry in archive.zip.namelist()), "")
    if not member:
        raise KeyError(name)
    with archive.zip.open(member) as file:
        shape, kind = _shape_and_type(file)
    values = math.prod(shape) * kind.itemsize
    if archive.zip.getinfo(member).file_size < values:
        raise ValueError(f"its array {name} ends before its {' x '.join(map(str, shape))} values do")
    image = values if len(shape) < 4 else values / max(1, shape[0])
    check_fits(values + 4.0 * image, f"Its array {name} {shape}", hint="Images in a folder are read one at a time.")
    return archive[name]


def _shape_and_type(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read the header of an ``.npy``. Raises ValueError where it makes no sense."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = read(file)
    if any(length < 0 for length in shape) or len(shape) > 32:
        raise ValueError(f"its header tells of the shape {shape}")
    if kind.hasobject:
        raise ValueError("Python objects")
    return shape, kind


def open_npz(path: Path) -> Arrays:
    """Read an ``.npz``: images, and labels, masks and label_names where it has them."""

    def read() -> dict[str, NDArray]:
        # Opened here: NumPy leaves a file open that turns out to be no archive.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            keys = {*IMAGE_KEYS, *LABEL_KEYS, "masks", "label_names"}
            names_in_file = list(archive.files)
            named = [key for key in names_in_file if key in keys]
            return {key: unpacked(archive, key) for key in (named if {*named} & {*IMAGE_KEYS} else names_in_file)}

    arrays = _without_pickle(path, read)
    key = next((key for key in IMAGE_KEYS if key in arrays), None)
    if key is None:
        fitting = [name for name, array in arrays.items() if array.ndim == 4]
        if len(fitting) != 1:
            raise ImagesError(
                f"{path} holds {shortened(f'{name} {array.shape}' for name, array in arrays.items()) or 'nothing'}: "
                "which array is the images?",
                hint=f"Name it one of {', '.join(IMAGE_KEYS)}.",
            )
        key = fitting[0]
    images = open_array(arrays[key], f"{path}, array {key}")
    names = tuple(str(name) for name in arrays.get("label_names", np.array([], str)).tolist())
    labels = next((arrays[name] for name in LABEL_KEYS if name in arrays and name != key), None)
    masks = arrays.get("masks")
    for noun, column in (("labels", labels), ("masks", masks)):
        if column is not None and len(np.atleast_1d(column)) != len(images):
            raise ImagesError(f"{path} holds {len(images)} images and {len(np.atleast_1d(column))} {noun}.")
    values = None if labels is None else [_named(plain_label(label), names, str(path)) for label in _flat(labels)]
    return Arrays(str(path), images.ids, values, images.arrays, masks=masks, label_names=names)


def plain_label(value: Any) -> Label:
    """Give a label as str, int or None, whatever library it is from. Raises `ImagesError` on others."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        raise ImagesError(f"{value!r} is not a label.", hint="A label is a string or an integer.")
    return value


def _named(label: Label, names: tuple[str, ...], origin: str) -> Label:
    if not names or not isinstance(label, int):
        return label
    if not 0 <= label < len(names):
        raise ImagesError(f"{origin}: the label {label} is outside the {len(names)} label_names.")
    return names[label]


def _flat(labels: NDArray) -> list[Any]:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise ImagesError(f"Labels of shape {labels.shape} are not one label per image.", hint="The shape is (n,).")
    return labels.tolist()


def _without_pickle(path: Path, read: Callable[[], Any]) -> Any:
    try:
        check_regular(path, most=None)
        with path.open("rb") as file:
            magic = file.read(6)
        if magic[:1] == b"\x80":
            raise ImagesError(f"{path} is a pickle, and we do not unpickle: a pickle can run any code.", hint=SAFE)
        if magic[:2] != b"PK" and magic != b"\x93NUMPY":
            raise ImagesError(f"{path} is not a file of NumPy; it begins with {magic!r}.", hint=SAFE)
        return read()
    # A damaged archive or header fails in zipfile, zlib, lzma, struct, ast and NumPy, each with errors of its own.
    except (IconoscopeError, MemoryError) as error:
        if isinstance(error, ImagesError):
            raise
        raise ImagesError(f"{path} cannot be read: {error}", hint=SAFE) from error
    except Exception as error:
        if "allow_pickle" in str(error) or "Python objects" in str(error):
            raise ImagesError(
                f"{path} holds an array of Python objects, and we do not unpickle: a pickle can run any code.",
                hint=SAFE,
            ) from error
        raise ImagesError(f"{path} cannot be read: {first_line(error, most=200)}.", hint=SAFE) from error


def _scaled(values: NDArray) -> NDArray:
    return np.rint(np.clip(values, 0, 1).astype(np.float64) * 255) if values.dtype.kind == "f" else values


def _check_range(array: NDArray, origin: str) -> None:
    if array.dtype == np.uint8 or not array.size:
        return
    if array.dtype.kind not in "uif":
        raise ImagesError(
            f"{origin}: values of type {array.dtype} are not pixels.", hint="Pixels are uint8 0..255 or floats 0..1."
        )
    low, high = array.min(), array.max()
    most, slack = (1, ROUNDING) if array.dtype.kind == "f" else (255, 0)
    if not (low >= -slack and high <= most + slack):
        values = "NaN among them" if np.isnan(low) else f"from {low:g} to {high:g}"
        raise RangeError(
            f"{origin}: {'float' if most == 1 else 'integer'} pixels are 0 to {most}; these are {values}.",
            hint="Undo the normalisation, or divide floats of 0..255 by 255." if most == 1 else "Scale them to 0..255.",
        )
