"""A map of images as one page to move about in: it holds all thumbnails, and opens anywhere."""

from __future__ import annotations

import base64
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iconoscope.results.atlas import PAGE
from iconoscope.results.image_map import ImageMap, class_colours
from iconoscope.show.template import read_template
from iconoscope.store.result_folder import writing_whole

__all__ = ["map_page"]

_STEPS = 65535  # places are kept in 16 bits: a thousandth of a thumbnail on a map that fills a screen a hundred times


def map_page(found: ImageMap, path: str | Path, *, title: str = "") -> Path:
    """Write a map as one self-contained HTML page: move, zoom, point at an image, follow its neighbours.

    The page needs a browser with WebGL2 and no network connection; 60,000 images of 32 pixels make about 29 MB.

    Parameters
    ----------
    found
        What `map_images` gave.
    path
        Where to write the page.
    title
        Its heading; one is made if none is given.

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    StoreError
        If the page cannot be written.
    """
    path = Path(path).expanduser()
    html = read_template("map.html.j2").render(
        title=title or f"What {found.question.network} finds alike",
        summary=found.summary(),
        subject=found.question.subject,
        data=_data(found),
        pages=[base64.b64encode(page).decode() for page in found.pages],
    )
    with writing_whole(path) as aside:
        aside.write_text(html, encoding="utf-8")
    return path


def _data(found: ImageMap) -> str:
    """Give all that the page knows of the images, as JSON that cannot end the element it stands in."""
    labels, names = _classes(found)
    low, high = found.points.min(0), found.points.max(0)
    span = max(float((high - low).max()), 1e-12)
    places = ((found.points - (low + high) / 2) / span + 0.5).clip(0, 1) * _STEPS
    told = {
        "count": len(found),
        "side": found.side,
        "page": PAGE,
        "places": _packed(places.round().astype("<u2")),
        "labels": _packed(labels.astype("<i2")),
        "predictions": _packed(found.predictions.astype("<i2")),
        "wrong": _packed(((found.targets >= 0) & (found.targets != found.predictions)).astype("u1")),
        "judged": bool((found.targets >= 0).any()),
        "neighbours": _packed(found.neighbours.astype("<u4")),
        "near": found.neighbours.shape[1],
        "ids": found.ids.tolist(),
        "classes": names,
        "colours": ["#" + bytes(ink).hex() for ink in class_colours(len(names))],
        "grid": _grid(found),
        # A map that is a grid is shown so large that its images just touch.
        "spacing": 1 / max(2.0, math.sqrt(len(found)) * 1.1),
    }
    return json.dumps(told).replace("<", "\\u003c")


def _classes(found: ImageMap) -> tuple[NDArray[np.int64], list[str]]:
    """Give labels numbers: those that are classes of the network theirs, others later ones; -1 where there is none."""
    names = list(found.classes)
    numbers = found.targets.copy()
    for place in np.flatnonzero((found.targets < 0) & (found.labels != "")).tolist():
        label = str(found.labels[place])
        if label not in names[len(found.classes) :]:
            names.append(label)
        numbers[place] = len(found.classes) + names[len(found.classes) :].index(label)
    return numbers, names


def _grid(found: ImageMap) -> dict[str, Any] | None:
    """Give the places on the full grid, if there is one beside the points."""
    if found.cells is None or found.shape is None or found.best is not None:
        return None
    rows, columns = found.shape
    longest = max(rows, columns)
    across = (found.cells[:, ::-1] + 0.5 - np.array([columns, rows]) / 2) / longest + 0.5
    return {"places": _packed((across * _STEPS).round().astype("<u2")), "spacing": 1 / longest}


def _packed(values: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode()
