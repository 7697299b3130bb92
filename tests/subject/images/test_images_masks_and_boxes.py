from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from iconoscope.errors import IconoscopeWarning, ImageFileError, ImagesError
from iconoscope.subject.images import Box, load_images

TWO = np.zeros((2, 4, 6, 3), np.uint8)
MASKS = np.random.default_rng(0).random((2, 4, 6)) > 0.5


def save_mask(path: Path, mask: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PillowImage.fromarray(mask.astype(np.uint8) * 255).save(path)


@pytest.mark.parametrize(
    "given", [MASKS, MASKS.astype(int), MASKS * np.uint8(255), MASKS.astype(float), list(MASKS), MASKS[..., None]]
)
def test_arrays(given: object) -> None:
    images = load_images(TWO, masks=given)
    for image, mask in zip(images, MASKS, strict=True):
        assert image.mask is not None and image.mask.dtype == np.bool_ and not image.mask.flags.writeable
        np.testing.assert_array_equal(image.mask, mask)


def test_by_id_and_missing_ones() -> None:
    images = load_images(TWO, masks={"000001": MASKS[1]})
    assert images[0].mask is None
    np.testing.assert_array_equal(images[1].mask, MASKS[1])
    with pytest.raises(ImagesError, match="None of the 1 ids in masks"):
        load_images(TWO, masks={"x": MASKS[1]})
    with pytest.warns(IconoscopeWarning, match="left out: x"):
        load_images(TWO, masks={"x": MASKS[1], "000000": MASKS[0]})


def test_a_folder_beside_the_images(tmp_path: Path, write: Callable) -> None:
    for name in ("cat/a.png", "cat/b.png", "dog/a.png"):
        write(tmp_path / "images" / name, 4, 6)
    save_mask(tmp_path / "masks" / "cat" / "a.png", MASKS[0])
    save_mask(tmp_path / "masks" / "dog" / "a.bmp", MASKS[1])
    images = load_images(tmp_path / "images", masks=str(tmp_path / "masks"))
    np.testing.assert_array_equal(images[0].mask, MASKS[0])
    assert images[1].mask is None
    np.testing.assert_array_equal(images[2].mask, MASKS[1])
    again = pickle.loads(pickle.dumps(images))
    np.testing.assert_array_equal(again[2].mask, MASKS[1])
    save_mask(tmp_path / "masks" / "dog" / "a.tif", MASKS[1])
    with pytest.raises(ImagesError, match=r"holds 2 masks for dog/a\.png: dog/a\.bmp, dog/a\.tif"):
        load_images(tmp_path / "images", masks=tmp_path / "masks")


def test_no_mask_belongs_to_an_image(tmp_path: Path) -> None:
    save_mask(tmp_path / "x.png", MASKS[0])
    with pytest.raises(ImagesError, match="None of the 1 images in") as caught:
        load_images(TWO, masks=tmp_path)
    assert "x.png" in caught.value.hint and "000000" in caught.value.hint
    with pytest.raises(ImagesError, match="no folder of masks"):
        load_images(TWO, masks=tmp_path / "x.png")
    with pytest.raises(ImagesError, match="There is no"):
        load_images(TWO, masks=tmp_path / "y")


def test_an_npy_of_masks(tmp_path: Path) -> None:
    np.save(tmp_path / "m.npy", MASKS)
    np.testing.assert_array_equal(load_images(TWO, masks=tmp_path / "m.npy")[1].mask, MASKS[1])


def test_a_single_value_is_no_mask() -> None:
    with pytest.raises(ImagesError, match="masks is a single value, 2"):
        load_images(TWO, masks=np.array(2))


def test_the_mask_has_the_size_of_the_upright_image(tmp_path: Path) -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    PillowImage.fromarray(TWO[0]).save(tmp_path / "a.png", exif=exif)  # 6 wide, stored; 4 wide, upright
    assert load_images(tmp_path / "a.png", masks=[MASKS[0].T])[0].mask is not None
    with pytest.raises(ImagesError, match=r"mask of a\.png is 6 pixels wide and 4 high.*4 wide and 6 high"):
        _ = load_images(tmp_path / "a.png", masks=[MASKS[0]])[0].mask


def test_masks_that_cannot_be_understood(tmp_path: Path) -> None:
    with pytest.raises(ImagesError, match="1 masks for 2 images"):
        load_images(TWO, masks=MASKS[:1])
    with pytest.raises(ImagesError, match="masks is of type int"):
        load_images(TWO, masks=5)
    with pytest.raises(ImagesError, match=r"mask of 000000 cannot be read: mask values from 0 to 7"):
        _ = load_images(TWO, masks=MASKS * 7)[0].mask
    with pytest.raises(ImagesError, match=r"mask of 000000 has the shape \(4, 6, 3\)"):
        _ = load_images(TWO, masks=TWO)[0].mask
    (tmp_path / "000000.png").write_text("no mask")
    with pytest.raises(ImageFileError, match=r"the mask .*000000\.png cannot be read"):
        _ = load_images(TWO, masks=tmp_path)[0].mask


def test_boxes_from_everywhere(tmp_path: Path) -> None:
    wanted = (Box(0, 1, 2, 3), Box(4, 0, 6, 1))
    by_id = {"000001": [[0, 1, 2, 3], [4, 0, 6, 1]]}
    (tmp_path / "b.json").write_text(json.dumps(by_id))
    (tmp_path / "b.csv").write_text("id,left,top,right,bottom\n000001,0,1,2,3\n000001, 4, 0, 6, 1\n")
    for given in (by_id, tmp_path / "b.json", str(tmp_path / "b.csv"), {"000001": np.array(by_id["000001"])}):
        images = load_images(TWO, boxes=given)
        assert images[0].boxes == () and images[0].mask is None
        assert images[1].boxes == wanted
        union = np.zeros((4, 6), bool)
        union[1:3, 0:2] = union[0:1, 4:6] = True
        np.testing.assert_array_equal(images[1].mask, union)
    assert load_images(TWO, boxes={"000000": (0, 0, 1, 1)})[0].boxes == (Box(0, 0, 1, 1),)
    assert load_images(TWO, boxes={"000000": [[0.6, 1.2, 2.1, 3.0]]})[0].boxes == (Box(0, 1, 3, 3),)


@pytest.mark.parametrize("box", [(0, 0, 7, 4), (0, 0, 6, 5), (-1, 0, 2, 2), (2, 0, 2, 2), (3, 0, 2, 2), (0, 3, 2, 1)])
def test_boxes_outside_or_empty_are_named_when_used(box: tuple) -> None:
    image = load_images(TWO, boxes={"000000": [box]})[0]
    assert image.pixels.shape == (4, 6, 3)
    for ask in (lambda: image.boxes, lambda: image.mask):
        with pytest.raises(ImagesError, match=rf"The box \({', '.join(map(str, box))}\) of 000000 is empty or"):
            ask()


def test_boxes_that_cannot_be_understood(tmp_path: Path) -> None:
    for wrong in ([[1, 2, 3]], [["a", 1, 2, 3]], [[0, 0, float("nan"), 1]], 5, [5], [None]):
        with pytest.raises(ImagesError, match="of 000000"):
            load_images(TWO, boxes={"000000": wrong})
    with pytest.raises(ImagesError, match="boxes is of type list"):
        load_images(TWO, boxes=[[0, 0, 1, 1]])
    with pytest.raises(ImagesError, match="None of the 1 ids in boxes"):
        load_images(TWO, boxes={"x": [[0, 0, 1, 1]]})
    with pytest.warns(IconoscopeWarning, match="1 of 2 ids in boxes are no image's and were left out: x"):
        load_images(TWO, boxes={"x": [[0, 0, 1, 1]], "000000": [[0, 0, 1, 1]]})
    (tmp_path / "b.csv").write_text("id,left,top,right\n000001,0,1,2\n")
    with pytest.raises(ImagesError, match="has no column bottom"):
        load_images(TWO, boxes=tmp_path / "b.csv")


def test_a_mask_goes_before_boxes() -> None:
    image = load_images(TWO, masks=MASKS, boxes={"000000": [[0, 0, 1, 1]]})[0]
    np.testing.assert_array_equal(image.mask, MASKS[0])
    assert image.boxes == (Box(0, 0, 1, 1),)


def test_a_photograph_is_no_mask(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for kind, pixels in (
        ("images", generator.integers(0, 256, (40, 40, 3))),
        ("masks", generator.integers(0, 256, (40, 40, 3))),
    ):
        (tmp_path / kind).mkdir()
        PillowImage.fromarray(pixels.astype(np.uint8)).save(tmp_path / kind / "a.png")
    image = load_images(tmp_path / "images", masks=tmp_path / "masks")[0]
    with pytest.raises(ImagesError, match="a photograph, not a mask"):
        _ = image.mask
