"""The preview of a set of images in a notebook: the first few, small, with their names."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable
from itertools import islice

from iconoscope.errors import ImageFileError
from iconoscope.subject.images.image import Image
from iconoscope.subject.images.source import Pixels

__all__ = ["preview_html"]

COUNT = 8
SIDE = 96  # pixels


def preview_html(images: Iterable[Image], title: str) -> str:
    """Write the first eight images as figures, with the title above; one that cannot be read shows why."""
    figures = "".join(_figure(image) for image in islice(images, COUNT))
    return f'<div><p>{html.escape(title)}</p><div style="display:flex;flex-wrap:wrap;gap:8px">{figures}</div></div>'


def _figure(image: Image) -> str:
    name = html.escape(image.id if image.label is None else f"{image.id} · {image.label}")
    try:
        picture = f'<img alt="{name}" src="data:image/png;base64,{_thumbnail(image.pixels)}">'
    except ImageFileError as error:
        picture = f"<em>{html.escape(error.message)}</em>"
    caption = f'<figcaption style="font-size:smaller">{name}</figcaption>'
    return f'<figure style="margin:0;width:{SIDE}px">{picture}{caption}</figure>'


def _thumbnail(pixels: Pixels) -> str:
    from PIL import Image as PillowImage

    picture = PillowImage.fromarray(pixels)
    picture.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
