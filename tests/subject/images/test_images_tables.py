from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from iconoscope.errors import IconoscopeWarning, ImagesError
from iconoscope.subject.images import load_images

THREE = np.zeros((3, 2, 2, 3), np.uint8)


def labelled(labels: object) -> Sequence[Any]:
    return load_images(THREE, labels=labels).labels


def test_one_for_each_image() -> None:
    assert labelled(["a", None, "b"]) == ["a", None, "b"]
    assert labelled((1, 2, 3)) == [1, 2, 3]
    given = labelled(np.array([1, 2, 3]))
    assert given == [1, 2, 3] and all(type(label) is int for label in given)
    with pytest.raises(ImagesError, match="2 labels for 3 images"):
        labelled([1, 2])
    with pytest.raises(ImagesError, match=r"1\.5 is not a label"):
        labelled([1, 2, 1.5])
    with pytest.raises(ImagesError, match="labels is of type object"):
        labelled(object())


def test_by_id_in_a_dict_and_a_json(tmp_path: Path) -> None:
    table = {"000002": "z", "000000": "x"}
    assert labelled(table) == ["x", None, "z"]
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(table))
    assert labelled(path) == labelled(str(path)) == ["x", None, "z"]
    path.write_text("[1, 2]")
    with pytest.raises(ImagesError, match="not a JSON object"):
        labelled(path)
    path.write_text("{")
    with pytest.raises(ImagesError, match=r"labels\.json cannot be read"):
        labelled(path)
    path.write_text('{"000000": 1, "000000": 2}')
    with pytest.raises(ImagesError, match="names 000000 more than once"):
        labelled(path)


def test_by_id_in_a_csv(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes('\ufeffnote,id,label\n,000001,"great, grey"\n,000000,b\n'.encode())
    assert labelled(path) == ["b", "great, grey", None]
    path.write_text("id,label\n000000,3\n000001,-1\n000002,\n")
    assert labelled(path) == [3, -1, None]
    path.write_text("id,label\n000000,3\n000001,x\n")
    assert labelled(path) == ["3", "x", None]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no column id; it has none"),
        ("id,class\n1,2\n", "has no column label; it has id, class"),
        ("id,label\n", "is empty"),
        ("id,label\n000000\n", "line 2 has fewer fields"),
        ("id,label\n000000,a\n000000,b\n", "names 000000 more than once"),
        ('id,label\n000000,"a\n', "cannot be read"),
    ],
)
def test_csv_that_cannot_be_understood(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(ImagesError, match=message):
        labelled(tmp_path / "labels.csv")


def test_ids_that_are_no_images(tmp_path: Path) -> None:
    with pytest.warns(IconoscopeWarning, match="1 of 2 ids in labels are no image's and were left out: nine"):
        assert labelled({"000000": 1, "nine": 2}) == [1, None, None]
    with pytest.raises(ImagesError, match="None of the 1 ids in labels") as caught:
        labelled({"nine": 2})
    assert "000000" in caught.value.hint


def test_which_files(tmp_path: Path) -> None:
    with pytest.raises(ImagesError, match="neither CSV nor JSON"):
        labelled(tmp_path / "labels.txt")
    (tmp_path / "labels.csv").touch()
    with pytest.raises(ImagesError, match=r"Did you mean labels\.csv"):
        labelled(tmp_path / "lables.csv")
    (tmp_path / "latin.csv").write_bytes(b"id,label\n000000,\xe9\n")
    with pytest.raises(ImagesError, match="cannot be read"):
        labelled(tmp_path / "latin.csv")


def test_they_replace_the_labels_of_the_source(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").touch()
    images = load_images(tmp_path, labels={"dog/a.png": "cat"})
    assert images.labels == [None, "cat"] and images.label_names == ("cat", "dog")
    images = load_images(tmp_path, labels=["x", "y"])
    assert images.labels == ["x", "y"] and images.label_names == ()
    assert load_images(tmp_path).labels == ["cat", "dog"]
