"""One value for each of very many rows, as an image's id or label: given row by row, and never all as Python's objects.

A million names as a list are 70 MB, and every process that reads or records the set would have them. A `Column` reads like a
tuple and is equal to one. Behind it is a rule by which names are composed, a column of Arrow's (mapped from a file, it is not
in memory at all), codes of few values, or rows of another column.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

__all__ = ["ArrowColumn", "ChosenRows", "CodedColumn", "Column", "NumberedNames", "text_column"]

_PART = 2**14
"""Rows that are Python's objects at once."""

_FEW = 2**15
"""Texts up to which a list of them stays one."""

_MANY = 2**20
"""Texts in one piece: Arrow counts their letters in 32 bits."""


class Column(Sequence[Any]):
    """A value for every row, as an immutable sequence: equal to a tuple or list of the same values, and hashed as the tuple."""

    @abstractmethod
    def part(self, first: int, stop: int) -> Sequence[Any]:
        """Give the values of the rows from `first` to before `stop`, as a list or tuple."""

    def arrow(self, first: int, stop: int) -> Any:
        """Give the same as a pyarrow.Array, to be compared at once."""
        import pyarrow

        return pyarrow.array(list(self.part(first, stop)))

    def chosen(self, rows: Iterable[int]) -> list[Any]:
        """Give the values of any rows, in their order."""
        return [self[row] for row in rows]

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Any, ...]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            rows = range(len(self))[index]
            if rows.step == 1:
                return tuple(self.part(rows.start, max(rows.start, rows.stop)))
            return tuple(self[row] for row in rows)
        row = range(len(self))[index]  # which raises IndexError
        return self.part(row, row + 1)[0]

    def __iter__(self) -> Iterator[Any]:
        for first in range(0, len(self), _PART):
            yield from self.part(first, min(first + _PART, len(self)))

    def __contains__(self, value: object) -> bool:
        return any(value == other for other in self)

    def index(self, value: Any, start: int = 0, stop: int | None = None) -> int:
        """Give the first row with a value. Raises ValueError where there is none."""
        for row, other in enumerate(self):
            if other == value and row in range(len(self))[start:stop]:
                return row
        raise ValueError(f"{value!r} is not in the column")

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Column | tuple | list):
            return NotImplemented
        if len(self) != len(other):
            return False
        if isinstance(other, Column) and len(self) > _PART:
            return all(_are_equal(self, other, first, stop) for first, stop in _parts(len(self)))
        return all(own == its for own, its in zip(self, other, strict=True))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))


class NumberedNames(Column):
    """Names that are composed of a text and the row's number, beginning anew with each of several texts.

    Parameters
    ----------
    texts
        What stands before the number.
    ends
        The row after the last with each text.
    digits
        Of the number at least, zeros before it.

    Examples
    --------
    >>> names = NumberedNames(["a#", "b#"], [2, 3])
    >>> names
    ('a#0', 'a#1', 'b#0')
    >>> names == ["a#0", "a#1", "b#0"], names[-1], names[1:], names.index("b#0")
    (True, 'b#0', ('a#1', 'b#0'), 2)
    """

    def __init__(self, texts: Sequence[str], ends: Sequence[int], digits: int = 1) -> None:
        self._texts, self._ends, self._digits = tuple(texts), np.array(ends, np.int64), digits

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def _stretches(self, first: int, stop: int) -> Iterator[tuple[str, int, int]]:
        """Give the texts of some rows, and from and to which number each goes."""
        number = int(np.searchsorted(self._ends, first, side="right"))
        while first < stop:
            begin, end = int(self._ends[number - 1]) if number else 0, int(self._ends[number])
            last = min(end, stop)
            if last > first:
                yield self._texts[number], first - begin, last - begin
            first, number = last, number + 1

    def part(self, first: int, stop: int) -> list[str]:
        """Compose the names of some rows."""
        digits = self._digits
        return [
            f"{text}{number:0{digits}d}"
            for text, begin, end in self._stretches(first, stop)
            for number in range(begin, end)
        ]

    def arrow(self, first: int, stop: int) -> Any:
        """Compose them at once."""
        import pyarrow
        from pyarrow import compute

        made: list[Any] = []
        for text, begin, end in self._stretches(first, stop):
            numbers = compute.cast(_arrow_numbers(np.arange(begin, end, dtype=np.int64)), pyarrow.string())
            padded = compute.utf8_lpad(numbers, width=self._digits, padding="0")  # pyright: ignore[reportAttributeAccessIssue]
            joined = compute.binary_join_element_wise(text, padded, "")  # pyright: ignore[reportAttributeAccessIssue]
            made.append(joined)
        return pyarrow.concat_arrays(made) if made else pyarrow.array([], pyarrow.string())


