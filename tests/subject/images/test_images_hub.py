"""Sets of the library `datasets`, written by the library itself; what the hub would answer is put in its place."""

from __future__ import annotations

import io
import os
import pickle
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from iconoscope.errors import ImageFileError, ImagesError, MissingExtraError, QuestionError
from iconoscope.subject.images import load_images

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
datasets = pytest.importorskip("datasets")
PIXELS = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3), np.uint8)
NAMES = ["b.png", "a.png", None, "x/y.png", "a.png"]


@pytest.fixture(autouse=True)
def quiet_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
    datasets.disable_progress_bars()


def encoded(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    PillowImage.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def made() -> Any:
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["cat", "dog"]),
            "extra": datasets.Value("string"),
        }
    )
    cells = [{"bytes": encoded(pixels), "path": name} for pixels, name in zip(PIXELS, NAMES, strict=True)]
    columns = {"image": cells, "label": [1, 0, 0, -1, None], "extra": list("abcde")}
    return datasets.Dataset.from_dict(columns, features=features, split="test")


IDS = ("b.png", "test#1", "test#2", "x/y.png", "test#4")
LABELS = ["dog", "cat", "cat", None, None]


def test_an_object_of_the_library(made: Any) -> None:
    images = load_images(made)
    assert images.ids == IDS and images.labels == LABELS and images.label_names == ("cat", "dog")
    np.testing.assert_array_equal([image.pixels for image in images], PIXELS)
    chosen = load_images(made.with_format("numpy").select([3, 0]))  # rows by an indirection, and another format
    assert chosen.ids == ("x/y.png", "b.png")
    np.testing.assert_array_equal([image.pixels for image in chosen], PIXELS[[3, 0]])


def test_what_save_to_disk_wrote(made: Any, tmp_path: Path) -> None:
    made.save_to_disk(str(tmp_path / "test"))
    for given in (tmp_path / "test", f"hf:{tmp_path / 'test'}"):
        images = load_images(given)
        # The library writes the name alone of a path.
        assert images.ids == ("b.png", "test#1", "test#2", "y.png", "test#4")
        assert images.labels == LABELS and images.source == str(given)
        again = pickle.loads(pickle.dumps(images))
        np.testing.assert_array_equal([image.pixels for image in again], PIXELS)
    assert load_images(tmp_path / "test", limit=2).ids == IDS[:2]


def test_several_splits_are_asked_about(made: Any, tmp_path: Path) -> None:
    both = datasets.DatasetDict({"train": made, "test": made.select([0])})
    both.save_to_disk(str(tmp_path / "saved"))
    with pytest.raises(QuestionError, match="splits train, test: which") as caught:
        load_images(tmp_path / "saved")
    assert f"{tmp_path / 'saved' / 'train'}" in caught.value.hint
    assert load_images(tmp_path / "saved" / "train").ids[1] == "train#1"
    assert len(load_images(f"hf:{tmp_path}/saved/test")) == 1
    with pytest.raises(QuestionError, match="DatasetDict holds the splits train, test") as caught:
        load_images(both)
    assert '["train"]' in caught.value.hint


def test_a_lone_split_is_taken(made: Any, tmp_path: Path) -> None:
    datasets.DatasetDict({"train": made}).save_to_disk(str(tmp_path / "saved"))
    assert len(load_images(tmp_path / "saved")) == 5


@pytest.fixture
def folder(tmp_path: Path, write: Callable) -> Path:
    root = tmp_path / "set"
    for number in range(3):
        write(root / "train" / "cat" / f"{number}.png", seed=number)
    write(root / "train" / "dog" / "0.png", seed=9)
    write(root / "test" / "dog" / "0.png", seed=8)
    return root


