"""Data sets in Python, of torch, of torchvision and of one's own."""

from __future__ import annotations

import io
import itertools
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from torch.utils.data import ConcatDataset, DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from iconoscope.errors import IconoscopeWarning, ImageFileError, ImagesError, MissingExtraError, QuestionError
from iconoscope.subject.images import load_images

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3), np.uint8)
FLOATS = torch.tensor(PIXELS.transpose(0, 3, 1, 2) / 255, dtype=torch.float32)
LABELS = [1, 0, 1, 2]
CLASSES = ["cat", "dog"]
NORMALISED = (FLOATS - 0.5) / 0.25


class Own:
    """A set of one's own; it counts how often an item was made."""

    def __init__(self, make: Callable[[int], Any], length: int = 4, **attributes: Any) -> None:
        self.make, self.length, self.made = make, length, 0
        self.__dict__.update(attributes)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        self.made += 1
        return self.make(index)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    PillowImage.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def pixels_of(images: Any) -> np.ndarray:
    return np.stack([image.pixels for image in images])


@pytest.mark.parametrize(
    "make",
    [
        lambda row: (PillowImage.fromarray(PIXELS[row]), LABELS[row]),
        lambda row: (PIXELS[row], LABELS[row]),
        lambda row: [FLOATS[row], torch.tensor(LABELS[row])],
        lambda row: (FLOATS[row], np.int64(LABELS[row])),
        lambda row: (png(PIXELS[row]), LABELS[row]),
        lambda row: {"image": PIXELS[row], "label": LABELS[row], "more": 1},
        lambda row: {"pixel_values": FLOATS[row], "labels": torch.tensor(LABELS[row])},
    ],
)
def test_items_of_every_form(make: Callable) -> None:
    images = load_images(Own(make))
    np.testing.assert_array_equal(pixels_of(images), PIXELS)
    assert images.labels == LABELS and images.ids == ("000000", "000001", "000002", "000003")
    assert load_images(Own(make, classes=CLASSES)).labels == ["dog", "cat", "dog", 2]


@pytest.mark.parametrize(
    "make", [lambda row: PIXELS[row], lambda row: (FLOATS[row],), lambda row: {"img": PIXELS[row]}]
)
def test_items_without_labels(make: Callable) -> None:
    images = load_images(Own(make))
    np.testing.assert_array_equal(pixels_of(images), PIXELS)
    assert images.labels == [None] * 4


def test_one_item_is_made_to_open_a_set_and_none_for_its_labels() -> None:
    data = Own(lambda row: (PIXELS[row % 4], LABELS[row % 4]), 100_000, targets=LABELS * 25_000)
    images = load_images(data)
    assert len(images) == 100_000 and images.labels[:5] == [1, 0, 1, 2, 1] and data.made == 1
    assert images[7].label == 2 and data.made == 1
    _ = images[7].pixels, images[7].label
    assert data.made == 2


def test_an_item_is_made_once_for_its_label_and_its_pixels() -> None:
    data = Own(lambda row: (PIXELS[row], LABELS[row]))
    images = load_images(data)
    for image in images:
        _ = image.label, image.pixels
    assert data.made == 5  # one of them to see what the items are


def test_labels_beside_the_items_are_held_against_the_first() -> None:
    data = Own(lambda row: (PIXELS[row], LABELS[row] + 10), targets=LABELS)
    assert load_images(data).labels == [11, 10, 11, 12]


def test_tensors_and_parts(tmp_path: Path) -> None:
    whole = TensorDataset(FLOATS, torch.tensor(LABELS))
    images = load_images(whole)
    np.testing.assert_array_equal(pixels_of(images), PIXELS)
    assert images.labels == LABELS
    part = load_images(Subset(Subset(whole, [3, 2, 0]), [2, 0]))
    assert part.ids == ("000000", "000003") and part.labels == [1, 2]  # the numbers of the whole
    np.testing.assert_array_equal(pixels_of(part), PIXELS[[0, 3]])
    assert load_images(ConcatDataset([whole, whole])).labels == LABELS * 2
    assert load_images(TensorDataset(FLOATS)).labels == [None] * 4


def test_a_loader_gives_its_set_in_the_order_of_the_set() -> None:
    loader = DataLoader(TensorDataset(FLOATS, torch.tensor(LABELS)), batch_size=2, shuffle=True)
    images = load_images(loader)
    assert images.labels == LABELS
    np.testing.assert_array_equal(pixels_of(images), PIXELS)
    assert load_images(DataLoader(list(zip(PIXELS, LABELS, strict=True)))).labels == LABELS  # pyright: ignore


