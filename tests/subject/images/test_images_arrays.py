from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from iconoscope.errors import ImageFileError, ImagesError
from iconoscope.subject.images import load_images

RANDOM = np.random.default_rng(0)
COLOR = RANDOM.integers(0, 256, (4, 5, 6, 3), np.uint8)
GREY = COLOR[..., 0]


class Tensor:
    """What a tensor of torch looks like from outside: no array before it is detached and on the CPU."""

    def __init__(self, values: np.ndarray, steps: int = 0) -> None:
        self.values, self.steps = values, steps

    def detach(self) -> Tensor:
        return Tensor(self.values, self.steps + 1)

    def cpu(self) -> Tensor:
        return Tensor(self.values, self.steps + 1)

    def numpy(self) -> np.ndarray:
        assert self.steps == 2, "a tensor with a gradient on a GPU"
        return self.values


def stacked(source: object) -> np.ndarray:
    return np.stack([image.pixels for image in load_images(source)])


def test_color_and_grey_layouts() -> None:
    np.testing.assert_array_equal(stacked(COLOR), COLOR)
    np.testing.assert_array_equal(stacked(COLOR.transpose(0, 3, 1, 2)), COLOR)
    np.testing.assert_array_equal(stacked(COLOR[0])[0], COLOR[0])
    three = np.stack([GREY] * 3, axis=-1)
    np.testing.assert_array_equal(stacked(GREY), three)
    np.testing.assert_array_equal(stacked(GREY[..., None]), three)
    np.testing.assert_array_equal(stacked(GREY[:, None]), three)
    np.testing.assert_array_equal(stacked(GREY[0]), three[:1])
    assert load_images(COLOR).ids == ("000000", "000001", "000002", "000003")


def test_floats_and_wide_integers() -> None:
    values = np.array([0, 0.1, 0.5, 1, 1 + 1e-7]).reshape(1, 1, 5, 1)
    assert stacked(values)[0, 0, :, 0].tolist() == [0, 26, 128, 255, 255]  # 25.5 and 127.5 round to even
    np.testing.assert_array_equal(stacked(COLOR.astype(np.int64)), COLOR)
    np.testing.assert_array_equal(stacked((COLOR / 255).astype(np.float16)), COLOR)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (COLOR / 1.0, "float pixels are 0 to 1; these are from 0 to 255"),
        (np.full((1, 2, 2, 3), -0.5), "from -0.5 to -0.5"),
        (np.full((1, 2, 2, 3), np.nan), "NaN among them"),
        (np.full((1, 2, 2, 3), np.inf), "from inf to inf"),
        (np.full((1, 2, 2, 3), 256), "integer pixels are 0 to 255; these are from 256 to 256"),
        (np.zeros((1, 2, 2, 3), bool), "values of type bool"),
        (np.zeros((1, 2, 2, 3), complex), "values of type complex128"),
        (np.array([["a"]]), "values of type"),
        (np.array([[[object()]]]), "values of type object"),
        (np.zeros((1, 2, 2, 5), np.uint8), r"cannot be told from the shape \(1, 2, 2, 5\)"),
        (np.zeros((2, 4, 8, 4), np.uint8), "channels may be axis 1 or the last"),
        (np.zeros((2, 3, 8, 4), np.uint8), "channels may be axis 1 or the last"),
        (np.zeros(5, np.uint8), r"shape \(5,\)"),
        (np.zeros((0, 2, 2, 3), np.uint8), "holds no pixels"),
        (np.zeros((2, 0, 2, 3), np.uint8), "holds no pixels"),
        (np.zeros((3, 8, 8), np.uint8), "three grey images or one with its channels first"),
        (np.zeros((2, 3, 8, 3), np.uint8), "channels may be axis 1 or the last"),
    ],
)
def test_what_is_refused(array: np.ndarray, message: str) -> None:
    with pytest.raises(ImagesError, match=message) as caught:
        load_images(array)
    assert caught.value.hint


def test_pixels_are_copies() -> None:
    array = COLOR.copy()
    image = load_images(array)[0]
    before = image.pixels.copy()
    array[:] = 0
    np.testing.assert_array_equal(image.pixels, before)


def test_tensors_without_importing_their_library() -> None:
    np.testing.assert_array_equal(stacked(Tensor(COLOR.transpose(0, 3, 1, 2) / 255)), COLOR)
    np.testing.assert_array_equal(stacked([Tensor(COLOR[0]), Tensor(COLOR[1])]), COLOR[:2])


