"""The base of all results: a question, a sentence, a figure, a record on disk, a face in a notebook."""

from __future__ import annotations

import html
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from iconoscope.atomic_files import writing_whole
from iconoscope.errors import QuestionError, printable
from iconoscope.results.figure import (
    RESOLUTION,
    bare_figure,
    encoded,
    finish,
    read_resolution,
    shown_figure,
    shown_in_notebook,
)
from iconoscope.results.folders import without_folders
from iconoscope.results.frame import Columns, frame_of, repeated, stacked
from iconoscope.results.question import Question
from iconoscope.results.rendering import to_png
from iconoscope.results.result_folder import Record, naming_damage, read_records, write_record, write_records

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "FIGURES",
    "PAGES",
    "Finding",
    "ImageResult",
    "Result",
    "Series",
    "check_figure_name",
    "figure_names",
    "is_page",
]

FIGURES = (".png", ".pdf", ".svg", ".jpg", ".webp")
PAGES = (".html", ".htm")
"""What can be moved about in, of results that have such a page."""


def check_figure_name(out: str | Path | None, *, pages: Sequence[str] = ()) -> None:
    """See that a figure, or a page with one of these endings, can be written to a name, if there is one.

    Raises
    ------
    QuestionError
        If it ends in something else.
    """
    endings = (*pages, *FIGURES)
    if out is not None and Path(out).suffix.lower() not in endings:
        raise QuestionError(
            f"A figure is not written as {Path(out).name}.", hint=f"A name may end in {', '.join(endings)}."
        )


def is_page(path: str | Path) -> bool:
    """Tell whether a name is that of a page."""
    return Path(path).suffix.lower() in PAGES


def figure_names(count: int, out: str | Path) -> list[Path]:
    """Give the names of figures: of one the name itself, of several with their numbers before its ending.

    >>> [each.name for each in figure_names(2, "maps.png")]
    ['maps-1.png', 'maps-2.png']
    """
    path = Path(out).expanduser()
    return [path] if count == 1 else [path.with_stem(f"{path.stem}-{number}") for number in range(1, count + 1)]


