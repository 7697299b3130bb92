import ast
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import warnings
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
import pytest

import iconoscope as ico
from iconoscope.atomic_files import temporary_folder
from iconoscope.errors import DamagedRecordError, IconoscopeError, IconoscopeWarning, QuestionError, StoreError
from iconoscope.results import Occlusion
from iconoscope.results.result_folder import read_sealed_json, sealed_json
from iconoscope.store import Store, load_result
from specimens import audited, averaged, curved, occlusion, visualized

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
    index = read_sealed_json(place / "result.json")
    (place / "result.json").write_bytes(sealed_json({**index, "format": 2}))
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


@pytest.mark.parametrize("save", ["figure", "moving picture", "page", "folder", "prior"])
def test_a_write_that_fails_leaves_the_earlier_file(tmp_path, save, monkeypatch):
    """The system refuses the second writing halfway, as a full disk does."""
    visualization, prior = visualized(), ico.load_prior("cifar10")
    writers = {
        "figure": lambda: occlusion().save(tmp_path / "f.png"),
        "moving picture": lambda: visualization.animate(tmp_path / "f.gif"),
        "page": lambda: ico.report(tmp_path / "run", tmp_path / "f.html"),
        "folder": lambda: occlusion().save(tmp_path / "f"),
        "prior": lambda: prior.save(tmp_path / "f.safetensors"),
    }
    Store(tmp_path / "run").put(occlusion())
    writers[save]()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr(signal, "SIGXFSZ", signal.signal(signal.SIGXFSZ, signal.SIG_IGN), raising=False)
    resource.setrlimit(resource.RLIMIT_FSIZE, (700, limits[1]))
    try:
        with pytest.raises(IconoscopeError, match="cannot be written"):
            writers[save]()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_every_file_is_written_by_the_one_writer():
    """Only what `writing_whole` or `writing_folder_whole` gave, called hidden, is written to; the writer itself aside."""
    receivers, opened = ("hidden", "hidden_sum", "hidden_file"), re.compile(r"'[rbt]*[wax+][bt+]*'")
    for path in Path(ico.__file__).parent.rglob("*.py"):
        if path.name == "atomic_files.py":
            continue
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
                continue
            name, receiver, words = call.func.attr, ast.unparse(call.func.value), [*map(ast.unparse, call.args)]
            writes = name in ("write_bytes", "write_text") or (name == "open" and words and opened.search(words[0]))
            if writes:
                assert receiver in receivers, f"{path}:{call.lineno}: {ast.unparse(call)}"
            if name in ("savefig", "tofile", "savez", "savez_compressed") or (name == "save" and receiver != "self"):
                picture = name != "save" or re.match(r"(Image|picture|frames|np|torch)\b", receiver)
                whole = {*words[:2]} & {*receivers, "buffer", "file", "files"}
                assert whole or not picture, f"{path}:{call.lineno}: {ast.unparse(call)}"


def test_no_bit_of_a_result_can_change_unseen(tmp_path):
    """Flip 250 single bits of its files: each is an error, or leaves everything as it was."""
    folder = visualized().save(tmp_path / "kept")
    before, generator = visualized().to_json(), np.random.default_rng(0)
    files = [path for path in sorted(folder.iterdir()) if path.suffix != ".npz"] + [folder / "arrays.npz"]
    changed = 0
    for number in range(250):
        path = files[number % len(files)]
        content = bytearray(path.read_bytes())
        flipped = content.copy()
        flipped[generator.integers(len(content))] ^= 1 << int(generator.integers(8))
        path.write_bytes(flipped)
        try:
            after = load_result(folder).to_json()
            assert after == before
        except StoreError:
            changed += 1
        path.write_bytes(content)
    assert changed > 240 and load_result(folder).to_json() == before


def test_a_record_of_before_there_were_digests_is_called_so(tmp_path):
    folder = occlusion().save(tmp_path / "kept")
    index = json.loads((folder / "result.json").read_bytes())
    del index["sha256"]
    (folder / "result.json").write_text(json.dumps(index))
    with pytest.raises(DamagedRecordError, match="no digest of its own: an earlier version of iconoscope wrote it"):
        load_result(folder)


def test_a_record_copied_under_another_question_is_asked_again(tmp_path):
    store = Store(tmp_path / "run")
    folder = store.put(occlusion(seed=1))
    other = store.folder_of(occlusion(seed=2).question)
    shutil.copytree(folder, other)
    with pytest.warns(IconoscopeWarning, match="another question"):
        answer = store.answer(occlusion(seed=2).question, Occlusion, lambda: occlusion(seed=2))
    np.testing.assert_array_equal(answer.occluded, occlusion(seed=2).occluded)
    stored = store.get(occlusion(seed=2).question)
    assert isinstance(stored, Occlusion)
    np.testing.assert_array_equal(stored.occluded, answer.occluded)


@pytest.mark.parametrize("files", [{}, {"picture.png": {"bytes": 1, "sha256": "0"}}, None, []])
def test_a_record_cannot_leave_its_arrays_unchecked(tmp_path, files):
    folder = occlusion().save(tmp_path / "kept")
    index = read_sealed_json(folder / "result.json")
    (folder / "result.json").write_bytes(sealed_json({**index, "files": files}))
    with pytest.raises(DamagedRecordError):
        load_result(folder)


