"""Addresses that fsspec opens, in memory and as file://, against the same files in a folder."""

from __future__ import annotations

import builtins
import pickle
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from iconoscope.errors import IconoscopeError, ImageFileError, ImagesError, MissingExtraError, QuestionError
from iconoscope.subject.images import load_images

fsspec = pytest.importorskip("fsspec")
NAMES = ("cat/a.png", "cat/deep/b.PNG", "dog/ü c.png", "loose.png")


@pytest.fixture
def folder(tmp_path: Path, write: Callable) -> Path:
    for number, name in enumerate(NAMES):
        write(tmp_path / "set" / name, seed=number)
    for name in ("notes.txt", ".hidden/a.png", "__MACOSX/a.png", "cat/.b.png"):
        (tmp_path / "set" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "set" / name).write_bytes(b"x")
    return tmp_path / "set"


@pytest.fixture
def bucket(folder: Path) -> str:
    """The same files in memory."""
    name, memory = f"bucket-{uuid.uuid4().hex}", fsspec.filesystem("memory")
    for path in folder.rglob("*"):
        if path.is_file():
            memory.pipe_file(f"/{name}/{path.relative_to(folder).as_posix()}", path.read_bytes())
    return f"memory://{name}"


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("kind", ["memory", "file"])
def test_it_is_as_a_folder(folder: Path, bucket: str, kind: str, slash: str) -> None:
    address = (bucket if kind == "memory" else folder.as_uri()) + slash
    images, plain = load_images(address), load_images(folder)
    assert images.ids == plain.ids == NAMES and images.labels == plain.labels == ["cat", "cat", "dog", None]
    assert images.label_names == plain.label_names and images.source == address
    assert [image.digest for image in images] == [image.digest for image in plain]
    assert pickle.loads(pickle.dumps(images))[1].digest == plain[1].digest
    masked = load_images(address, masks={"cat/a.png": np.ones((4, 5), bool)}, limit=1)
    assert masked[0].mask is not None


def test_one_file(folder: Path, bucket: str) -> None:
    images = load_images(f"{bucket}/cat/a.png")
    assert images.ids == ("a.png",) and images[0].digest == load_images(folder)[0].digest


def test_nothing_is_read_to_list(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*rest: Any) -> None:
        raise AssertionError("a file was read")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "cat_file", refuse)
    assert len(load_images(bucket)) == 4


def test_splits(bucket: str) -> None:
    memory = fsspec.filesystem("memory")
    name = bucket.removeprefix("memory://")
    for split in ("train", "val"):
        memory.pipe_file(f"/{name}/both/{split}/cat/a.png", b"x")
    with pytest.raises(QuestionError, match="holds the splits train, val") as caught:
        load_images(f"{bucket}/both")
    assert f"{bucket}/both/train" in caught.value.hint
    assert load_images(f"{bucket}/both/train").labels == ["cat"]


def test_what_does_not_work(bucket: str) -> None:
    with pytest.raises(ImagesError, match=r"There are no images in memory://nowhere.*: nothing"):
        load_images("memory://nowhere/at/all")
    with pytest.raises(ImagesError, match="1 files, none of them with the suffix of an image"):
        fsspec.filesystem("memory").pipe_file(f"/{bucket[9:]}/tables/a.npz", b"x")
        load_images(f"{bucket}/tables")
    with pytest.raises(ImagesError, match="ends in no suffix of an image"):
        load_images(f"{bucket}/notes.txt")
    with pytest.raises(ImagesError, match="no source of images xyz://"):
        load_images("xyz://a/b")
    images = load_images(bucket)
    fsspec.filesystem("memory").rm(f"/{bucket[9:]}/cat/a.png")
    with pytest.raises(ImageFileError, match=r"^cat/a\.png cannot be read: there is no such file"):
        _ = images[0].pixels


def test_errors_of_a_filesystem_are_ours(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class CredentialsError(Exception):
        pass

    def refuse(*rest: Any, **more: Any) -> None:
        raise CredentialsError("Unable to locate credentials\nand much more")

    images = load_images(bucket)
    monkeypatch.setattr(type(fsspec.filesystem("memory")), "cat_file", refuse)
    with pytest.raises(
        ImagesError, match=r"a\.png cannot be read: CredentialsError: Unable to locate credentials"
    ) as caught:
        _ = images[0].pixels
    assert not isinstance(caught.value, ImageFileError)  # which a recording would leave out
    monkeypatch.setattr(type(fsspec.filesystem("memory")), "find", refuse)
    with pytest.raises(ImagesError, match=r"cannot be listed: CredentialsError: Unable to locate credentials$"):
        load_images(bucket)


@pytest.mark.parametrize(("address", "package"), [("s3://bucket/x", "s3fs"), ("gs://bucket/x", "gcsfs")])
def test_a_missing_filesystem_names_its_package(monkeypatch: pytest.MonkeyPatch, address: str, package: str) -> None:
    without(monkeypatch, package)
    with pytest.raises(MissingExtraError, match=f"nstall {package}") as caught:
        load_images(address)
    assert caught.value.hint == f"pip install {package}"


def test_without_fsspec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingExtraError) as caught:
        load_images("s3://bucket/x")
    assert caught.value.hint.startswith("pip install 'iconoscope[remote]'")


def without(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    load = builtins.__import__

    def guarded(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == package:
            raise ImportError(f"No module named '{package}'")
        return load(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", guarded)
    monkeypatch.setitem(sys.modules, package, None)
    registry = sys.modules[
        "fsspec.registry"
    ]._registry  # of those that another test has imported, fsspec keeps the class
    for scheme in ("s3", "gs"):
        monkeypatch.delitem(registry, scheme, raising=False)


@pytest.mark.parametrize("tail", ["folder/images", "", "a.png", "x::memory://y"])
def test_whatever_a_filesystem_raises_is_our_error(tail: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of those that fsspec names and that ask no other machine."""
    near = {"blockcache", "dir", "generic", "github", "jupyter", "nothing", "reference", "simplecache", "tar", "zip"}
    for protocol in near:
        with pytest.raises(IconoscopeError):
            load_images(f"{protocol}://{tail}")
    for error in (KeyError("fo"), TypeError("fo"), OSError(5, "no"), AttributeError("fo"), RuntimeError("fo")):

        def fail(address: str, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(fsspec.core, "url_to_fs", fail)
        with pytest.raises(ImagesError, match=r"reference://x: it cannot be opened: \w+: .*\.\n"):
            load_images("reference://x")
