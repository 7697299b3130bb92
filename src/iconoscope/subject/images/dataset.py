"""Data sets given in Python: anything with a length whose items are images, or images with labels.

Those of torch and torchvision are such objects, and so are lists of pairs. Nothing of torch is imported; what is asked of
a data set are the attributes that torchvision's have (``targets``, ``classes``, ``samples``).
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from iconoscope.errors import (
    ImageFileError,
    ImagesError,
    MissingExtraError,
    QuestionError,
    nearest,
    warn,
)
from iconoscope.extras import import_extra
from iconoscope.subject.images.arrays import Arrays, RangeError, as_array, one_array, plain_label
from iconoscope.subject.images.decoding import decode_bands, decode_depth, decode_image
from iconoscope.subject.images.folder import SPLITS, missing_path
from iconoscope.subject.images.source import Label, Pixels, Source, numbered
from iconoscope.user_code import failure, user_code

__all__ = ["ROOT", "Items", "is_dataset", "is_loader", "open_dataset", "open_torchvision"]

# Where torchvision's sets lie, if the name does not say.
ROOT = "ICONOSCOPE_TV_ROOT"
TV_FORM = f"Written tv:CIFAR10/test:/path/of/the/root; without the path, the root is what {ROOT} says."
IMAGE_KEYS = ("image", "img", "images", "pixel_values", "x", "jpg", "png")
LABEL_KEYS = ("label", "labels", "target", "targets", "class", "y", "cls")
# Under which names data sets keep their labels beside their items.
LABELS = ("targets", "labels", "_labels", "y")
PAIRS = ("samples", "_samples", "imgs")
NORMALISED = (
    "A data set gives images as they are: take the Normalize transform out of it (ToTensor may stay). "
    "The network's preprocessing normalises."
)
# Transforms that answer differently every time.
CHANCE = re.compile(r"\b(Random\w+|AutoAugment|RandAugment|TrivialAugmentWide|AugMix|ColorJitter|ElasticTransform)\b")


@dataclass(frozen=True, eq=False)
class Items(Source):
    """The items of a data set, each read when it is asked for.

    Attributes
    ----------
    data : object
        It has a length, and gives an item for every number.
    labelled : bool
        Whether the items have labels; they are taken from the items if they are not in `labels`.
    bits : int
        Bits that are used of images in 16.
    """

    data: Any = field(repr=False)
    labelled: bool
    bits: int = field(default=16, kw_only=True)
    # The last item: its label and its pixels are asked for one after the other.
    _last: dict[int, Any] = field(default_factory=dict, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_last": {}}

    def label(self, row: int) -> Label:
        """Give the class name where the data set has names, else the number."""
        if not self.labelled:
            return None
        value = _scalar(_parts(self._item(row), self.ids[row])[1] if self.labels is None else self.labels[row])
        if isinstance(value, int) and 0 <= value < len(self.label_names):
            return self.label_names[value]
        return plain_label(value)

    def read(self, row: int) -> Pixels:
        """Take the image of the item: encoded, a PIL image, an array or a tensor."""
        image = self._image(row)
        return image.read(0) if isinstance(image, Arrays) else decode_image(image, self.ids[row], bits=self.bits)

    def bands(self, row: int) -> Pixels:
        """Take all four channels of the item's image."""
        image = self._image(row)
        return image.bands(0) if isinstance(image, Arrays) else decode_bands(image, self.ids[row])

    def depth(self, row: int) -> int:
        """Give the bits that the values of the item's image fill of those that are used."""
        image = self._image(row)
        return 8 if isinstance(image, Arrays) else min(self.bits, decode_depth(image, self.ids[row]))

    def _item(self, row: int) -> Any:
        item, name = self._last.get(row, self), self.ids[row]
        if item is self:  # there was none; None may be an item
            with user_code(
                lambda error: ImageFileError(f"{name} cannot be read: the data set answered {failure(error)}.")
            ):
                item = self.data[row]
            self._last.clear()
            self._last[row] = item
        return item

    def _image(self, row: int) -> Any:
        name = self.ids[row]
        image = _parts(self._item(row), name)[0]
        if isinstance(image, bytes | str | os.PathLike) or hasattr(image, "getbands"):
            return image
        array = as_array(image)
        if array is None:
            raise ImagesError(
                f"{name} of {self.origin} is a {type(image).__name__}, and no image.",
                hint="An item is an image (PIL, array, tensor, bytes, path), a pair (image, label), or a dict with both.",
            )
        try:
            return Arrays(self.origin, [name], None, [one_array(array, f"{name} of {self.origin}")])
        except RangeError as error:
            raise RangeError(error.message, hint=NORMALISED if array.dtype.kind == "f" else error.hint) from None


