"""From what a user has to a set of images: files, arrays, PIL images, with labels, masks and boxes from beside them."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from iconoscope.errors import ImagesError, QuestionError, shortened
from iconoscope.subject.images.annotated import Annotated, Gathered
from iconoscope.subject.images.arrays import as_array, open_array, open_arrays, open_npy, open_npz, open_pictures
from iconoscope.subject.images.decoding import SUFFIXES
from iconoscope.subject.images.folder import missing_path, open_files, open_folder
from iconoscope.subject.images.image import Image
from iconoscope.subject.images.imageset import Images
from iconoscope.subject.images.parquet import find_shards, open_parquet
from iconoscope.subject.images.regions import read_boxes, read_masks
from iconoscope.subject.images.source import Source
from iconoscope.subject.images.tables import read_labels

__all__ = ["FILES", "load_images"]

# What each suffix is opened with. A file without a suffix is taken for an image; its first bytes will tell.
FILES: dict[str, Callable[[Path], Source]] = {
    ".parquet": lambda path: open_parquet([path], str(path)),
    ".npz": open_npz,
    ".npy": open_npy,
    **dict.fromkeys(["", *sorted(SUFFIXES)], lambda path: open_files([path])),
}
KINDS = (
    "Images come from a folder (class folders become labels), an image file, a .parquet file or a folder of them, "
    ".npz, .npy, arrays, tensors, PIL images, or a list of one kind."
)


def load_images(
    source: Any, *, labels: Any = None, masks: Any = None, boxes: Any = None, limit: int | None = None
) -> Images:
    """Load a set of images; nothing is decoded before it is used.

    Parameters
    ----------
    source : str, os.PathLike, array, PIL image, Image, Images or a list of them
        A folder, an image, a .parquet, .npz or .npy file; or arrays, tensors, PIL images, images.
    labels : str, os.PathLike, sequence or dict, optional
        A CSV (id,label) or JSON file of labels by id; or one label per image; it replaces the source's own labels.
    masks : str, os.PathLike, array or dict, optional
        A folder of masks with the same paths as the images; or an array (n, height, width), or masks by id.
    boxes : str, os.PathLike or dict, optional
        A CSV (id,left,top,right,bottom) or JSON file of boxes in pixels by id, right and bottom exclusive.
    limit : int, optional
        How many images to take from the start; all by default.

    Returns
    -------
    Images
        Their ids are paths relative to the folder, the paths stored in a parquet (else ``file#row``), or six digits.

    Raises
    ------
    ImagesError
        The source, or what was given beside it, cannot be had or does not fit.
    QuestionError
        The source is one of several things: a folder with ``train`` and ``val``. Or ``limit`` is no count.

    Notes
    -----
    Arrays are uint8 0..255 or float 0..1, (n, h, w, 3), (n, h, w, 1), (n, h, w), (n, 3, h, w) or (h, w, 3).

    Examples
    --------
    >>> import numpy as np
    >>> images = load_images(np.linspace(0, 1, 2 * 8 * 8 * 3).reshape(2, 8, 8, 3), labels=["dark", "light"])
    >>> images
    <2 images from float64 array (2, 8, 8, 3): dark 1, light 1>
    >>> images[1].id, images[1].label, images[1].pixels[-1, -1].tolist()
    ('000001', 'light', [254, 254, 255])
    """
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int | np.integer) or limit < 1):
        raise QuestionError(f"limit={limit!r} is not a number of images.", hint="Give 1 or more, or leave it out.")
    images = source if isinstance(source, Images) else Images(_open(source))
    if labels is not None or masks is not None or boxes is not None:
        under, rows = images.rows
        images = Images(
            Annotated(
                under,
                rows,
                labels=None if labels is None else read_labels(labels, images.ids),
                masks=None if masks is None else read_masks(masks, images.ids),
                over=None if boxes is None else read_boxes(boxes, images.ids),
            )
        )
    return images if limit is None else images[:limit]


def _open(source: Any) -> Source:
    if isinstance(source, str | os.PathLike):
        return _open_path(os.fspath(source))
    if isinstance(source, Image):
        return Gathered([source], source.source.origin, source.source.label_names)
    if _is_picture(source):
        return open_pictures([source])
    if isinstance(source, list | tuple):
        return _open_list(source)
    if (array := as_array(source)) is not None:
        return open_array(array)
    raise ImagesError(f"{type(source).__name__} is not a source of images.", hint=KINDS)


def _open_path(given: str) -> Source:
    path = Path(given).expanduser()
    if path.is_dir():
        return _open_directory(path)
    if path.is_file() or path.is_symlink():
        if path.suffix.lower() not in FILES:
            raise ImagesError(f"{path} is not a source of images: its suffix is {path.suffix}.", hint=KINDS)
        return FILES[path.suffix.lower()](path)
    if path.exists():
        raise ImagesError(f"{path} is neither a file nor a folder.", hint=KINDS)
    if "*" in path.name and path.suffix.lower() == ".parquet" and (shards := sorted(path.parent.glob(path.name))):
        return open_parquet(shards, given)
    if prefix := re.match(r"[A-Za-z][\w+.-]+:", given):
        raise ImagesError(f"{given}: there is no source of images {prefix[0]!r}.", hint=KINDS)
    raise missing_path(path)


def _open_directory(folder: Path) -> Source:
    shards = find_shards(folder)
    if not shards:
        return open_folder(folder)
    try:
        open_folder(folder)
    except ImagesError:  # no images beside them
        return open_parquet(shards, str(folder))
    raise QuestionError(
        f"{folder} holds both image files and parquet: which is meant?",
        hint=f"Give the folder of the images, or {shortened(map(str, shards), most=2)}.",
    )


def _is_picture(source: Any) -> bool:
    # Whoever has a PIL image has imported PIL.
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(source, module.Image)


def _open_list(items: Sequence[Any]) -> Source:
    if not items:
        raise ImagesError("The list of images is empty.", hint=KINDS)
    if all(isinstance(item, Image) for item in items):
        if repeated := [id for id, count in Counter(image.id for image in items).items() if count > 1]:
            raise ImagesError(f"Images with the same id: {shortened(repeated)}.", hint="Every id is there once.")
        origins = dict.fromkeys(image.source.origin for image in items)
        names = {image.source.label_names for image in items}
        return Gathered(items, shortened(origins, most=2), names.pop() if len(names) == 1 else ())
    if all(_is_picture(item) for item in items):
        return open_pictures(items)
    if all(isinstance(item, str | os.PathLike) for item in items):
        return open_files(items)
    arrays = [None if _is_picture(item) else as_array(item) for item in items]
    for row, array in enumerate(arrays):
        if array is None:
            raise ImagesError(
                f"Item {row} of the list is a {type(items[row]).__name__}, and the first a {type(items[0]).__name__}.",
                hint="A list holds arrays, PIL images, images or paths, all of one kind.",
            )
    return open_arrays([array for array in arrays if array is not None])