class Stream(IterableDataset):
    def __iter__(self) -> Iterator[Any]:
        yield from zip(FLOATS, LABELS, strict=True)


def test_streams_are_refused_and_what_helps_does() -> None:
    for given in (Stream(), DataLoader(Stream()), iter(Stream())):
        with pytest.raises(ImagesError, match="has no numbered items") as caught:
            load_images(given)
        assert "itertools.islice" in caught.value.hint
    images = load_images(list(itertools.islice(Stream(), 3)))
    assert images.labels == LABELS[:3] and images.source == "a list of 3 items"
    np.testing.assert_array_equal(pixels_of(images), PIXELS[:3])


def test_a_set_with_no_length() -> None:
    class Endless(Dataset):
        def __getitem__(self, index: int) -> Any:
            return PIXELS[0]

    with pytest.raises(ImagesError, match="Endless has no numbered items"):
        load_images(Endless())


def test_normalised_tensors_are_refused() -> None:
    with pytest.raises(ImagesError, match=r"000000 of TensorDataset of 4 items: float pixels are 0 to 1") as caught:
        load_images(TensorDataset(NORMALISED, torch.tensor(LABELS)))
    assert "Normalize" in caught.value.hint
    later = load_images(Own(lambda row: FLOATS[0] if row == 0 else NORMALISED[row]))
    with pytest.raises(ImagesError, match="000001 of Own"):
        _ = later[1].pixels


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda row: "no/such.png" if row else 7, "000000 of Own of 4 items is a int, and no image"),
        (lambda row: {"text": "a"}, "000000 is a dict without an image; its keys are text"),
        (lambda row: (), "000000 is empty"),
        (lambda row: np.zeros((2, 7, 9)), r"shape \(2, 7, 9\) is not one image"),
        (lambda row: 1 / 0, "000000 cannot be read: the data set answered ZeroDivisionError: division by zero"),
    ],
)
def test_items_that_are_none(make: Callable, message: str) -> None:
    with pytest.raises(ImagesError, match=message):
        load_images(Own(make))
    with pytest.raises(ImagesError, match="The Own is empty"):
        load_images(Own(make, 0))


def test_an_item_that_fails_later_is_left_out() -> None:
    images = load_images(Own(lambda row: PIXELS[row] if row != 2 else PIXELS[9]))
    with pytest.warns(IconoscopeWarning, match="000002 .*IndexError"):
        assert [image.id for image in images.readable()] == ["000000", "000001", "000003"]


def test_a_broken_picture_has_the_name_of_its_row() -> None:
    images = load_images(Own(lambda row: PillowImage.fromarray(np.full((2, 2), 9 if row else 1, np.float32))))
    with pytest.raises(ImageFileError, match=r"^000003 cannot be read: its values are floats"):
        _ = images[3].pixels


def test_labels_of_many_classes_are_left_out() -> None:
    with pytest.warns(IconoscopeWarning, match="labels of Own of 4 items are of type dict, and are left out"):
        assert load_images(Own(lambda row: (PIXELS[row], {"boxes": []}))).labels == [None] * 4


def test_four_channels() -> None:
    four = np.random.default_rng(1).integers(0, 256, (4, 5, 6, 4), np.uint8)
    images = load_images(Own(lambda row: torch.tensor(four[row].transpose(2, 0, 1))))
    np.testing.assert_array_equal([image.bands for image in images], four)
    np.testing.assert_array_equal(pixels_of(images), four[..., :3])
    with pytest.raises(ImagesError, match=r"^000001 has"):
        _ = load_images(Own(lambda row: PIXELS[row]))[1].bands


def test_other_processes() -> None:
    images = load_images(TensorDataset(FLOATS, torch.tensor(LABELS)))
    _ = images[0].pixels
    assert pickle.loads(pickle.dumps(images))[1].digest == images[1].digest