def test_a_list_of_sizes() -> None:
    images = load_images([COLOR[0], COLOR[1][:2], GREY[2] / 255, COLOR[3].transpose(2, 0, 1)])
    assert [image.pixels.shape for image in images] == [(5, 6, 3), (2, 6, 3), (5, 6, 3), (5, 6, 3)]
    np.testing.assert_array_equal(images[2].pixels[..., 1], GREY[2])
    np.testing.assert_array_equal(images[3].pixels, COLOR[3])
    with pytest.raises(ImagesError, match=r"array 1 of the list: shape \(4, 5, 6, 3\) is not one image"):
        load_images([COLOR[0], COLOR])


def test_pictures(tmp_path: Path) -> None:
    PillowImage.fromarray(COLOR[0]).save(tmp_path / "a.png")
    opened = PillowImage.open(tmp_path / "a.png")
    made = PillowImage.fromarray(np.dstack([COLOR[1], np.zeros((5, 6), np.uint8)]), "RGBA")
    images = load_images([opened, made])
    assert images.ids == ("a.png", "000001")
    np.testing.assert_array_equal(images[0].pixels, COLOR[0])
    assert (images[1].pixels == 255).all()
    np.testing.assert_array_equal(load_images(opened)[0].pixels, COLOR[0])
    assert load_images([opened, opened]).ids == ("000000", "000001")
    with pytest.raises(ImageFileError, match="000000 cannot be read: its values are floats"):
        _ = load_images(PillowImage.fromarray(np.full((2, 2), 9, np.float32)))[0].pixels


def test_npz(tmp_path: Path) -> None:
    path = tmp_path / "set.npz"
    masks = COLOR[..., 0] > 127
    np.savez(path, images=COLOR, labels=[1, 0, 1, 1], masks=masks, label_names=["cat", "dog"], other=np.zeros(3))
    images = load_images(path)
    assert images.labels == ["dog", "cat", "dog", "dog"] and images.label_names == ("cat", "dog")
    np.testing.assert_array_equal(images[3].pixels, COLOR[3])
    for index in range(4):
        np.testing.assert_array_equal(images[index].mask, masks[index])


@pytest.mark.parametrize("key", ["images", "x", "x_test", "arr_0", "anything"])
def test_npz_keys(tmp_path: Path, key: str) -> None:
    np.savez_compressed(tmp_path / "a.npz", **{key: COLOR, "unrelated": np.zeros(2)})
    np.testing.assert_array_equal(stacked(tmp_path / "a.npz"), COLOR)


def test_npz_in_the_layout_of_keras(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x_test=GREY, y_test=np.array([[7], [2], [1], [0]], np.uint8))
    assert load_images(tmp_path / "a.npz").labels == [7, 2, 1, 0]


def test_npz_that_cannot_be_understood(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, a=COLOR, b=COLOR)
    with pytest.raises(ImagesError, match=r"a \(4, 5, 6, 3\), b \(4, 5, 6, 3\): which array"):
        load_images(path)
    np.savez(path, images=COLOR, labels=[1, 2])
    with pytest.raises(ImagesError, match="4 images and 2 labels"):
        load_images(path)
    np.savez(path, images=COLOR, labels=[0, 1, 2, 0], label_names=["a", "b"])
    with pytest.raises(ImagesError, match="label 2 is outside the 2 label_names"):
        load_images(path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ImagesError, match="cannot be read"):
        load_images(path)
    path.write_text("no archive")
    with pytest.raises(ImagesError, match="not a file of NumPy"):
        load_images(path)


def test_npy(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", COLOR)
    np.testing.assert_array_equal(stacked(tmp_path / "a.npy"), COLOR)


class Trap:
    sprung = False

    def __reduce__(self):
        return (setattr, (Trap, "sprung", True))


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    trap = np.array([Trap()], dtype=object)
    np.save(tmp_path / "a.npy", trap)
    np.savez(tmp_path / "b.npz", images=trap)
    np.savez(tmp_path / "c.npz", images=COLOR, labels=np.array([Trap()] * 4, dtype=object))
    trap.dump(tmp_path / "d.npy")
    for name in ("a.npy", "b.npz", "c.npz", "d.npy"):
        with pytest.raises(ImagesError, match="we do not unpickle"):
            load_images(tmp_path / name)
    assert not Trap.sprung
