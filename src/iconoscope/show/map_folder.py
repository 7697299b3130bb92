"""A map of very many images as a folder: a page, and files that it fetches where one looks."""

from __future__ import annotations

import base64
import gzip
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iconoscope.atomic_files import temporary_folder, writing_folder_whole, writing_to
from iconoscope.errors import StoreError
from iconoscope.language import say
from iconoscope.progress import advancing
from iconoscope.results.atlas import sheets_of_thumbnails
from iconoscope.results.folders import without_folders
from iconoscope.results.image_map import ImageMap, class_colours
from iconoscope.results.sixteen_bits import sixteen_bits
from iconoscope.show.map_quadtree import ACROSS, Quadtree, quadtree
from iconoscope.show.template import write_page

__all__ = ["map_folder", "numbered_classes"]

_POINTS = (
    65536  # images in a file of points: the first holds the coarsest tiles, and is fetched before anything is drawn
)
_DETAILS = 4096  # images in a file of ids, or of neighbours
_QUALITY = 82  # of JPEG
_SAMPLE = 24  # sheets by which the size of all is estimated
_PAGE = "index.html"


def map_folder(image_map: ImageMap, folder: str | Path, *, title: str = "", lead: str = "") -> Path:
    """Write a map as a folder that any web server can give out; how many files and megabytes is said before.

    Settings are those of `report`. What is there already is written over, if it is such a folder.

    Returns
    -------
    Path
        Of the page, ``index.html`` in the folder.

    Raises
    ------
    StoreError
        If it cannot be written, or something else is there.
    """
    folder = Path(folder).expanduser()
    _check_free(folder)
    with _thumbnails(image_map) as thumbnails, writing_folder_whole(folder, _is_map, replace=True) as hidden:
        tree = quadtree(image_map.points)
        files, size = _planned(tree, thumbnails)
        with advancing(f"writing {files:,} files, about {size / 1e6:,.0f} MB", files) as advance:
            write_page(
                hidden / _PAGE,
                "map.html.j2",
                title=title or say("What {network} finds alike", network=image_map.question.network),
                lead=lead,
                summary=image_map.summary(),
                subject=image_map.question.subject_name,
                data=json.dumps(_page_data(image_map, tree)).replace("<", "\\u003c"),
                pages=[],
            )
            advance(1)
            for name, content in _files(image_map, tree, thumbnails):
                hidden_file = hidden / name
                hidden_file.parent.mkdir(exist_ok=True)
                hidden_file.write_bytes(content)
                advance(1)
    return folder / _PAGE


def _check_free(folder: Path) -> None:
    """See that a folder can be written before all else is done for it: it is none, empty, or a map's."""
    with writing_to(folder):
        is_taken = folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))
    if is_taken and not _is_map(folder):
        what = "the folder holds something else than a map" if folder.is_dir() else "it is a file"
        raise StoreError(
            f"{folder} cannot be written as a map: {what}.",
            hint="Nothing in it was touched. Name a folder that is not there, an empty one, or one that a map was written to.",
        )


def _is_map(folder: Path) -> bool:
    return (folder / _PAGE).is_file() and (folder / "tiles").is_dir() and (folder / "points").is_dir()


@contextmanager
def _thumbnails(image_map: ImageMap) -> Iterator[NDArray[np.uint8]]:
    """Give all thumbnails, (n, side, side, 3), in a file: pages of them are read in order, tiles want them in another."""
    side = image_map.side
    with temporary_folder("iconoscope-map-") as folder:
        unpacked = np.memmap(folder / "thumbnails", np.uint8, "w+", shape=(len(image_map), side, side, 3))
        with advancing("reading thumbnails", len(image_map)) as advance:
            first = 0
            for sheet in sheets_of_thumbnails(image_map.pages, len(image_map), side):
                unpacked[first : first + len(sheet)] = sheet
                first += len(sheet)
                advance(len(sheet))
        yield unpacked


