"""Pages from templates, and the pictures in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from iconoscope.atomic_files import writing_whole
from iconoscope.language import current_language, number, say, spanish_words, term
from iconoscope.results import Result
from iconoscope.results.audit_text import percent
from iconoscope.results.folders import without_folders
from iconoscope.results.rendering import data_uri, to_jpeg, to_png

__all__ = ["Panel", "picture_uri", "write_page"]

CONTROLS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that steer a terminal, a browser's direction of writing, or are halves of characters."""

Shown = TypeVar("Shown", bound=Result)


@dataclass(frozen=True)
class Panel(Generic[Shown]):
    """What the page of a store shows of one result.

    Attributes
    ----------
    result
        The result.
    network
        The name of the network that answered, as the whole page calls it.
    most
        How many images, or classes, are shown at the most.
    """

    result: Shown
    network: str
    most: int


def write_page(path: str | Path, template: str, **contents: Any) -> Path:
    """Fill a template of this folder and write the page whole or not at all.

    Contents are escaped; one that the template wants and does not get is an error.
    """
    environment = Environment(
        loader=PackageLoader("iconoscope.show"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": percent,
        "term": term,
        # What several parts describe, as a style.
        "terms": lambda text: "; ".join(map(term, text.split("; "))),
        "picture": picture_uri,
        "uri": data_uri,
        "without_folders": without_folders,
    }
    environment.globals |= {"lang": current_language(), "number": number, "say": say, "term": term}
    environment.globals["script_words"] = spanish_words()["scripts"] if current_language() == "es" else {}
    # Whether pictures (..., height, width, 3) have so few pixels that a browser must not blur them.
    environment.tests["small"] = lambda pictures: max(pictures.shape[-3:-1]) <= 64
    environment.tests["known"] = lambda number: number == number  # noqa: PLR0124 (NaN is not equal to itself)
    # Names of files, classes and metadata may hold anything; of control characters none is shown by a browser.
    html = CONTROLS.sub(lambda found: repr(found[0])[1:-1], environment.get_template(template).render(contents))
    path = Path(path).expanduser()
    with writing_whole(path) as hidden:
        hidden.write_text(html, encoding="utf-8")
    return path


def picture_uri(pixels: NDArray[np.uint8], *, lossless: int = 128) -> str:
    """Give a picture (height, width, 3) as an address: as PNG up to `lossless` pixels on its longer side, else as JPEG."""
    return data_uri(to_png(pixels) if max(pixels.shape[:2]) <= lossless else to_jpeg(pixels))