class Finding(ABC):
    """Something that was found: a sentence, plain values, a figure, a face in a notebook."""

    @abstractmethod
    def summary(self) -> str:
        """Say in one sentence what was found."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Give the findings as plain JSON values, without the large arrays."""

    def save(self, path: str | Path, *, dpi: float | None = None) -> Path:
        """Save the figure (a name ending in .png, .pdf, .svg, .jpg or .webp), or everything as a folder.

        A folder saved so is read back with `iconoscope.load_result`, one of several results with ``load`` of its class. What
        was saved there before is written over; a folder with anything else in it is refused.

        Parameters
        ----------
        path
            The name.
        dpi
            Pixels to the inch of a figure. If not given, matplotlib's ``rcParams["savefig.dpi"]`` where that was changed,
            else 150.

        Raises
        ------
        StoreError
            If it cannot be written.
        QuestionError
            If the name ends in something else, or `dpi` is none.
        """
        path = Path(path)
        if path.suffix.lower() in FIGURES:
            figure = self._figure(path.suffix.lower()[1:], dpi=read_resolution(dpi))
            with writing_whole(path) as hidden:
                hidden.write_bytes(figure)
            return path
        if dpi is not None:
            raise QuestionError(
                f"dpi={dpi} is of figures, and {path.name} is none.", hint=f"A figure ends in {', '.join(FIGURES)}."
            )
        if path.suffix and not path.is_dir():
            raise QuestionError(
                f"A result is not saved as {path.suffix}.",
                hint=f"A figure is saved as {', '.join(FIGURES)}; a name without an ending makes a folder with everything.",
            )
        return self._keep(path)

    def to_frame(self, library: str | None = None) -> Any:
        """Give the numbers as a data frame of pandas or polars, one row for each thing that was measured.

        The page of the results in the documentation has the columns of each kind. Classes are there by name and by index.

        Parameters
        ----------
        library
            ``"polars"`` or ``"pandas"``; if not given, the one that is imported already, else the one that is installed.

        Raises
        ------
        MissingExtraError
            If it is not installed, with the line that installs it.
        """
        return frame_of(self._table(), library)

    @abstractmethod
    def _table(self) -> Columns:
        """Give the columns of `to_frame`."""

    @abstractmethod
    def _keep(self, folder: Path) -> Path:
        """Write everything as a folder."""

    def _figure(self, form: str, *, dpi: float = RESOLUTION) -> bytes:
        return encoded(self._drawn(), form, dpi=dpi)

    def _face(self) -> bytes:
        """Give the figure as PNG for a notebook, where the summary stands under it and need not be in it."""
        return self._figure("png")

    @property
    @abstractmethod
    def _extent(self) -> tuple[float, float]:
        """Width and height of the whole figure, inches."""

    @abstractmethod
    def _on(self, figure: Figure) -> Any:
        """Draw the whole on an empty figure and give the axes of what matters most."""

    def _drawn(self) -> Figure:
        """Give a figure of its own, outside pyplot, so that nothing is shown by accident."""
        figure = bare_figure(*self._extent)
        self._on(figure)
        finish(figure)
        return figure

    def _shown(self, **look: Any) -> Any:
        """Draw the whole on a figure that pyplot knows of, with what `_on` takes besides."""
        figure = shown_figure(*self._extent)
        axes = self._on(figure, **look)
        finish(figure)
        return axes

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.summary()}>"

    def _repr_html_(self) -> str:
        summary = html.escape(printable(self.summary()))
        shown = f'<img alt="{summary}" style="max-width:100%" src="{shown_in_notebook(self._face())}">'
        return f'<figure style="margin:0.5em 0">{self._in_notebook(shown)}<figcaption>{summary}</figcaption></figure>'

    def _in_notebook(self, still: str) -> str:
        """Give the HTML of what stands above the summary in a notebook; `still` is the figure."""
        return still


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Result(Finding):
    """A frozen set of NumPy arrays and the question that they answer."""

    kind: ClassVar[str]
    question: Question

    @abstractmethod
    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the result with matplotlib and return the Axes; nothing is shown.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; without it a new figure is made.
        """

    def _stated(self, *names: str) -> dict[str, Any]:
        """Give the kind, the key and the question, and some fields whose values are plain, as every result's JSON begins."""
        values = {name: getattr(self, name) for name in names}
        return {"kind": self.kind, "key": self.question.key, "question": self.question.to_json(), **values}

    def _table(self) -> Columns:
        """Give one row of the plain values in `to_json`, where a kind says no more."""
        values = {name: value for name, value in self.to_json().items() if not isinstance(value, dict | list)}
        return self._rows_of(1, **{name: [value] for name, value in values.items() if name != "kind"})

    def _rows_of(self, count: int, **columns: Any) -> Columns:
        """Give columns of so many rows, after those that say which network and images each row is about."""
        return {
            **repeated(count, network=self.question.network, subject=without_folders(self.question.subject)),
            **columns,
        }

    def pictures(self) -> dict[str, bytes]:
        """Give the PNG files that go beside the arrays in a record, by file name."""
        return {}

    def to_record(self) -> Record:
        """Give the result as it lies on disk; the fields of a nested dataclass have dotted names."""
        flat: dict[str, Any] = {}
        for field in fields(self):
            if field.name != "question":
                flat |= _flattened(field.name, getattr(self, field.name))
        arrays = {name: value for name, value in flat.items() if isinstance(value, np.ndarray)}
        plain = {name: value for name, value in flat.items() if name not in arrays}
        return Record(self.kind, self.question, plain, arrays, self.pictures())

    @classmethod
    def from_record(cls, record: Record) -> Self:
        """Make the result again of which `to_record` gave the record.

        Raises
        ------
        KeyError, TypeError, ValueError
            If the record lacks a field, or has one that the class has not.
        """
        return _nested(cls, {"question": record.question, **record.fields, **record.arrays})

    def _keep(self, folder: Path) -> Path:
        return write_record(self.to_record(), folder, replace=True)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ImageResult(Result):
    """A result about one unit's answers to one image.

    Attributes
    ----------
    target : int
        Which output was asked about.
    target_origin : str
        Why that one: ``"asked"``, ``"label"`` (the right class) or ``"prediction"`` (there is no label).
    names : tuple of str
        The outputs: the classes, or the channels of the layer.
    measure : str
        What the numbers are: ``"probability"``, ``"logit"``, ``"mean activation"``, ...
    picture : ndarray of uint8, (height, width, 3)
        The photograph as the network saw it.
    """

    target: int
    target_origin: str
    names: tuple[str, ...]
    measure: str
    picture: NDArray[np.uint8]

    def _target_columns(self, count: int, **columns: Any) -> Columns:
        """Give columns as `_rows_of` does, with the class or channel that was asked about before them."""
        target = {"target": self.names[self.target], "target_index": self.target, "measure": self.measure}
        return self._rows_of(count, **repeated(count, **target), **columns)

    def to_json(self) -> dict[str, Any]:
        """Give the question, what was asked about, and why that."""
        return {
            **self._stated(),
            "target": self.names[self.target],
            "target_origin": self.target_origin,
            "measure": self.measure,
        }

    def pictures(self) -> dict[str, bytes]:
        """Give the photograph as the network saw it."""
        return {"picture.png": to_png(self.picture)}


