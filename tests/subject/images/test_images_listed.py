"""Tables of images: CSV, TSV, JSONL."""

from __future__ import annotations

import csv
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from iconoscope.errors import ImageFileError, ImagesError
from iconoscope.subject.images import load_images

ROWS = [("cat/a.png", "cat"), ("cat/b.png", ""), ("ü, c.png", "dog")]


@pytest.fixture
def folder(tmp_path: Path, write: Callable) -> Path:
    for number, (name, _) in enumerate(ROWS):
        write(tmp_path / name, seed=number)
    return tmp_path


@pytest.mark.parametrize("where", ["path", "file", "filename", "file_name", "image", "image_path", " Path "])
@pytest.mark.parametrize(("suffix", "mark"), [(".csv", ","), (".tsv", "\t"), (".CSV", ",")])
def test_tables(folder: Path, where: str, suffix: str, mark: str) -> None:
    path = folder / f"list{suffix}"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=mark)
        writer.writerow(["width", where, "label"])
        writer.writerows((5, *row) for row in ROWS)
    images = load_images(path)
    assert images.ids == ("cat/a.png", "cat/b.png", "ü, c.png") and images.labels == ["cat", None, "dog"]
    assert images.source == str(path)
    for image, plain in zip(images, [folder / name for name, _ in ROWS], strict=True):
        np.testing.assert_array_equal(image.pixels, load_images(plain)[0].pixels)
    assert pickle.loads(pickle.dumps(images))[2].digest == images[2].digest


@pytest.mark.parametrize(("values", "labels"), [("0 1 -2", [0, 1, -2]), ("0 1 x", ["0", "1", "x"])])
@pytest.mark.parametrize("what", ["label", "class", "target"])
def test_labels_are_numbers_where_all_are(folder: Path, what: str, values: str, labels: list) -> None:
    lines = [f"{name},{value}" for (name, _), value in zip([*ROWS[:2], ("cat/c.png", "")], values.split(), strict=True)]
    (folder / "a.csv").write_text("\n".join([f"path,{what}", *lines]))
    assert load_images(folder / "a.csv").labels == labels


def test_without_labels_and_with_whole_paths(folder: Path) -> None:
    (folder / "a.csv").write_text(f"path\n./cat/a.png\n{folder}/cat/b.png\ncat\\c.png\n")
    images = load_images(folder / "a.csv")
    assert images.ids == ("cat/a.png", f"{folder}/cat/b.png", "cat/c.png") and images.labels == [None] * 3
    assert images[1].pixels.shape == (4, 5, 3)
    with pytest.raises(ImageFileError, match=r"cat/c\.png cannot be read: there is no such file"):
        _ = images[2].pixels


def test_json_lines_as_an_imagefolder_has_them(folder: Path) -> None:
    lines = [json.dumps({"file_name": name, "label": label or None, "n": 1}) for name, label in ROWS]
    (folder / "metadata.jsonl").write_text("\n".join([*lines, ""]), encoding="utf-8")
    images = load_images(folder / "metadata.jsonl")
    assert images.ids == tuple(name for name, _ in ROWS) and images.labels == ["cat", None, "dog"]
    (folder / "metadata.csv").write_text("file_name,label\ncat/a.png,3\n")
    assert load_images(folder / "metadata.csv").labels == [3]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "", "lists no images"),
        ("a.csv", "path,label\n", "lists no images"),
        ("a.csv", "pth,label\ncat/a.png,1\n", "has no column of paths; it has pth, label"),
        ("a.csv", "path,label\ncat/a.png\n", "line 2 has fewer fields"),
        ("a.csv", "path,label\ncat/a.png,1,2\n", "line 2 has more fields"),
        ("a.csv", "path\ncat/a.png\ncat/a.png\n", r"files more than once: cat/a\.png"),
        ("a.csv", "path,label\n,1\n", "row 1 names no file"),
        ("a.csv", "path\ndog/a.png\n", r"the first is not there: .*dog/a\.png"),
        ("a.jsonl", '{"path": "cat/a.png"}\n{\n', "line 2 is no JSON"),
        ("a.jsonl", "[1]\n", "line 1 is no JSON object"),
        ("a.jsonl", '{"path": "cat/a.png", "label": [1]}\n', r"\[1\] is not a label"),
        ("a.json", "{}", "JSON says something of images"),
        ("a.txt", "cat/a.png", r"of \.txt, the lists in ImageSets"),
    ],
)
def test_tables_that_do_not_work(folder: Path, name: str, text: str, message: str) -> None:
    (folder / name).write_text(text)
    with pytest.raises(ImagesError, match=message):
        load_images(folder / name)


def test_bytes_that_are_no_text(folder: Path) -> None:
    (folder / "a.csv").write_bytes(b"path\n\xff\xfe\n")
    with pytest.raises(ImagesError, match="cannot be read"):
        load_images(folder / "a.csv")
