import json
import os
import subprocess
import sys
import textwrap
import time
from dataclasses import fields, is_dataclass

import numpy as np
import pytest

from iconoscope.errors import DamagedRecordError, IconoscopeWarning, QuestionError, StoreError
from iconoscope.results import Occlusion
from iconoscope.store import Store, load_result
from specimens import audited, averaged, curved, occlusion

SPECIMENS = {"occlusion": occlusion, "curves": curved, "audit": audited, "mean_map": averaged}


@pytest.mark.parametrize("result", [make() for make in SPECIMENS.values()], ids=list(SPECIMENS))
def test_what_is_saved_is_read_back(tmp_path, result):
    found = load_result(result.save(tmp_path / "kept"))
    assert type(found) is type(result)
    assert found.question == result.question and found.question.key == result.question.key
    assert_alike(result, found)


def assert_alike(before, after, name=""):
    """Hold two results against each other, field by field, with the dataclasses in them."""
    if isinstance(before, np.ndarray):
        assert np.array_equal(before, after) and before.dtype == after.dtype, name
    elif is_dataclass(before):
        for field in fields(before):
            assert_alike(getattr(before, field.name), getattr(after, field.name), f"{name}.{field.name}")
    else:
        assert before == after, name


def test_the_format_is_what_the_documentation_says(tmp_path):
    """Read with nothing but the standard library and NumPy, as docs/store.md describes it."""
    store = Store(tmp_path / "run")
    result = occlusion()
    place = store.put(result)
    assert json.loads((tmp_path / "run" / "store.json").read_text())["format"] == 1
    assert place == tmp_path / "run" / "occlude" / result.question.key[:24]
    index = json.loads((place / "result.json").read_text())
    assert index["question"]["settings"]["patch"] == [3, 4]
    assert index["fields"]["names"] == ["a", "b", "c & d"]
    with np.load(place / "arrays.npz", allow_pickle=False) as arrays:
        assert np.array_equal(arrays["occluded"], result.occluded)
    from PIL import Image

    with Image.open(place / "picture.png") as picture:
        assert np.array_equal(np.asarray(picture), result.picture)
    assert sorted(file.name for file in place.iterdir()) == ["arrays.npz", "picture.png", "result.json"]
    for name, stated in index["files"].items():
        assert (place / name).stat().st_size == stated["bytes"]