class CodedColumn(Column):
    """Values of which few differ, such as labels: each once, and for every row which of them it is, four bytes.

    Parameters
    ----------
    codes
        (rows,) of every row the place of its value among the values.
    values
        The different ones.

    Examples
    --------
    >>> labels = CodedColumn.of(["cat", None, "cat"])
    >>> labels, labels[-1], labels[1:]
    (('cat', None, 'cat'), 'cat', (None, 'cat'))
    """

    def __init__(self, codes: NDArray[np.int32], values: Sequence[Any]) -> None:
        self.codes, self.values = codes, tuple(values)

    @classmethod
    def of(cls, values: Iterable[Any]) -> CodedColumn:
        """Give every value the number in which it comes first."""
        code_of: dict[Any, int] = {}
        codes = np.fromiter((code_of.setdefault(value, len(code_of)) for value in values), np.int32)
        return cls(codes, tuple(code_of))

    @classmethod
    def joined(cls, columns: Sequence[CodedColumn]) -> CodedColumn:
        """Put the rows of several behind each other.

        >>> CodedColumn.joined([CodedColumn.of(["a", "b"]), CodedColumn.of(["b", "c"])])
        ('a', 'b', 'b', 'c')
        """
        places = cls.of(value for column in columns for value in column.values)
        ends = np.cumsum([len(column.values) for column in columns])
        codes = [
            places.codes[end - len(column.values) : end][column.codes]
            for column, end in zip(columns, ends.tolist(), strict=True)
        ]
        return cls(np.concatenate(codes) if codes else np.zeros(0, np.int32), places.values)

    def __len__(self) -> int:
        return len(self.codes)

    def part(self, first: int, stop: int) -> list[Any]:
        """Give the values of some rows."""
        return [self.values[code] for code in self.codes[first:stop].tolist()]


class ArrowColumn(Column):
    """A column of Arrow's, in memory or mapped from a file.

    Parameters
    ----------
    values
        A pyarrow.Array or pyarrow.ChunkedArray.

    Examples
    --------
    >>> import pyarrow
    >>> labels = ArrowColumn(pyarrow.array(["cat", None, "cat"]).dictionary_encode())
    >>> labels, labels[0], set(labels) == {"cat", None}
    (('cat', None, 'cat'), 'cat', True)
    """

    def __init__(self, values: Any) -> None:
        self._values = values

    def __len__(self) -> int:
        return len(self._values)

    def part(self, first: int, stop: int) -> list[Any]:
        """Give the values of some rows."""
        return self._values.slice(first, stop - first).to_pylist()

    def chosen(self, rows: Iterable[int]) -> list[Any]:
        """Give the values of any rows, taken at once."""
        return self._values.take(_arrow_numbers(np.fromiter(rows, np.int64))).to_pylist()

    def arrow(self, first: int, stop: int) -> Any:
        """Give them as they are."""
        import pyarrow

        values = self._values.slice(first, stop - first)
        values = values.combine_chunks() if isinstance(values, pyarrow.ChunkedArray) else values
        return values.dictionary_decode() if pyarrow.types.is_dictionary(values.type) else values


class ChosenRows(Column):
    """Some rows of a column, or of any sequence, in an order of their own.

    Examples
    --------
    >>> ChosenRows(("a", "b", "c"), np.array([2, 0]))
    ('c', 'a')
    """

    def __init__(self, column: Sequence[Any], rows: NDArray[np.integer[Any]] | range) -> None:
        self._column, self._rows = column, rows

    def __len__(self) -> int:
        return len(self._rows)

    def part(self, first: int, stop: int) -> Sequence[Any]:
        """Give the values of some rows, at once where they follow each other."""
        rows, column = self._rows[first:stop], self._column
        if isinstance(rows, range) and rows.step == 1:
            return column.part(rows.start, rows.stop) if isinstance(column, Column) else column[rows.start : rows.stop]
        numbers = rows if isinstance(rows, range) else rows.tolist()
        return column.chosen(numbers) if isinstance(column, Column) else [column[row] for row in numbers]

    def arrow(self, first: int, stop: int) -> Any:
        """Give them from the column where they follow each other."""
        rows, column = self._rows[first:stop], self._column
        if isinstance(rows, range) and rows.step == 1 and isinstance(column, Column):
            return column.arrow(rows.start, rows.stop)
        return super().arrow(first, stop)


def _arrow_numbers(numbers: NDArray[np.int64]) -> Any:
    """Give numbers as Arrow's: by their bytes, since pyarrow.array imports pandas where it finds it, a quarter of a second."""
    import pyarrow

    return pyarrow.Array.from_buffers(pyarrow.int64(), len(numbers), [None, pyarrow.py_buffer(numbers)])


def text_column(texts: Sequence[str]) -> Sequence[str]:
    """Keep texts as Arrow does, with four or eight bytes a row beside their letters, where they are many.

    >>> text_column(["a", "b"])
    ['a', 'b']
    """
    if len(texts) <= _FEW:
        return texts
    import pyarrow

    try:
        return ArrowColumn(pyarrow.chunked_array([texts[at : at + _MANY] for at in range(0, len(texts), _MANY)]))
    except UnicodeEncodeError:  # names of files that are no text
        return texts


def _parts(count: int) -> Iterator[tuple[int, int]]:
    """Cut rows into parts that are compared at once."""
    size = 16 * _PART
    for first in range(0, count, size):
        yield first, min(first + size, count)


def _are_equal(one: Column, other: Column, first: int, stop: int) -> bool:
    """Compare some rows of two columns; texts as Arrow holds them, whose offsets may be shorter or longer."""
    from pyarrow import types

    arrays = [column.arrow(first, stop) for column in (one, other)]
    if all(types.is_string(array.type) or types.is_large_string(array.type) for array in arrays):
        return arrays[0].equals(arrays[1].cast(arrays[0].type))
    return list(one.part(first, stop)) == list(other.part(first, stop))