def is_dataset(candidate: Any) -> bool:
    """Tell whether it is a data set of some kind."""
    if isinstance(candidate, Mapping | str | bytes | set | frozenset):
        return False
    return hasattr(candidate, "__getitem__") or _is_stream(candidate)


def open_dataset(dataset: Any, origin: str = "") -> Items:
    """Take a data set. Its first item is read, to know what its items are.

    Raises
    ------
    ImagesError
        It has no length, is empty, or its first item is no image, or a normalised one; or its code fails.
    """
    kind = type(dataset).__name__
    with user_code(lambda error: ImagesError(f"The {kind} cannot be read: it answered {failure(error)}.")):
        return _open_dataset(dataset, kind, origin)


def _open_dataset(dataset: Any, kind: str, origin: str) -> Items:
    if _is_stream(dataset) or not hasattr(dataset, "__len__"):
        raise ImagesError(
            f"The {kind} has no numbered items, and every image needs a place of its own.",
            hint="Give a list of its first items: list(itertools.islice(data, 100)).",
        )
    if not len(dataset):
        raise ImagesError(f"The {kind} is empty.", hint="Give a data set of one image or more.")
    origin = origin or f"{kind} of {len(dataset)} items"
    if transform := CHANCE.search(repr(_attribute(dataset, "transform") or _attribute(dataset, "transforms") or "")):
        warn(
            f"{origin} changes its images at random ({transform[0]}): no two questions see the same. "
            "Give it without that transform."
        )
    names = _attribute(dataset, "classes")
    names = tuple(map(str, names)) if isinstance(names, list | tuple) else ()
    items = Items(origin, _ids(dataset) or numbered(len(dataset)), None, dataset, labelled=True, label_names=names)
    first = items._item(0)
    items._image(0)
    label = _scalar(_parts(first, items.ids[0])[1])
    labelled = isinstance(label, str | int) and not isinstance(label, bool)
    if label is not None and not labelled:
        warn(f"The labels of {origin} are of type {type(label).__name__}, and are left out: a label is one class.")
    labels = _labels(dataset) if labelled else None
    if labels is not None and (len(labels) != len(dataset) or _scalar(labels[0]) != label):
        labels = None  # a target_transform lies between, or they are something else
    return replace(items, labels=labels, labelled=labelled, label_names=names if labelled else (), _last={})


def open_torchvision(address: str) -> Items:
    """Make a data set of torchvision by its name; nothing is downloaded.

    Raises
    ------
    QuestionError
        There is no such data set, or it wants a split that is not named.
    ImagesError
        It is not in the root, or the root is not said.
    MissingExtraError
        torchvision is not installed, or does not fit this torch.
    """
    name, _, folder = address.removeprefix("tv:").partition(":")
    name, _, split = name.partition("/")
    datasets = import_extra("torchvision.datasets", "torchvision", address)
    if name not in datasets.__all__:
        raise QuestionError(
            f"torchvision has no data set {name!r}.", hint=f"{nearest(name, datasets.__all__)} {TV_FORM}"
        )
    make = getattr(datasets, name)
    parameters = inspect.signature(make).parameters
    settings = _split_settings(address, split, parameters)
    root = folder or os.environ.get(ROOT, "")
    if not root:
        raise ImagesError(f"{address}: where does {name} lie?", hint=TV_FORM)
    path = Path(root).expanduser()
    if not path.is_dir():
        raise missing_path(path)
    if "root" not in parameters:
        raise QuestionError(
            f"{address}: {name} does not read a folder.", hint="Make it in Python and give it to load_images."
        )
    try:
        data = make(path, **settings)
    except ImportError as error:
        raise MissingExtraError(
            f"{address} cannot be opened: {error}.", hint=f"pip install {error.name or 'what it names'}"
        ) from error
    except (RuntimeError, OSError, ValueError, TypeError) as error:
        reason = re.sub(r"\s*You can use download=True to download it\.?", "", str(error).partition("\n")[0])
        raise ImagesError(
            f"{address} is not in {path}: {reason}",
            hint=f"Nothing is downloaded. Once, in Python: torchvision.datasets.{name}(root, download=True)",
        ) from error
    return open_dataset(data, address)


