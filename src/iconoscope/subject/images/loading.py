"""From what a user has to a set of images: which kind of source it is, and what opens it."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from iconoscope.errors import ImagesError, QuestionError, check_counts, check_path, shortened
from iconoscope.signatures import checked
from iconoscope.subject.images.annotated import Annotated, Gathered
from iconoscope.subject.images.arrays import as_array, load_npy, open_array, open_arrays, open_npz, open_pictures
from iconoscope.subject.images.coco import read_coco
from iconoscope.subject.images.dataset import Items, is_dataset, is_loader, open_dataset, open_torchvision
from iconoscope.subject.images.decoding import SUFFIXES
from iconoscope.subject.images.encoded_images import EncodedImages
from iconoscope.subject.images.folder import list_files, missing_path, open_files, open_folder
from iconoscope.subject.images.hub import is_hub_set, is_saved, open_hub, open_hub_set, open_saved
from iconoscope.subject.images.image import Image
from iconoscope.subject.images.imageset import Images
from iconoscope.subject.images.masks_and_boxes import read_boxes, read_masks
from iconoscope.subject.images.object_annotations import ObjectAnnotations
from iconoscope.subject.images.parquet import find_shards, open_parquet
from iconoscope.subject.images.pillow_modes import DEPTHS
from iconoscope.subject.images.remote import open_remote
from iconoscope.subject.images.source import Label, Source
from iconoscope.subject.images.tables import open_list, read_labels
from iconoscope.subject.images.voc import is_voc, open_voc, read_voc
from iconoscope.subject.images.webdataset import expand_shards, open_webdataset

__all__ = ["ADDRESSES", "FILES", "load_images"]

SOURCES = (
    "Images come from a folder (class folders become labels), an image file, .parquet, .tar (WebDataset), .csv, .tsv or "
    ".jsonl (a column of paths), .npz, .npy, a VOC root, hf:name, tv:Name, s3://bucket/folder and other addresses; "
    "in Python also from arrays, tensors, PIL images, data sets, or a list of one kind."
)


def _open_image_set(path: Path) -> Source:
    if path.absolute().parents[1].name != "ImageSets":
        raise ImagesError(
            f"{path} is not a source of images: of .txt, the lists in ImageSets of VOC are.", hint=SOURCES
        )
    return open_voc(path)


def _refuse_json(path: Path) -> Source:
    raise ImagesError(
        f"{path} is not a source of images: JSON says something of images.",
        hint="Give the folder of the images, and this as labels, masks or boxes (--labels, --masks, --boxes).",
    )


# What each suffix is opened with. A file without a suffix is taken for an image; its first bytes will tell.
FILES: dict[str, Callable[[Path], Source]] = {
    ".parquet": lambda path: open_parquet([path], str(path)),
    ".npz": open_npz,
    ".npy": lambda path: open_array(load_npy(path), str(path)),
    **dict.fromkeys((".tar", ".tgz", ".gz", ".bz2", ".xz"), lambda path: open_webdataset([path], str(path))),
    ".csv": open_list,
    ".tsv": open_list,
    ".jsonl": open_list,
    ".txt": _open_image_set,
    ".json": _refuse_json,
    **dict.fromkeys(["", *sorted(SUFFIXES)], lambda path: open_files([path])),
}
# What a name opens that is no path; each also takes how many images are wanted, None for all.
ADDRESSES: dict[str, Callable[[str, int | None], Source]] = {
    "hf:": open_hub,
    "tv:": lambda address, limit: open_torchvision(address),
}


@checked
def load_images(
    source: Any, *, labels: Any = None, masks: Any = None, boxes: Any = None, limit: int | None = None, bits: int = 16
) -> Images:
    """Load a set of images; nothing is decoded before it is used.

    Parameters
    ----------
    source : str, os.PathLike, array, PIL image, Image, Images, data set or a list of them
        A folder, an image, a .parquet, .tar, .csv, .npz or .npy file, hf:name/split, tv:Name/split, s3://bucket/folder;
        in Python also arrays, tensors, PIL images, images, data sets.
    labels : str, os.PathLike, sequence or dict, optional
        A CSV (id,label) or JSON file of labels by id; COCO's instances.json or a VOC root; or one label per image. It
        replaces the source's own labels.
    masks : str, os.PathLike, array or dict, optional
        A folder of masks with the same paths as the images; COCO's instances.json or a VOC root; or an array
        (n, height, width), or masks by id.
    boxes : str, os.PathLike or dict, optional
        A CSV (id,left,top,right,bottom) or JSON file of boxes in pixels by id, right and bottom exclusive; COCO's
        instances.json or a VOC root.
    limit : int, optional
        How many images to take from the start; all by default.
    bits : int
        How many bits are used of grey images stored in 16, as PNG or TIFF of cameras and scanners: 10, 12, 14 or 16. Those of
        12 bits are nearly black if nothing is said.

    Returns
    -------
    Images
        Their ids are paths relative to the folder, the paths stored in a parquet (else ``file#row``), keys of a tar, or
        six digits.

    Raises
    ------
    ImagesError
        The source, or what was given beside it, cannot be had or does not fit.
    QuestionError
        The source is one of several things: a folder with ``train`` and ``val``. Or ``limit`` is no count.
    MissingExtraError
        The package that reads this kind of source is not installed; the hint is the line that installs it.

    Notes
    -----
    Arrays are uint8 0..255 or float 0..1, (n, h, w, 3), (n, h, w, 1), (n, h, w), (n, 3, h, w) or (h, w, 3); with four
    channels (n, h, w, 4), (n, 4, h, w) or (h, w, 4), which `Image.bands` gives, and `Image.pixels` the first three.

    Examples
    --------
    >>> import numpy as np
    >>> images = load_images(np.linspace(0, 1, 2 * 8 * 8 * 3).reshape(2, 8, 8, 3), labels=["dark", "light"])
    >>> images
    <2 images from float64 array (2, 8, 8, 3): dark 1, light 1>
    >>> images[1].id, images[1].label, images[1].pixels[-1, -1].tolist()
    ('000001', 'light', [254, 254, 255])
    """
    check_counts(limit=1 if limit is None else limit)
    if bits not in (*DEPTHS, 16):
        raise QuestionError(f"bits={bits} is not a choice.", hint="There are: 10, 12, 14, 16.")
    alone = labels is None and masks is None and boxes is None
    # What is given beside is of all images; without that, a source that is far away fetches only so many.
    images = source if isinstance(source, Images) else Images(_open(source, limit if alone else None))
    if bits != 16:
        images = _with_bits(images, bits)
    if not alone:
        images = _lay_over(images, labels=labels, masks=masks, boxes=boxes)
    return images if limit is None else images[:limit]


def _with_bits(images: Images, bits: int) -> Images:
    """Let images be read with so many bits of 16."""
    source, rows = images.rows
    if not isinstance(source, EncodedImages | Items):
        raise QuestionError(
            f"bits={bits} is of image files in 16 bits, and {images.source} has none.", hint="Leave bits out."
        )
    return Images(replace(source, bits=bits), rows)


def _lay_over(images: Images, *, labels: Any, masks: Any, boxes: Any) -> Images:
    """Lay labels, masks and boxes over images. Which object is meant follows the labels that the images then have."""
    source, rows = images.rows
    ids, annotations = images.ids, {}
    labels, masks, boxes = (_annotations(annotation, annotations) for annotation in (labels, masks, boxes))
    if labels is not None:
        labels = labels.labels(ids) if isinstance(labels, ObjectAnnotations) else read_labels(labels, ids)
    # Labels may have to be read from the images: only where they are needed.
    needs_labels = any(isinstance(annotation, ObjectAnnotations) for annotation in (masks, boxes))
    image_labels: Sequence[Label] = images.labels if labels is None and needs_labels else labels or ()
    if masks is not None:
        masks = masks.masks(ids, image_labels) if isinstance(masks, ObjectAnnotations) else read_masks(masks, ids)
    if boxes is not None:
        boxes = boxes.boxes(ids, image_labels) if isinstance(boxes, ObjectAnnotations) else read_boxes(boxes, ids)
    names = source.label_names
    if labels is not None and not {*labels} <= {*names, None}:
        names = ()
    return Images(
        Annotated(source.origin, ids, labels, source, rows, label_names=names, masks_by_id=masks, boxes_by_id=boxes)
    )


def _annotations(annotation: Any, annotations: dict[Path, ObjectAnnotations | None]) -> Any:
    """Give the annotations for a path of some, each read once, and anything else as it is."""
    if not isinstance(annotation, str | os.PathLike):
        return annotation
    check_path("A file of annotations", annotation)
    path = Path(annotation).expanduser()
    if path not in annotations:
        annotations[path] = None
        if path.suffix.lower() == ".json" and path.is_file():
            annotations[path] = read_coco(path)
        elif path.is_dir() and is_voc(path):
            annotations[path] = read_voc(path)
    return annotation if annotations[path] is None else annotations[path]


def _open(source: Any, limit: int | None) -> Source:
    if isinstance(source, str | os.PathLike):
        return _open_path(os.fspath(source), limit)
    if isinstance(source, Image):
        return _gathered([source])
    if _is_picture(source):
        return open_pictures([source])
    if isinstance(source, list | tuple):
        return _open_list(source)
    if is_hub_set(source):
        return open_hub_set(source, limit=limit)
    if (array := as_array(source)) is not None:
        return open_array(array)
    if is_loader(source):
        return _open(source.dataset, limit)
    if is_dataset(source):
        return open_dataset(source)
    raise ImagesError(f"{type(source).__name__} is not a source of images.", hint=SOURCES)


def _open_path(address: str, limit: int | None) -> Source:
    for prefix, opener in ADDRESSES.items():
        if address.startswith(prefix):
            return opener(address, limit)
    if "://" in address:
        return open_remote(address)
    check_path("images", address)
    path = Path(address).expanduser()
    if path.is_dir():
        return _open_directory(path)
    if path.is_file() or path.is_symlink():
        if path.suffix.lower() not in FILES:
            raise ImagesError(f"{path} is not a source of images: its suffix is {path.suffix}.", hint=SOURCES)
        return FILES[path.suffix.lower()](path)
    if path.exists():
        raise ImagesError(f"{path} is neither a file nor a folder.", hint=SOURCES)
    if "*" in path.name and path.suffix.lower() == ".parquet" and (shards := sorted(path.parent.glob(path.name))):
        return open_parquet(shards, address)
    if path.suffix.lower() == ".tar" and re.search(r"\*|\{\d+\.\.\d+\}", path.name):
        return open_webdataset(expand_shards(address), address)
    if prefix := re.match(r"[A-Za-z][\w+.-]+:", address):
        raise ImagesError(f"{address}: there is no source of images {prefix[0]!r}.", hint=SOURCES)
    raise missing_path(path)


def _open_directory(folder: Path) -> Source:
    if is_saved(folder):
        return open_saved(folder)
    if is_voc(folder) and (folder / "JPEGImages").is_dir():
        return open_voc(folder)
    shards = find_shards(folder)
    if not shards:
        tars = [folder / name for name in list_files(folder, {".tar"}, depth=0)]
        return open_webdataset(tars, str(folder)) if tars and not list_files(folder, SUFFIXES) else open_folder(folder)
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


def _gathered(images: Sequence[Image]) -> Gathered:
    origins = dict.fromkeys(image.source.origin for image in images)
    names = {image.source.label_names for image in images}
    return Gathered(
        shortened(origins, most=2),
        [image.id for image in images],
        [image.label for image in images],
        images,
        label_names=names.pop() if len(names) == 1 else (),
    )


def _open_list(items: Sequence[Any]) -> Source:
    if not items:
        raise ImagesError("The list of images is empty.", hint=SOURCES)
    if all(isinstance(item, Image) for item in items):
        if repeated := [id for id, count in Counter(image.id for image in items).items() if count > 1]:
            raise ImagesError(f"Images with the same id: {shortened(repeated)}.", hint="Every id is there once.")
        return _gathered(items)
    if all(_is_picture(item) for item in items):
        return open_pictures(items)
    if all(isinstance(item, tuple | dict) for item in items):
        return open_dataset(items, f"a list of {len(items)} items")
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
