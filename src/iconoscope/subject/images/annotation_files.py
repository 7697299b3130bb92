"""What is given beside the images: labels, masks and boxes, in tables and arrays of our own or as COCO and VOC write them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from iconoscope.subject.images.annotated import Annotated
from iconoscope.subject.images.coco import Coco, read_coco
from iconoscope.subject.images.imageset import Images
from iconoscope.subject.images.regions import read_boxes, read_masks
from iconoscope.subject.images.source import Label
from iconoscope.subject.images.tables import read_labels
from iconoscope.subject.images.voc import Voc, is_voc, read_voc

__all__ = ["lay_over"]


def lay_over(images: Images, *, labels: Any, masks: Any, boxes: Any) -> Images:
    """Lay labels, masks and boxes over images. Which object is meant follows the labels that the images then have."""
    under, rows = images.rows
    ids, opened = images.ids, {}
    labels, masks, boxes = (_opened(given, opened) for given in (labels, masks, boxes))
    if labels is not None:
        labels = labels.labels(ids) if isinstance(labels, Coco | Voc) else read_labels(labels, ids)
    # Labels may have to be read from the images: only where they are needed.
    follow = any(isinstance(given, Coco | Voc) for given in (masks, boxes))
    own: Sequence[Label] = images.labels if labels is None and follow else labels or ()
    if masks is not None:
        masks = masks.masks(ids, own) if isinstance(masks, Coco | Voc) else read_masks(masks, ids)
    if boxes is not None:
        boxes = boxes.boxes(ids, own) if isinstance(boxes, Coco | Voc) else read_boxes(boxes, ids)
    return Images(Annotated(under, rows, labels=labels, masks=masks, over=boxes))


def _opened(given: Any, opened: dict[Path, Coco | Voc | None]) -> Any:
    """Give the annotations for a path of some, each read once, and anything else as it is."""
    if not isinstance(given, str | os.PathLike):
        return given
    path = Path(given).expanduser()
    if path not in opened:
        opened[path] = None
        if path.suffix.lower() == ".json" and path.is_file():
            opened[path] = read_coco(path)
        elif path.is_dir() and is_voc(path):
            opened[path] = read_voc(path)
    return given if opened[path] is None else opened[path]
