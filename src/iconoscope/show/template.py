"""Pages from templates, and the pictures in them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from iconoscope.atomic_files import writing_whole
from iconoscope.results.rendering import data_uri, to_jpeg, to_png

__all__ = ["picture_uri", "pixelated", "write_page"]


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
    environment.filters["percent"] = lambda share: "-" if math.isnan(share) else f"{share:.0%}"
    html = environment.get_template(template).render(contents)
    path = Path(path).expanduser()
    with writing_whole(path) as aside:
        aside.write_text(html, encoding="utf-8")
    return path


def picture_uri(pixels: NDArray[np.uint8], *, lossless: int = 128) -> str:
    """Give a picture (height, width, 3) as an address: as PNG up to `lossless` pixels on its longer side, else as JPEG."""
    return data_uri(to_png(pixels) if max(pixels.shape[:2]) <= lossless else to_jpeg(pixels))


def pixelated(height: int, width: int) -> bool:
    """Tell whether a picture is so small that a browser must not blur its pixels."""
    return max(height, width) <= 64