@dataclass(frozen=True, eq=False, repr=False)
class Series(Finding):
    """Several results about the same, kept as one folder."""

    kind: ClassVar[str]
    _of: ClassVar[type[Result]]
    _alike: ClassVar[Mapping[str, Callable[[Any], Any]]]
    """What all of them have in common, in words, and how it is read off one."""
    results: tuple[Any, ...]

    def _table(self) -> Columns:
        return stacked([result._table() for result in self.results])

    def _unlike(self) -> Iterator[tuple[Any, str]]:
        """Give every result that differs from the first in what all should have in common, and in what."""
        first, *others = self.results
        for other in others:
            differing = [trait for trait, read in self._alike.items() if read(first) != read(other)]
            if differing:
                yield other, ", ".join(differing)

    def _keep_under(self, labels: Sequence[str], folder: Path) -> Path:
        """Write everything as a folder, every result under a label of its own."""
        names = ["".join(sign if sign.isalnum() or sign in "-_." else "-" for sign in label) for label in labels]
        records = {
            name.lstrip(".") or "result": result.to_record() for name, result in zip(names, self.results, strict=True)
        }
        return write_records(self.kind, records, folder)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read back what `save` wrote as a folder.

        Raises
        ------
        StoreError
            If it is not there, or a record of it cannot be read.
        """
        records = read_records(cls.kind, Path(folder))
        with naming_damage(Path(folder)):
            return cls(tuple(cls._of.from_record(record) for record in records))


def _flattened(name: str, value: Any) -> dict[str, Any]:
    if not is_dataclass(value):
        return {name: value}
    flat: dict[str, Any] = {}
    for field in fields(value):
        flat |= _flattened(f"{name}.{field.name}", getattr(value, field.name))
    return flat


def _nested(cls: Any, flat: Mapping[str, Any]) -> Any:
    values: dict[str, Any] = {}
    inner: dict[str, dict[str, Any]] = {}
    for dotted, value in flat.items():
        name, _, inner_name = dotted.partition(".")
        if inner_name:
            inner.setdefault(name, {})[inner_name] = value
        else:
            values[name] = value
    for name, inner_fields in inner.items():
        annotation = get_type_hints(cls)[name]  # a dataclass, or one or None
        nested_class = next(choice for choice in (annotation, *get_args(annotation)) if is_dataclass(choice))
        values[name] = _nested(nested_class, inner_fields)
    return cls(**values)