@pytest.mark.parametrize(
    ("mark", "words"), [('{"format": 2}', "format 2"), ("{", "damaged"), ("[]", "damaged"), ("[" * 100_000, "damaged")]
)
def test_the_mark_of_a_store_is_read(tmp_path, mark, words):
    Store(tmp_path / "run").put(occlusion())
    (tmp_path / "run" / "store.json").write_text(mark)
    with pytest.raises(StoreError, match=words):
        Store(tmp_path / "run")


def test_a_store_that_cannot_be_written_answers_what_it_has(tmp_path, monkeypatch):
    network, pictures = ico.load_network("cars", device="cpu"), ico.demo_images(8)
    calls = {
        "optimize": lambda: ico.optimize(network, "logit:lynx", steps=1, store=tmp_path / "run").images,
        "occlude": lambda: ico.occlude(network, pictures[0], patch=32, stride=32, store=tmp_path / "run").occluded,
        "record": lambda: ico.record(network, pictures, store=tmp_path / "run", workers=0).responses,
        "top": lambda: ico.top_images(
            ico.load_recording(tmp_path / "run", images=pictures), "logit:lynx", k=4, store=tmp_path / "run"
        ).to_json(),
        "audit": lambda: ico.audit(network, pictures, families=(), quick=True, store=tmp_path / "audited").to_json(),
    }
    before = {name: call() for name, call in calls.items()}

    make_unwritable(monkeypatch, tmp_path)
    for name, call in calls.items():
        np.testing.assert_equal(call(), before[name])
    with pytest.raises(StoreError, match="Read-only"):
        ico.optimize(network, "logit:bison", steps=1, store=tmp_path / "run")


def make_unwritable(monkeypatch, folder):
    """Let the system refuse whatever would change something in a folder, as on a disk that is read-only."""

    def refusing(function):
        def refuse(path=None, *args, **kwargs):
            if Path(str(kwargs.get("dir", path))).is_relative_to(folder):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
            return function(path, *args, **kwargs) if path is not None else function(*args, **kwargs)

        return refuse

    for name in ("mkdir", "rename", "replace", "unlink", "write_bytes", "write_text", "touch"):
        monkeypatch.setattr(Path, name, refusing(getattr(Path, name)))
    monkeypatch.setattr(tempfile, "TemporaryFile", refusing(tempfile.TemporaryFile))
    monkeypatch.setattr(shutil, "rmtree", refusing(shutil.rmtree))


def test_what_a_recording_answers_is_given_where_it_cannot_be_kept(tmp_path, monkeypatch):
    network, pictures = ico.load_network("cars", device="cpu"), ico.demo_images(24, seed=2)
    stores = tmp_path / "run", tmp_path / "other"
    for store in stores:
        ico.record(network, pictures, store=store, workers=0, k=6)

    def ask(store):
        recording = ico.load_recording(store, images=pictures)
        return [
            ico.top_images(recording, "logit:lynx", k=4, store=store, out=tmp_path / f"{store.name}.png").to_json(),
            ico.find_units(recording, pictures[:9], permutations=20, store=store).to_json(),
            ico.map_images(recording, method="pca", store=store).to_json(),
        ]

    kept = ask(stores[1])
    make_unwritable(monkeypatch, stores[0])
    with pytest.warns(IconoscopeWarning, match="Read-only file system. The answer is not kept") as warned:
        assert ask(stores[0]) == kept
    assert len(warned) == 3
    assert (tmp_path / "run.png").read_bytes() == (tmp_path / "other.png").read_bytes()
    assert {path.name for path in stores[0].iterdir()} == {"record", "store.json"}


def test_a_damaged_answer_in_a_store_that_cannot_be_written_is_asked_again(tmp_path, monkeypatch):
    network, picture = ico.load_network("cars", device="cpu"), ico.demo_images(1)[0]
    calls = {
        "optimize": lambda: ico.optimize(network, "conv1:0-2", steps=1, store=tmp_path / "run").images,
        "occlude": lambda: ico.occlude(network, picture, patch=32, stride=32, store=tmp_path / "run").occluded,
    }
    for name, call in calls.items():
        before = call()
        (next((tmp_path / "run" / name).iterdir()) / "arrays.npz").write_bytes(b"")
        with monkeypatch.context() as patch:
            make_unwritable(patch, tmp_path / "run")
            with pytest.warns(IconoscopeWarning, match="It is asked again, and not kept, since the store cannot"):
                np.testing.assert_equal(call(), before)
        with pytest.warns(IconoscopeWarning, match=r"It is asked again\."):
            np.testing.assert_equal(call(), before)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            np.testing.assert_equal(call(), before)


def test_a_folder_of_a_process_that_was_killed_is_removed_and_one_in_use_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = (
        "import sys, time, tempfile; tempfile.tempdir = sys.argv[1]\n"
        "from iconoscope.atomic_files import temporary_folder\n"
        "with temporary_folder('trial-') as folder: print(folder, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        with temporary_folder("trial-") as own:
            assert folder.is_dir() and own.is_dir()
        process.kill()
    assert folder.is_dir()
    with temporary_folder("trial-"):
        assert not folder.exists()
    assert not [*tmp_path.iterdir()]


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


def test_a_mark_that_cannot_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    Store(tmp_path / "run").prepare()

    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(StoreError, match=r"store\.json cannot be read: Permission denied"):
        Store(tmp_path / "run")