def test_a_folder_that_the_library_reads(folder: Path) -> None:
    with pytest.raises(QuestionError, match="splits train, test: which") as caught:
        load_images(f"hf:{folder}")
    assert f"hf:{folder}/train, hf:{folder}/test" in caught.value.hint
    images = load_images(f"hf:{folder}/train")
    assert images.ids == ("cat/0.png", "cat/1.png", "cat/2.png", "dog/0.png")
    assert images.labels == ["cat", "cat", "cat", "dog"] and images.source == f"hf:{folder}/train"
    np.testing.assert_array_equal(images[1].pixels, load_images(folder / "train")[1].pixels)
    assert len(load_images(f"hf:{folder.parent}/../{folder.parent.name}/set/test")) == 1
    with pytest.raises(QuestionError, match="there is no split trian") as caught:
        load_images(f"hf:{folder}/trian")
    assert caught.value.hint == "Did you mean train?"


def test_a_limit_streams_and_can_be_written_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    load = datasets.load_dataset
    monkeypatch.setattr(datasets, "load_dataset", lambda *a, **k: asked.append(k.get("streaming")) or load(*a, **k))
    images = load_images(f"hf:{folder}/train", limit=2)
    assert asked == [True] and images.ids == ("cat/0.png", "cat/1.png") and images.labels == ["cat"] * 2
    assert images.source == f"hf:{folder}/train[:2]"
    again = load_images(images.source)
    assert again.ids == images.ids and again[1].digest == images[1].digest and asked == [True] * 2
    assert pickle.loads(pickle.dumps(images))[1].digest == images[1].digest
    labelled = load_images(f"hf:{folder}/train", limit=2, labels=list("wxyz"))
    assert labelled.labels == ["w", "x"] and asked[2] is not True


