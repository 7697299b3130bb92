"""Data frames of results: what stands in them is what the result says, and the documentation has their columns."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import iconoscope as ico
from iconoscope.errors import MissingExtraError, QuestionError
from iconoscope.results.frame import frame_of
from iconoscope.store.store import KINDS
from specimens import curved, occlusion

PAGE = (Path(__file__).parents[2] / "docs" / "api" / "results.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def pandas():
    return pytest.importorskip("pandas")


def test_the_documentation_has_the_columns_of_every_kind(of_kinds, pandas):
    rows = re.findall(r"^\| `(\w+)`[^|]*\|[^|]*\| (.+) \|$", PAGE, re.MULTILINE)
    documented = {name: re.findall(r"`(\w+)`", columns) for name, columns in rows}
    classes = {result_class.__name__: kind for kind, result_class in KINDS.items()}
    assert set(documented) == set(classes)
    for name, columns in documented.items():
        frame = of_kinds[classes[name]].to_frame("pandas")
        assert list(frame.columns) == ["network", "subject", *columns], name
        assert len(frame) > 0 and isinstance(frame, pandas.DataFrame)


def test_a_frame_of_an_occlusion_has_every_position_with_its_class(pandas):
    result = occlusion()
    frame = result.to_frame("pandas").set_index(["row", "column"])
    row, column = result.minimum
    assert len(frame) == result.map.size and set(frame["target"]) == {"b"} and set(frame["target_index"]) == {1}
    lowest = frame.loc[(row, column)]
    assert lowest["answer"] == result.map.min() and lowest["drop"] == result.drop.max()
    assert (lowest["top"], lowest["left"]) == (result.top[row], result.left[column])
    assert lowest["winner"] == result.names[lowest["winner_index"]]


def test_the_area_under_a_frame_of_curves_is_that_of_the_result(pandas):
    result = curved()
    for name, curve in result.to_frame("pandas").groupby("curve"):
        assert np.trapezoid(curve["answer"], curve["share"]) == pytest.approx(getattr(result, f"{name}_area"))


def test_missing_labels_are_missing(of_kinds, pandas):
    frame = of_kinds["image_map"].to_frame("pandas")
    assert frame["label_index"].ge(0).all() and set(frame["prediction"]) <= {
        "lynx",
        "stoat",
        *of_kinds["image_map"].classes,
    }
    assert list(frame["id"]) == of_kinds["image_map"].ids.tolist()


def test_a_series_is_one_frame_of_all_that_is_in_it(pandas):
    series = ico.OcclusionSeries((occlusion(), occlusion()))
    frame = series.to_frame()
    assert len(frame) == 2 * occlusion().map.size


def test_a_library_that_is_not_there_is_named_with_its_line(monkeypatch):
    with pytest.raises(QuestionError, match="numpy"):
        frame_of({"a": [1]}, "numpy")
    for name in ("polars", "pandas"):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(MissingExtraError, match=r"pip install 'iconoscope\[frames\]'"):
            frame_of({"a": [1]}, name)


def test_the_library_that_is_imported_already_is_taken(monkeypatch):
    class Standing:
        DataFrame = dict

    monkeypatch.setitem(sys.modules, "polars", Standing)
    monkeypatch.delitem(sys.modules, "pandas", raising=False)
    assert occlusion().to_frame()["target_index"][0] == 1
