"""Columns hold what a tuple of the same values holds, however they hold it."""

import pickle
from collections.abc import Sequence

import numpy as np
import pyarrow
import pytest

from iconoscope import columns
from iconoscope.columns import ArrowColumn, ChosenRows, CodedColumn, Column, NumberedNames, text_column

NAMES = ("a#0", "a#1", "b#0", "c#0", "c#1", "c#2")


def kinds() -> dict[str, Column]:
    """The same names, held in each way."""
    chunks = [list(NAMES[:2]), [], list(NAMES[2:])]
    return {
        "numbered": NumberedNames(["a#", "b#", "nothing", "c#"], [2, 3, 3, 6]),
        "coded": CodedColumn.of(NAMES),
        "arrow": ArrowColumn(pyarrow.chunked_array(chunks, pyarrow.string())),
        "large text": ArrowColumn(pyarrow.chunked_array(chunks, pyarrow.large_string())),
        "dictionary": ArrowColumn(pyarrow.array(NAMES).dictionary_encode()),
        "chosen": ChosenRows(NumberedNames(["c#", "b#", "a#"], [3, 4, 6]), np.array([4, 5, 3, 0, 1, 2])),
        "chosen in order": ChosenRows(CodedColumn.of(("z", *NAMES, "z")), range(1, 7)),
        "chosen of a tuple": ChosenRows(("z", *NAMES), range(1, 7)),
        "chosen backwards": ChosenRows(ArrowColumn(pyarrow.array(NAMES[::-1])), range(5, -1, -1)),
    }


@pytest.mark.parametrize("kind", kinds())
@pytest.mark.parametrize("part", [1, 4, 2**14])
def test_a_column_reads_like_a_tuple(kind: str, part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_PART", part)
    column = kinds()[kind]
    assert isinstance(column, Sequence) and len(column) == 6
    assert tuple(column) == NAMES and list(reversed(column)) == list(reversed(NAMES))
    for index in range(-6, 6):
        assert column[index] == NAMES[index]
    for index in (-7, 6):
        with pytest.raises(IndexError):
            column[index]
    for chosen in (slice(None), slice(1, 4), slice(4, 1), slice(None, None, 2), slice(None, None, -1), slice(-2, 99)):
        assert column[chosen] == NAMES[chosen]
    assert column.chosen([5, 0, 5]) == ["c#2", "a#0", "c#2"]
    assert column.arrow(1, 5).to_pylist() == list(NAMES[1:5])
    assert column.index("c#0") == 3 and column.count("b#0") == 1 and "c#2" in column and "c#3" not in column
    with pytest.raises(ValueError, match="not in the column"):
        column.index("b#0", 3)
    assert column == NAMES and column == list(NAMES) and column != NAMES[:5] and column != (*NAMES[:5], "x")
    assert repr(column) == repr(NAMES) and hash(column) == hash(NAMES)
    assert pickle.loads(pickle.dumps(column)) == NAMES


@pytest.mark.parametrize("one", kinds())
@pytest.mark.parametrize("other", kinds())
def test_columns_are_equal_whatever_is_behind_them(one: str, other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_PART", 2)
    assert kinds()[one] == kinds()[other]
    changed = (*NAMES[:3], "c#7", *NAMES[4:])
    assert kinds()[one] != ArrowColumn(pyarrow.array(changed)) != kinds()[one]


def test_numbers_and_texts_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_PART", 1)
    numbers, texts = ArrowColumn(pyarrow.array([1, 2])), ArrowColumn(pyarrow.array(["1", "2"]))
    assert numbers != texts and texts != numbers and numbers == CodedColumn.of([1, 2])
    assert CodedColumn.of([None, "1"]) == ArrowColumn(pyarrow.array([None, "1"])) != texts


def test_many_names_take_no_memory_for_each() -> None:
    names = NumberedNames(["train-00000#", "train-00001#"], [50_000_000, 100_000_000])
    assert names[49_999_999:50_000_002] == ("train-00000#49999999", "train-00001#0", "train-00001#1")
    assert len(pickle.dumps(ChosenRows(names, range(len(names))))) < 1000


def test_many_texts_are_kept_as_arrow_keeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "_FEW", 3)
    monkeypatch.setattr(columns, "_MANY", 4)
    kept = text_column(list(NAMES))
    assert isinstance(kept, ArrowColumn) and kept == NAMES
    no_text = [f"{number}\udcff.png" for number in range(6)]  # as the system gives a file's name that is no UTF-8
    assert text_column(no_text) is no_text