def test_reading_needs_no_torch(tmp_path):
    path, curves = occlusion().save(tmp_path / "kept"), curved().save(tmp_path / "curves")
    code = f"""
        import sys
        import iconoscope as ico
        result = ico.load_result({str(path)!r})
        result.plot(); result.save({str(tmp_path / "f.png")!r})
        store = ico.Store({str(tmp_path / "run")!r}); store.put(result)
        curves = ico.load_result({str(curves)!r}); curves.plot(); store.put(curves)
        ico.report(store, {str(tmp_path / "r.html")!r})
        assert "torch" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def test_the_same_question_is_asked_once(tmp_path):
    store = Store(tmp_path / "run")
    asked = []

    def ask():
        asked.append(1)
        return occlusion()

    for _ in range(3):
        assert store.answer(occlusion().question, Occlusion, ask).target == 1
    assert len(asked) == 1 and len(store) == 1 and [r.question.key for r in store] == [occlusion().question.key]


@pytest.mark.parametrize("harm", ["cut", "flip", "missing", "index"])
def test_damage_is_found_named_and_mended(tmp_path, harm):
    store = Store(tmp_path / "run")
    place = store.put(occlusion())
    arrays = place / "arrays.npz"
    data = bytearray(arrays.read_bytes())
    if harm == "cut":
        arrays.write_bytes(data[:-10])
    elif harm == "flip":
        data[len(data) // 2] ^= 1
        arrays.write_bytes(data)
    elif harm == "missing":
        arrays.unlink()
    else:
        (place / "result.json").write_text("{")
    with pytest.raises(DamagedRecordError, match=place.name):
        store.get(occlusion().question)
    with pytest.warns(IconoscopeWarning, match="asked again"):
        store.answer(occlusion().question, Occlusion, occlusion)
    assert store.get(occlusion().question) is not None


def test_other_folders_are_not_taken_for_stores(tmp_path):
    (tmp_path / "precious.txt").write_text("x")
    with pytest.raises(StoreError, match="something else in it"):
        Store(tmp_path)
    with pytest.raises(StoreError, match="is a file"):
        Store(tmp_path / "precious.txt")
    with pytest.raises(StoreError, match="holds no result"):
        load_result(tmp_path)


def test_a_record_of_a_later_version_says_so(tmp_path):
    place = occlusion().save(tmp_path / "kept")
    index = json.loads((place / "result.json").read_text())
    (place / "result.json").write_text(json.dumps({**index, "format": 2}))
    with pytest.raises(StoreError, match="format 2") as caught:
        load_result(place)
    assert "upgrade" in caught.value.hint


def test_a_full_disk_leaves_what_was_there(tmp_path):
    """The system refuses to write a file over 1,000 bytes, as it does when a disk is full."""
    store = Store(tmp_path / "run")
    store.put(occlusion())
    kept = occlusion(seed=1).save(tmp_path / "kept")
    code = f"""
        import resource, signal
        import iconoscope as ico
        result = ico.load_result({str(kept)!r})
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            ico.Store({str(store.folder)!r}).put(result)
        except ico.errors.StoreError as error:
            print(error)
    """
    told = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, capture_output=True, text=True)
    assert "cannot be written: File too large" in told.stdout
    assert [result.question.pixels for result in store] == ["0"]
    assert [path.name for path in (store.folder / "occlude").iterdir()] == [occlusion().question.key[:24]]


def test_what_a_killed_process_left_is_swept_after_a_while(tmp_path):
    store = Store(tmp_path / "run")
    place = store.put(occlusion())
    fresh, stale = place.parent / ".key.aaaa.tmp", place.parent / ".key.bbbb.tmp"
    fresh.mkdir()
    stale.mkdir()
    os.utime(stale, (time.time() - 7200, time.time() - 7200))
    assert len(store) == 1
    store.put(occlusion(seed=2))
    assert fresh.is_dir() and not stale.exists()


def test_names_of_files_decide_what_is_saved(tmp_path):
    result = occlusion()
    for suffix, begins in {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}.items():
        first = result.save(tmp_path / f"f{suffix}").read_bytes()
        assert first.startswith(begins)
        assert result.save(tmp_path / f"g{suffix}").read_bytes() == first
    with pytest.raises(QuestionError, match=r"\.npy"):
        result.save(tmp_path / "f.npy")
    with pytest.raises(StoreError, match="cannot be written"):
        result.save(tmp_path / "f.png" / "g.png")


def test_a_notebook_shows_names_as_text():
    assert "<b>a.jpg" not in occlusion()._repr_html_()
    assert "&lt;b&gt;a.jpg" in occlusion()._repr_html_()


def test_numbers_by_hand():
    result = occlusion()
    row, column = result.minimum
    assert result.map[row, column] == result.occluded[..., 1].min()
    assert np.allclose(result.drop + result.map, result.clean[1])
    curves = curved()
    by_hand = [0.1, 0.25, 0.4, 0.25] @ curves.deletion[:, 1].astype(float)  # half of the way to each neighbour
    assert curves.deletion_area == pytest.approx(by_hand) == curves.to_json()["deletion"]["area"]
    assert np.allclose(curves.null_insertion_areas, curves.null_insertion @ [0.1, 0.25, 0.4, 0.25])
    # Of the thirty images of a class, each given to by five others, all change with another class's background.
    swap = audited().classes["x"].swaps["background"]
    assert (swap.other.value, swap.control.value, swap.excess.value) == (1, 0, 1)


def test_saving_touches_nothing_but_a_result(tmp_path):
    """A folder of photographs, a store, a file: none of them may go because a result is saved under its name."""
    result = occlusion()
    (tmp_path / "photographs").mkdir()
    (tmp_path / "photographs" / "precious.jpg").write_text("x")
    (tmp_path / "notes").write_text("x")
    Store(tmp_path / "run").put(result)
    before = sorted(tmp_path.rglob("*"))
    for name in ("photographs", "notes", "run"):
        with pytest.raises(StoreError, match="something else is there"):
            result.save(tmp_path / name)
    assert sorted(tmp_path.rglob("*")) == before
    (tmp_path / "empty").mkdir()
    for _ in range(2):
        assert load_result(result.save(tmp_path / "empty")).question == result.question


@pytest.mark.parametrize("name", ["cost_$_$.png", "a\nb", "$x$ $", "犬.png"])
def test_names_that_matplotlib_would_read_as_formulas(tmp_path, name):
    for result in (occlusion(subject=name), curved(subject=name)):
        assert result.save(tmp_path / "f.png").stat().st_size > 1000