def _split_settings(address: str, split: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    if "train" in parameters and "split" not in parameters:
        kinds = {name: name.startswith("train") for name in SPLITS}
        if split not in kinds:
            raise QuestionError(
                f"{address} holds the splits train, test: which one is meant?", hint=f"As tv:CIFAR10/test. {TV_FORM}"
            )
        return {"train": kinds[split]}
    if "split" in parameters:
        if not split:
            default = parameters["split"].default
            note = "" if default is inspect.Parameter.empty else f" {default!r} is torchvision's own default."
            raise QuestionError(f"{address} has splits: which one is meant?", hint=f"As tv:STL10/test.{note} {TV_FORM}")
        return {"split": split}
    if split:
        raise QuestionError(f"{address}: this data set has no splits.", hint=f"Leave /{split} out. {TV_FORM}")
    return {}


def is_loader(candidate: Any) -> bool:
    """Tell whether it is a loader, whose ``dataset`` is what it loads, in an order of its own."""
    return hasattr(candidate, "dataset") and hasattr(candidate, "batch_size")


def _is_stream(candidate: Any) -> bool:
    if any(kind.__name__ == "IterableDataset" for kind in type(candidate).__mro__):
        return True
    return hasattr(candidate, "__next__")


def _parts(item: Any, name: str) -> tuple[Any, Any]:
    """Take an item apart: its image, and its label or None."""
    if isinstance(item, Mapping):
        key = next((key for key in IMAGE_KEYS if key in item), None)
        if key is None:
            raise ImagesError(
                f"{name} is a dict without an image; its keys are {', '.join(map(str, item))}.",
                hint=f"The image is looked for under {', '.join(IMAGE_KEYS)}.",
            )
        return item[key], next((item[key] for key in LABEL_KEYS if key in item), None)
    if isinstance(item, tuple | list):
        if not item:
            raise ImagesError(f"{name} is empty.", hint="An item is an image, or a pair (image, label).")
        return item[0], item[1] if len(item) > 1 else None
    return item, None


def _scalar(value: Any) -> Any:
    """Take a number out of an array or a tensor that holds just one."""
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        return value.item()
    return value


def _attribute(data: Any, name: str) -> Any:
    """Look for an attribute in a data set, or in the one that it is a part of."""
    while data is not None:
        if (value := getattr(data, name, None)) is not None:
            return value
        data = getattr(data, "dataset", None) or next(iter(getattr(data, "datasets", None) or ()), None)
    return None


def _labels(data: Any) -> Sequence[Any] | None:
    """Find the labels that a data set keeps beside its items, so that no image is opened for them."""
    if (inner := getattr(data, "dataset", None)) is not None and (
        indices := getattr(data, "indices", None)
    ) is not None:
        labels = _labels(inner)
        return None if labels is None else [labels[int(index)] for index in indices]
    if concatenated := getattr(data, "datasets", None):
        lists = [_labels(part) for part in concatenated]
        return [label for labels in lists if labels is not None for label in labels]
    if getattr(data, "target_transform", None) is not None:
        return None
    tensors = getattr(data, "tensors", None)
    columns = [getattr(data, name, None) for name in LABELS] + [tensors[1] if tensors and len(tensors) > 1 else None]
    for column in columns:
        array: NDArray | None = None if column is None or isinstance(column, list | tuple) else as_array(column)
        if array is not None and array.ndim == 1:
            return array.tolist()
        if isinstance(column, list | tuple):
            return column
    pairs = next((value for name in PAIRS if isinstance(value := getattr(data, name, None), list)), None)
    if pairs and all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs):
        return [pair[1] for pair in pairs]
    return None


def _ids(data: Any) -> list[str] | None:
    """Give the paths of a data set that lists its files, or the numbers that the items have in the whole of it."""
    if (inner := getattr(data, "dataset", None)) is not None and (
        indices := getattr(data, "indices", None)
    ) is not None:
        numbers = [int(index) for index in indices]
        if len(set(numbers)) != len(numbers):
            return None
        inner_ids = _ids(inner)
        return [f"{number:06d}" if inner_ids is None else inner_ids[number] for number in numbers]
    pairs, root = getattr(data, "samples", None), getattr(data, "root", None)
    if not isinstance(pairs, list) or not isinstance(root, str | os.PathLike) or len(pairs) != len(data):
        return None
    paths = [pair[0] for pair in pairs if isinstance(pair, tuple) and isinstance(pair[0], str | os.PathLike)]
    ids = [Path(os.path.relpath(path, root)).as_posix() for path in paths]
    return ids if len(set(ids)) == len(pairs) else None
