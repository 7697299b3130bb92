"""A map of images as one page to move about in: it holds all thumbnails, and opens anywhere. Larger maps are folders."""

from __future__ import annotations

import base64
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iconoscope.language import say
from iconoscope.results.atlas import PAGE
from iconoscope.results.folders import without_folders
from iconoscope.results.image_map import ImageMap, class_colours, unit_square
from iconoscope.results.result import is_page
from iconoscope.results.sixteen_bits import sixteen_bits
from iconoscope.show.map_folder import map_folder, numbered_classes
from iconoscope.show.map_quadtree import check_points
from iconoscope.show.template import write_page

__all__ = ["LARGEST", "map_page", "page_path"]

LARGEST = 100_000
"""Images of which one page holds all: some 60 MB."""


def map_page(image_map: ImageMap, path: str | Path, *, title: str = "", lead: str = "") -> Path:
    """Write a map as one self-contained HTML page: move, zoom, point at an image, follow its neighbours.

    Where `page_path` says so it is a folder. Settings are those of `report`.

    Raises
    ------
    QuestionError
        If a point is infinite or no number.
    StoreError
        If it cannot be written.
    """
    check_points(image_map.points)
    page = page_path(image_map, path)
    if page != Path(path).expanduser():
        return map_folder(image_map, page.parent, title=title, lead=lead)
    return write_page(
        page,
        "map.html.j2",
        title=title or say("What {network} finds alike", network=image_map.question.network),
        lead=lead,
        summary=image_map.summary(),
        subject=image_map.question.subject_name,
        data=_page_data(image_map),
        pages=[base64.b64encode(page).decode() for page in image_map.pages],
    )


def page_path(image_map: ImageMap, path: str | Path) -> Path:
    """Give where the page of a map lies: at a path that ends as a page, unless the map has more than `LARGEST` images.

    Then, and at a path without an ending, it is the ``index.html`` of a folder.
    """
    path = Path(path).expanduser()
    if not is_page(path):
        return path / "index.html"
    return path if len(image_map) <= LARGEST else path.with_suffix("") / "index.html"


def _page_data(image_map: ImageMap) -> str:
    """Give all that the page knows of the images, as JSON that cannot end the element it stands in."""
    labels, names = numbered_classes(image_map)
    contents = {
        "count": len(image_map),
        "side": image_map.side,
        "page": PAGE,
        "points": _packed(sixteen_bits(unit_square(image_map.points))),
        "labels": _packed(labels.astype("<i2")),
        "predictions": _packed(image_map.predictions.astype("<i2")),
        "wrong": _packed(((image_map.targets >= 0) & (image_map.targets != image_map.predictions)).astype("u1")),
        "judged": bool((image_map.targets >= 0).any()),
        "neighbours": _packed(image_map.neighbours.astype("<u4")),
        "near": image_map.neighbours.shape[1],
        "ids": [without_folders(id) for id in image_map.ids.tolist()],
        "classes": names,
        "colours": ["#" + bytes(ink).hex() for ink in class_colours(len(names))],
        "grid": _grid(image_map),
        # A map that is a grid is shown so large that its images just touch.
        "spacing": 1 / max(2.0, math.sqrt(len(image_map)) * 1.1),
    }
    return json.dumps(contents).replace("<", "\\u003c")


def _grid(image_map: ImageMap) -> dict[str, Any] | None:
    """Give the points on the full grid, if there is one beside those of the map."""
    if image_map.cells is None or image_map.shape is None or image_map.best is not None:
        return None
    rows, columns = image_map.shape
    longest = max(rows, columns)
    points = (image_map.cells[:, ::-1] + 0.5 - np.array([columns, rows]) / 2) / longest + 0.5
    return {"points": _packed(sixteen_bits(points)), "spacing": 1 / longest}


def _packed(values: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()
