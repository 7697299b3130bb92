"""What is written is there whole or not at all."""

from pathlib import Path

import pytest

import iconoscope as ico
from iconoscope.atomic_files import writing_folder_whole, writing_whole
from iconoscope.errors import QuestionError, StoreError


def test_a_file_that_is_not_finished_leaves_the_earlier_one(tmp_path):
    path = tmp_path / "deep" / "page.html"
    with writing_whole(path) as hidden:
        hidden.write_text("first")
    with pytest.raises(ZeroDivisionError), writing_whole(path) as hidden:
        hidden.write_text("sec")
        _ = 1 / 0
    assert path.read_text() == "first" and [file.name for file in path.parent.iterdir()] == ["page.html"]


def test_a_folder_that_is_not_finished_leaves_the_earlier_one(tmp_path):
    def is_ours(folder):
        return (folder / "mark").is_file()

    for text in ("first", "second"):
        with writing_folder_whole(tmp_path / "run", is_ours, replace=text == "second") as hidden:
            (hidden / "mark").write_text(text)
    with pytest.raises(KeyboardInterrupt), writing_folder_whole(tmp_path / "run", is_ours, replace=True) as hidden:
        (hidden / "mark").write_text("third")
        raise KeyboardInterrupt
    assert (tmp_path / "run" / "mark").read_text() == "second"
    assert [file.name for file in tmp_path.iterdir()] == ["run"]


def test_a_folder_of_another_kind_is_not_touched(tmp_path):
    (tmp_path / "photographs").mkdir()
    (tmp_path / "photographs" / "precious.jpg").write_text("x")
    with (
        pytest.raises(StoreError, match="something else is there"),
        writing_folder_whole(tmp_path / "photographs", lambda folder: False, replace=True) as hidden,
    ):
        (hidden / "mark").write_text("x")
    assert [file.name for file in (tmp_path / "photographs").iterdir()] == ["precious.jpg"]


@pytest.mark.parametrize("path", [".", "..", "/", "a/.."])
def test_a_path_that_names_nothing_new_is_refused(path):
    with pytest.raises(StoreError, match="names nothing that can be written"), writing_whole(Path(path)):
        pass
    with (
        pytest.raises(StoreError, match="names nothing that can be written"),
        writing_folder_whole(Path(path), Path.exists, replace=True),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "ask"),
    [
        ("images", lambda: ico.load_images("")),
        ("subject", lambda: ico.report("")),
        ("out", lambda: ico.report("nowhere", "")),
        ("folder", lambda: ico.Store("")),
    ],
)
def test_an_empty_path_is_not_the_folder_where_one_is(name, ask):
    with pytest.raises(QuestionError, match=f"{name} is empty"):
        ask()