def test_parquet_streams_bytes(made: Any, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    made.to_parquet(str(tmp_path / "set" / "test.parquet"))
    images = load_images(f"hf:{tmp_path / 'set'}", limit=4)
    # Whether a.png is there again later is not known yet.
    assert images.ids == ("b.png", "a.png", "test#2", "x/y.png") and images.labels == LABELS[:4]
    np.testing.assert_array_equal([image.pixels for image in images], PIXELS[:4])


def test_streams_given_as_objects(made: Any) -> None:
    stream = made.to_iterable_dataset()
    with pytest.raises(ImagesError, match="no end that is known") as caught:
        load_images(stream)
    assert "limit=" in caught.value.hint
    np.testing.assert_array_equal(load_images(stream, limit=2)[1].pixels, PIXELS[1])


def test_a_set_on_the_hub_goes_through_load_dataset(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load(name: str, config: str | None, *, split: str, revision: str | None, streaming: bool = False) -> Any:
        asked.append((name, config, split, revision, streaming))
        return made.to_iterable_dataset() if streaming else made

    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", lambda self, name, **rest: None)
    monkeypatch.setattr(datasets, "get_dataset_split_names", lambda name, config, revision=None: ["train", "test"])
    monkeypatch.setattr(datasets, "load_dataset", load)
    for given in ("cifar10/test", "org/name/train", "org/name@v1/train", "org/name:small@v1/test", "cifar10/test[:2]"):
        assert len(load_images(f"hf:{given}")) == (2 if given.endswith("]") else 5)
    assert asked == [
        ("cifar10", None, "test", None, False),
        ("org/name", None, "train", None, False),
        ("org/name", None, "train", "v1", False),
        ("org/name", "small", "test", "v1", False),
        ("cifar10", None, "test", None, True),
    ]
    assert load_images("hf:cifar10/test").ids == IDS
    with pytest.raises(QuestionError, match="hf:org/name holds the splits train, test: which") as caught:
        load_images("hf:org/name")
    assert "hf:org/name/train" in caught.value.hint


def test_paths_of_the_hub_and_of_the_cache_are_the_same_ids(made: Any) -> None:
    sha = "0123456789" * 4
    paths = [
        f"hf://datasets/org/name@{sha}/train/cat/1.png",
        f"/home/somebody/.cache/huggingface/hub/datasets--org--name/snapshots/{sha}/train/cat/2.png",
        f"/home/somebody/.cache/huggingface/datasets/downloads/extracted/{sha}/cat/3.png",
        f"zip://cat/4.png::hf://datasets/org/name@{sha}/data.zip",
        "/elsewhere/5.png",
    ]
    cells = [{"bytes": encoded(PIXELS[0]), "path": path} for path in paths]
    given = datasets.Dataset.from_dict({"image": cells}, features=datasets.Features({"image": datasets.Image()}))
    assert load_images(given).ids == ("train/cat/1.png", "train/cat/2.png", "cat/3.png", "cat/4.png", "5.png")


def test_a_hub_out_of_reach_is_said_in_two_lines_and_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Any, name: str, **rest: Any) -> None:
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", refuse)
    started = time.perf_counter()
    with pytest.raises(ImagesError, match=r"hf:no/such-set-here/test: the hub cannot be reached") as caught:
        load_images("hf:no/such-set-here/test")
    assert time.perf_counter() - started < 5 and len(str(caught.value).splitlines()) == 2
    assert datasets.config.HF_HUB_OFFLINE is False


@pytest.mark.parametrize(
    ("kind", "status", "message"),
    [
        ("RepositoryNotFoundError", 404, "the hub has no such set"),
        ("GatedRepoError", 403, "whom its owners let in"),
        ("RevisionNotFoundError", 404, "no revision v9"),
    ],
)
def test_what_the_hub_refuses(monkeypatch: pytest.MonkeyPatch, kind: str, status: int, message: str) -> None:
    import huggingface_hub.errors

    answer = SimpleNamespace(status_code=status, headers={}, request=None)

    def refuse(self: Any, name: str, **rest: Any) -> None:
        raise getattr(huggingface_hub.errors, kind)("no", response=answer)

    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", refuse)
    with pytest.raises(ImagesError, match=message) as caught:
        load_images("hf:org/name@v9/test")
    assert caught.value.hint


def test_a_set_without_images_lists_its_columns() -> None:
    given = datasets.Dataset.from_dict({"text": ["a"], "label": [1]})
    with pytest.raises(ImagesError, match=r"no column of images; its columns are text \(Value\), label \(Value\)"):
        load_images(given)


def test_a_broken_cell_is_an_image_that_cannot_be_read(made: Any) -> None:
    cells = [{"bytes": b"hello", "path": None}, None, {"bytes": None, "path": "/not/here.png"}]
    images = load_images(
        datasets.Dataset.from_dict({"image": cells}, features=datasets.Features({"image": datasets.Image()}))
    )
    for image, message in zip(
        images, ("begins with b'hello'", "neither bytes nor a path", "no such file"), strict=True
    ):
        with pytest.raises(ImageFileError, match=message):
            _ = image.pixels


def test_a_damaged_saved_folder(made: Any, tmp_path: Path) -> None:
    made.save_to_disk(str(tmp_path / "test"))
    (tmp_path / "test" / "state.json").write_text("{")
    with pytest.raises(ImagesError, match="cannot be loaded"):
        load_images(tmp_path / "test")


@pytest.mark.parametrize("given", ["hf:", "hf:/", "hf://", "hf:a b", "hf:a/b/c/d", "hf:a[2:3]", "hf:nowhere/"])
def test_names_that_are_none(given: str) -> None:
    with pytest.raises(QuestionError, match="names no set of images") as caught:
        load_images(given)
    assert "hf:org/name" in caught.value.hint


@pytest.mark.parametrize("given", ["hf:./nowhere/at/all", "hf:./nowhere", "hf:/nowhere", "hf:~/nowhere/at/all"])
def test_a_missing_folder(given: str) -> None:
    with pytest.raises(ImagesError, match=r"There is no .*nowhere"):
        load_images(given)


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError) as caught:
        load_images("hf:cifar10/test")
    assert caught.value.hint.startswith("pip install 'iconoscope[datasets]'")
