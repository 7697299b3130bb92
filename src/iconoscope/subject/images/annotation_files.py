"""Annotations beside the images: labels, masks and boxes, in tables and arrays of our own or as COCO and VOC write them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from iconoscope.subject.images.annotated import Annotated
from iconoscope.subject.images.coco import read_coco
from iconoscope.subject.images.imageset import Images
from iconoscope.subject.images.masks_and_boxes import read_boxes, read_masks
from iconoscope.subject.images.object_annotations import ObjectAnnotations
from iconoscope.subject.images.source import Label
from iconoscope.subject.images.tables import read_labels
from iconoscope.subject.images.voc import is_voc, read_voc

__all__ = ["lay_over"]


def lay_over(images: Images, *, labels: Any, masks: Any, boxes: Any) -> Images:
    """Lay labels, masks and boxes over images. Which object is meant follows the labels that the images then have."""
    source, rows = images.rows
    ids, annotations = images.ids, {}
    labels, masks, boxes = (_opened(annotation, annotations) for annotation in (labels, masks, boxes))
    if labels is not None:
        labels = labels.labels(ids) if isinstance(labels, ObjectAnnotations) else read_labels(labels, ids)
    # Labels may have to be read from the images: only where they are needed.
    needs_labels = any(isinstance(annotation, ObjectAnnotations) for annotation in (masks, boxes))
    image_labels: Sequence[Label] = images.labels if labels is None and needs_labels else labels or ()
    if masks is not None:
        masks = masks.masks(ids, image_labels) if isinstance(masks, ObjectAnnotations) else read_masks(masks, ids)
    if boxes is not None:
        boxes = boxes.boxes(ids, image_labels) if isinstance(boxes, ObjectAnnotations) else read_boxes(boxes, ids)
    return Images(Annotated(source, rows, labels=labels, masks_by_id=masks, boxes_by_id=boxes))


def _opened(annotation: Any, annotations: dict[Path, ObjectAnnotations | None]) -> Any:
    """Give the annotations for a path of some, each read once, and anything else as it is."""
    if not isinstance(annotation, str | os.PathLike):
        return annotation
    path = Path(annotation).expanduser()
    if path not in annotations:
        annotations[path] = None
        if path.suffix.lower() == ".json" and path.is_file():
            annotations[path] = read_coco(path)
        elif path.is_dir() and is_voc(path):
            annotations[path] = read_voc(path)
    return annotation if annotations[path] is None else annotations[path]