def test_no_torch_is_imported() -> None:
    code = (
        "import sys, numpy as np\nfrom iconoscope.subject.images import load_images\n"
        "assert load_images([(np.zeros((2, 2, 3), np.uint8), 3)])[0].label == 3\nprint('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# torchvision's own


@pytest.fixture
def cifar(tmp_path: Path, torchvision_models: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A CIFAR-10 in its own format with twelve images; its checksums are taken as they are."""
    from torchvision import datasets

    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    pixels = np.random.default_rng(3).integers(0, 256, (2, 3072), np.uint8)
    for number, name in enumerate([f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]):
        (folder / name).write_bytes(pickle.dumps({"data": pixels + number, "labels": [number, 9 - number]}))
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": names}))
    monkeypatch.setattr(datasets.CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *rest: True)
    return tmp_path


def test_torchvision_by_name(cifar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision import datasets

    images = load_images(f"tv:CIFAR10/test:{cifar}")
    assert images.labels == ["dog", "deer"] and images.label_names[0] == "airplane"
    truth = datasets.CIFAR10(cifar, train=False)
    np.testing.assert_array_equal(pixels_of(images), truth.data)
    assert load_images(truth).labels == ["dog", "deer"]
    assert len(load_images(f"tv:CIFAR10/train:{cifar}")) == 10
    with pytest.raises(ImagesError, match="where does CIFAR10 lie") as caught:
        load_images("tv:CIFAR10/test")
    assert "ICONOSCOPE_TV_ROOT" in caught.value.hint
    monkeypatch.setenv("ICONOSCOPE_TV_ROOT", str(cifar))
    assert load_images("tv:CIFAR10/test").labels == ["dog", "deer"]
    with pytest.raises(QuestionError, match="splits train, test: which"):
        load_images("tv:CIFAR10")


def test_torchvision_downloads_nothing(tmp_path: Path, torchvision_models: Any) -> None:
    for name in ("CIFAR10/test", "Flowers102/test", "STL10/test"):
        with pytest.raises(ImagesError, match=f"tv:{name}:.* is not in {tmp_path}: Dataset not found") as caught:
            load_images(f"tv:{name}:{tmp_path}")
        assert "download=True" in caught.value.hint and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("tv:CIFAR1/test:{}", "torchvision has no data set 'CIFAR1'"),
        ("tv:Flowers102:{}", "tv:Flowers102:.* has splits: which one"),
        ("tv:STL10/no:{}", "Unknown value 'no' for argument split"),
        ("tv:ImageFolder/test:{}", "has no splits"),
        ("tv:ImageFolder:{}/nowher", "There is no"),
        ("tv:FakeData:{}", "FakeData does not read a folder"),
    ],
)
def test_torchvision_names_that_do_not_work(tmp_path: Path, torchvision_models: Any, given: str, message: str) -> None:
    (tmp_path / "nowhere").mkdir()
    with pytest.raises((QuestionError, ImagesError), match=message) as caught:
        load_images(given.format(tmp_path))
    assert caught.value.hint


def test_torchvision_folders_have_the_ids_of_folders(tmp_path: Path, write: Callable, torchvision_models: Any) -> None:
    from torchvision import datasets, transforms

    for number, name in enumerate(("cat/a.png", "cat/b.png", "dog/c.png")):
        write(tmp_path / name, 8, 8, seed=number)
    plain = load_images(tmp_path)
    for given in (datasets.ImageFolder(tmp_path), f"tv:ImageFolder:{tmp_path}"):
        images = load_images(given)
        assert images.ids == plain.ids and images.labels == plain.labels and images.label_names == plain.label_names
        np.testing.assert_array_equal(pixels_of(images), pixels_of(plain))
    part = load_images(Subset(datasets.ImageFolder(tmp_path, transforms.ToTensor()), [2, 0]))
    assert part.ids == ("dog/c.png", "cat/a.png") and part.labels == ["dog", "cat"]
    np.testing.assert_array_equal(part[0].pixels, plain[2].pixels)
    both = transforms.Compose([transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.25] * 3)])
    with pytest.raises(ImagesError, match=r"cat/a\.png of ImageFolder") as caught:
        load_images(datasets.ImageFolder(tmp_path, both))
    assert "take the Normalize transform out" in caught.value.hint
    chance = transforms.Compose([transforms.RandomHorizontalFlip(), transforms.ToTensor()])
    with pytest.warns(IconoscopeWarning, match=r"at random \(RandomHorizontalFlip\)"):
        load_images(DataLoader(datasets.ImageFolder(tmp_path, chance)))


def test_a_target_transform_is_followed(tmp_path: Path, write: Callable, torchvision_models: Any) -> None:
    from torchvision import datasets

    write(tmp_path / "cat" / "a.png")
    write(tmp_path / "dog" / "a.png")
    data = datasets.ImageFolder(tmp_path, target_transform=lambda target: 1 - target)
    assert load_images(data).labels == ["dog", "cat"]


@pytest.mark.parametrize("error", [ImportError("none"), RuntimeError("operator torchvision::nms does not exist")])
def test_a_torchvision_that_does_not_fit(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    class Finder:
        def find_spec(self, name: str, *rest: Any) -> None:
            if name == "torchvision":
                raise error

    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    with pytest.raises(MissingExtraError, match=f"torchvision, which is installed but cannot be imported: {error}"):
        load_images("tv:CIFAR10/test:/tmp")
