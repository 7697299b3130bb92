"""A set of images: stable ids, labels, and pixels one image at a time."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from iconoscope.columns import ChosenRows
from iconoscope.errors import ImageFileError, ImagesError, QuestionError, shortened, warn
from iconoscope.signatures import checked
from iconoscope.subject.images.decoding import image_reason
from iconoscope.subject.images.image import Image
from iconoscope.subject.images.pillow_modes import DEPTHS
from iconoscope.subject.images.source import Label, Source
from iconoscope.vocabulary.resolver import Names

__all__ = ["Images"]

DARK = 65
"""A level that no image reaches whose 14 bits, or fewer, were read as 16."""

LOOKED_AT = 16
"""Images at most, of a dark set, whose bits are looked at."""

PREVIEWED = 8
"""Images at most in the preview of a set in a notebook."""

SIDE = 96
"""Pixels of their longer side."""


class Images(Sequence[Image]):
    """Images by position; ``[3]`` is an `Image`, ``[:100]``, ``[[3, 5]]`` and a bool array give `Images`.

    Made by `load_images`. It holds a source and row numbers, no pixels: an `Image` decodes when it is asked to.

    Parameters
    ----------
    source : Source
        Where they come from.
    rows : ndarray, optional
        (n,) which rows of the source, in which order. All of them by default.

    Attributes
    ----------
    unreadable : dict of str to str
        The ids that `readable` had to leave out so far, and why.

    Examples
    --------
    >>> import numpy as np
    >>> from iconoscope.subject.images import load_images
    >>> images = load_images(np.zeros((4, 8, 8, 3), np.uint8), labels=["car", "bird", "car", "car"])
    >>> images
    <4 images from uint8 array (4, 8, 8, 3): car 3, bird 1>
    >>> images.where(label="car").ids
    ('000000', '000002', '000003')
    >>> images[1:].sample(2, seed=0).ids
    ('000002', '000003')
    >>> [image.pixels.shape for image in images[:2].readable()]
    [(8, 8, 3), (8, 8, 3)]
    """

    def __init__(self, source: Source, rows: NDArray[np.intp] | range | None = None) -> None:
        self._source = source
        self._rows = range(len(source)) if rows is None else rows
        self.unreadable: dict[str, str] = {}

    @property
    def rows(self) -> tuple[Source, NDArray[np.intp]]:
        """The source, and the row of it that each image is."""
        rows = self._rows
        return self._source, np.arange(rows.start, rows.stop, rows.step) if isinstance(rows, range) else rows

    @property
    def source(self) -> str:
        """Origin of the images: a path, or a description of the arrays."""
        return self._source.origin

    @property
    def label_names(self) -> tuple[str, ...]:
        """The names of the classes in the source's own order (class folders sorted), or ``()``."""
        return self._source.label_names

    @property
    def ids(self) -> Sequence[str]:
        """The ids, unique and the same in every run: read like a tuple, and equal to one."""
        return ChosenRows(self._source.ids, self._rows)

    @property
    def labels(self) -> Sequence[Label]:
        """The labels, None where there is none."""
        source = self._source
        if source.labels is not None and type(source).label is Source.label:
            return ChosenRows(source.labels, self._rows)
        return [source.label(row) for row in self._row_numbers()]

    def _row_numbers(self) -> Iterable[int]:
        return self._rows if isinstance(self._rows, range) else self._rows.tolist()

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int | np.integer[Any]) -> Image: ...
    @overload
    def __getitem__(self, index: slice | Sequence[int] | NDArray[Any]) -> Images: ...
    def __getitem__(self, index: int | np.integer[Any] | slice | Sequence[int] | NDArray[Any]) -> Image | Images:
        if isinstance(index, slice):
            return Images(self._source, self._rows[index])
        if isinstance(index, int | np.integer) and not isinstance(index, bool):
            if not -len(self) <= index < len(self):
                raise IndexError(f"There is no image {index}; there are {len(self)}.")
            row = int(self._rows[index])
            return Image(self._source.ids[row], self._source.label(row), self._source, row)
        return Images(self._source, self.rows[1][self._positions(index)])

    def _positions(self, index: Any) -> NDArray[Any]:
        positions = np.asarray(index)
        if positions.dtype == np.bool_ and positions.shape == (len(self),):
            return positions
        if isinstance(index, list | tuple) and not index:
            return np.array([], np.intp)
        if positions.ndim != 1 or positions.dtype.kind not in "iu":
            raise QuestionError(
                f"Images are not chosen by {shortened([repr(index)])}.",
                hint=f"Give a position, a slice, a list of positions, or an array of {len(self)} bools.",
            )
        if wrong := [number for number in positions.tolist() if not -len(self) <= number < len(self)]:
            raise IndexError(f"There are no images {shortened(map(str, wrong))}; there are {len(self)}.")
        if len(np.unique(positions % len(self))) != len(positions):
            raise QuestionError("A position is given twice, and ids are unique.", hint="Give every position once.")
        return positions

    @checked
    def where(self, *, label: Label) -> Images:
        """Give the images with the label: its name (case, ``_`` and ``-`` aside), or its index in `label_names`.

        Raises `QuestionError` for a label that there is not.
        """
        labels = self.labels
        distinct = tuple(dict.fromkeys([*self.label_names, *(other for other in labels if other is not None)]))
        if label is not None and label not in distinct:
            names = Names(tuple(map(str, distinct)), self.source, "label", indexed=len(self.label_names))
            label = distinct[names.index(label)]
        return self[np.array([other == label for other in labels], np.bool_)]

    @checked
    def sample(self, count: int, seed: int = 0) -> Images:
        """Give ``count`` images at random, none twice, in the order they have here; the same for the same seed."""
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or not 0 <= count <= len(self):
            raise QuestionError(f"A sample of {count!r} cannot be taken.", hint=f"Give a count from 0 to {len(self)}.")
        chosen = np.random.default_rng(seed).choice(len(self), count, replace=False)
        return self[np.sort(chosen)]

    def readable(self) -> Iterator[Image]:
        """Yield the images, decoded, and leave out those that cannot be read.

        What is left out is entered in `unreadable`, and said in one `IconoscopeWarning` at the end.

        Raises
        ------
        ImageFileError
            The only image there is cannot be read.
        ImagesError
            None can be read, or there are none.
        """
        failed: dict[str, str] = {}
        dark = True
        for image in self:
            try:
                dark = bool(image.pixels.max() < DARK) and dark
            except ImageFileError as error:
                if len(self) == 1:
                    raise
                failed[image.id] = self.unreadable[image.id] = image_reason(error, image.id)
            else:
                self.unreadable.pop(image.id, None)
                yield image
        if dark:
            self.say_depth()
        if not len(self):
            raise ImagesError(f"There are no images to read: an empty selection from {self.source}.")
        listed = shortened((f"{id} ({reason})" for id, reason in failed.items()), most=5)
        if len(failed) == len(self):
            raise ImagesError(f"None of the {len(self)} images from {self.source} could be read: {listed}.")
        if failed:
            warn(f"{len(failed)} of {len(self)} images could not be read and were left out: {listed}.")

    def say_depth(self) -> None:
        """Warn where the values of all images end at fewer bits than the 16 in which they are stored; some are looked at."""
        depths: set[int] = set()
        # The last was read last, and may still be at hand.
        for row in self[:: -max(1, len(self) // LOOKED_AT)]._row_numbers():
            try:
                depths.add(self._source.depth(row))
            except ImagesError:  # it is said elsewhere that it cannot be read
                continue
            if max(depths) not in DEPTHS:
                return
        if depths:
            bits = max(depths)
            warn(
                f"The images from {self.source} are stored in 16 bits, and no value is over {2**bits - 1}, the last of {bits} "
                f"bits: they are nearly black. If they are of {bits} bits, say so: bits={bits} (--bits {bits})."
            )

    def __repr__(self) -> str:
        count = f"{len(self)} image" + "s" * (len(self) != 1)
        counts = Counter(str(label) for label in self.labels if label is not None)
        named = shortened((f"{label} {number}" for label, number in counts.most_common()), most=6)
        return f"<{count} from {self.source}{': ' + named if named else ''}>"

    def _repr_html_(self) -> str:
        figures = "".join(_preview(image) for image in islice(self, PREVIEWED))
        title = html.escape(repr(self)[1:-1])
        return f'<div><p>{title}</p><div style="display:flex;flex-wrap:wrap;gap:8px">{figures}</div></div>'


def _preview(image: Image) -> str:
    """Write an image as a figure of HTML, small, with its name; one that cannot be read shows why."""
    from PIL import Image as PillowImage

    from iconoscope.results.rendering import data_uri, to_png

    name = html.escape(image.id if image.label is None else f"{image.id} · {image.label}")
    try:
        thumbnail = PillowImage.fromarray(image.pixels)
        thumbnail.thumbnail((SIDE, SIDE))
        picture = f'<img alt="{name}" src="{data_uri(to_png(np.asarray(thumbnail)))}">'
    except ImageFileError as error:
        picture = f"<em>{html.escape(error.message)}</em>"
    caption = f'<figcaption style="font-size:smaller">{name}</figcaption>'
    return f'<figure style="margin:0;width:{SIDE}px">{picture}{caption}</figure>'