def _planned(tree: Quadtree, thumbnails: NDArray[np.uint8]) -> tuple[int, float]:
    """Give how many files there will be, and about how many bytes, from some of the sheets."""
    count, tiles = len(tree.rows), len(tree)
    files = 1 + tiles + -(-count // _POINTS) + 2 * -(-count // _DETAILS)
    some = np.unique(np.linspace(0, tiles - 1, min(_SAMPLE, tiles)).astype(int))
    images = sum(int(tree.firsts[tile + 1] - tree.firsts[tile]) for tile in some)
    sheets = sum(len(_sheet(tree, tile, thumbnails)) for tile in some) * count / images
    return files, sheets + 60.0 * count + 18.0 * tiles


def _files(image_map: ImageMap, tree: Quadtree, thumbnails: NDArray[np.uint8]) -> Iterator[tuple[str, bytes]]:
    """Give the files beside the page and what is in them."""
    labels, _ = numbered_classes(image_map)
    places = sixteen_bits(tree.places_in_tiles())
    for number, first in enumerate(range(0, len(tree.rows), _POINTS)):
        part = slice(first, first + _POINTS)
        rows = tree.rows[part]
        columns = (
            rows.astype("<u4"), places[part], labels[rows].astype("<i2"), image_map.predictions[rows].astype("<i2"),
            tree.depths[part],
        )  # fmt: skip
        yield f"points/{number}.bin", b"".join(np.ascontiguousarray(column).tobytes() for column in columns)
    place_of_row = np.empty(len(tree.rows), "<u4")
    place_of_row[tree.rows] = np.arange(len(tree.rows))
    for number, first in enumerate(range(0, len(tree.rows), _DETAILS)):
        rows = tree.rows[first : first + _DETAILS]
        ids = json.dumps([without_folders(identity) for identity in image_map.ids[rows].tolist()])
        yield f"ids/{number}.bin", gzip.compress(ids.encode(), mtime=0)
        yield f"near/{number}.bin", place_of_row[image_map.neighbours[rows]].tobytes()
    for tile in range(len(tree)):
        yield f"tiles/{tile}.jpg", _sheet(tree, tile, thumbnails)


def _sheet(tree: Quadtree, tile: int, thumbnails: NDArray[np.uint8]) -> bytes:
    """Give the thumbnails of a tile in rows of `ACROSS`, as JPEG."""
    from PIL import Image

    rows = tree.rows[tree.firsts[tile] : tree.firsts[tile + 1]]
    side = thumbnails.shape[1]
    lines = -(-len(rows) // ACROSS)
    cells = np.full((lines * ACROSS, side, side, 3), 255, np.uint8)
    cells[: len(rows)] = thumbnails[rows]
    sheet = cells.reshape(lines, ACROSS, side, side, 3).swapaxes(1, 2).reshape(lines * side, ACROSS * side, 3)
    file = io.BytesIO()
    Image.fromarray(sheet).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def _page_data(image_map: ImageMap, tree: Quadtree) -> dict[str, Any]:
    _, names = numbered_classes(image_map)
    tiles = {"levels": tree.levels, "columns": tree.columns.astype("<u4"), "lines": tree.lines.astype("<u4")}
    tiles["firsts"] = tree.firsts.astype("<u4")
    return {
        "count": len(image_map),
        "side": image_map.side,
        "page": ACROSS * image_map.side,
        "near": image_map.neighbours.shape[1],
        "answers": len(image_map.classes),
        "judged": bool((image_map.targets >= 0).any()),
        "classes": names,
        "colours": ["#" + bytes(ink).hex() for ink in class_colours(len(names))],
        "tiles": {name: base64.b64encode(values.tobytes()).decode() for name, values in tiles.items()},
        "deepest": int(tree.depths.max()),
        "points": _POINTS,
        "details": _DETAILS,
    }


def numbered_classes(image_map: ImageMap) -> tuple[NDArray[np.int64], list[str]]:
    """Give labels numbers: those that are classes of the network theirs, others later ones; -1 where there is none."""
    others: dict[str, int] = {}
    numbers = image_map.targets.copy()
    for row in np.flatnonzero((image_map.targets < 0) & (image_map.labels != "")).tolist():
        numbers[row] = others.setdefault(str(image_map.labels[row]), len(image_map.classes) + len(others))
    return numbers, [*image_map.classes, *others]
