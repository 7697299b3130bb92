"""What is taken for a map, what is refused, and the order of the pixels against its definition written out."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import iconoscope as ico
from iconoscope.errors import QuestionError
from iconoscope.occlusion.attribution_maps import rank_pixels, read_maps

SIZE = (24, 24)


@pytest.fixture
def images(bright):
    return ico.load_images(np.stack([bright, bright[::-1], bright[:, ::-1]]))


@pytest.fixture
def three():
    return np.random.default_rng(1).normal(size=(3, *SIZE))


@given(arrays(np.float32, (4, 5), elements=st.integers(-3, 3).map(float)), st.integers(1, 30))
def test_the_order_is_that_of_the_values(values, steps):
    share, point = rank_pixels(values, steps)
    assert share[0] == 0 and share[-1] == 1 and (np.diff(share) > 0).all() and len(share) <= steps + 1
    # At every point just the highest values are changed, all of a value or none.
    for place in range(len(share)):
        changed = point <= place
        assert changed.mean() == pytest.approx(share[place])
        assert not changed.any() or changed.all() or values[changed].min() > values[~changed].max()
    # Each equal share has the end of a plateau that is nearest to it among the points.
    ends = [(values >= value).mean() for value in values.ravel()] + [0]
    for wanted in np.linspace(0, 1, steps + 1):
        assert np.abs(share - wanted).min() == pytest.approx(np.abs(np.array(ends) - wanted).min(), abs=1e-9)


@given(arrays(np.float32, (4, 5), elements=st.integers(-2, 2).map(float)), st.integers(0, 2**31))
def test_where_a_pixel_lies_in_memory_does_not_matter(values, seed):
    shuffled = np.random.default_rng(seed).permutation(20)
    one = rank_pixels(values, 7)
    other = rank_pixels(values.ravel()[shuffled].reshape(4, 5), 7)
    assert np.array_equal(one.share, other.share)
    assert np.array_equal(one.point.ravel()[shuffled], other.point.ravel())


def test_where_all_values_differ_the_steps_are_equal():
    share, point = rank_pixels(np.random.default_rng(0).permutation(96).reshape(8, 12), 8)
    assert np.allclose(share, np.linspace(0, 1, 9))
    assert (np.bincount(point.ravel(), minlength=9) == [0, *[12] * 8]).all()


def test_arrays_tensors_lists_and_files_are_the_same(images, three, tmp_path):
    np.save(tmp_path / "maps.npy", three)
    np.savez(tmp_path / "one.npz", anything=three)
    np.savez(tmp_path / "maps.npz", maps=three, other=np.zeros(2))
    tensor = torch.tensor(three, requires_grad=True)
    files = (tmp_path / "maps.npy", str(tmp_path / "one.npz"), tmp_path / "maps.npz")
    for given_maps in (three, tensor, list(three), list(tensor), three.tolist(), *files):
        find = read_maps(given_maps, images, SIZE)
        for place, image in enumerate(images):
            assert np.array_equal(find(image).values, three[place].astype(np.float32))
            assert find(image).key == read_maps(three, images, SIZE)(image).key


def test_one_map_of_one_image_needs_no_axis_for_images(images, three):
    for given_map in (three[0], three[:1], [three[0]]):
        assert np.array_equal(read_maps(given_map, images[:1], SIZE)(images[0]).values, three[0].astype(np.float32))


def test_occlusions_find_their_images_in_any_order(planted, images):
    found = ico.occlude(planted, images, "prob:seen", patch=6)
    find = read_maps(found[::-1], images, SIZE)
    for image, one in zip(images, found, strict=True):
        assert np.allclose(find(image).values, one.drop_by_pixel(), atol=1e-6)
        assert find(image).unit == "prob:seen" and "patch of 6x6" in find(image).name
    with pytest.raises(QuestionError, match=r"no map of 000001; there are maps of 000000\.") as caught:
        read_maps(found[0], images, SIZE)(images[1])
    assert "effect_by_pixel" in caught.value.hint
    with pytest.raises(QuestionError, match="24x24 does not fit the network's input of 32x32"):
        read_maps(found, images, (32, 32))(images[0])


@pytest.mark.parametrize(
    ("shape", "says", "hint"),
    [
        ((12, 12), "12x12 does not fit", "after resizing"),
        ((3, 24, 24), "have channels", "maps.sum(0)"),
        ((1, 3, 24, 24), "have channels", "maps.sum(1)"),
        ((0, 24, 24), "0 maps were given for 1 images", "height, width"),
        ((24,), "rank no pixels", "height, width"),
    ],
)
def test_wrong_shapes_are_refused(images, shape, says, hint):
    with pytest.raises(QuestionError, match=says) as caught:
        read_maps(np.zeros(shape), images[:1], SIZE)
    assert hint in caught.value.hint


def test_what_is_no_map_is_refused(images, three):
    with pytest.raises(QuestionError, match="2 maps were given for 3 images"):
        read_maps(three[:2], images, SIZE)
    with pytest.raises(QuestionError, match="1 maps were given for 3 images"):
        read_maps(three[0], images, SIZE)
    for wrong in (object(), "nosuch.npy", [three[0], three[1, :3]], three.astype(complex), np.array("map")):
        with pytest.raises(QuestionError, match=r"maps|Maps"):
            read_maps(wrong, images, SIZE)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_what_is_not_finite_is_refused_and_counted(images, three, bad):
    three[1, 3, 4] = bad
    with pytest.raises(QuestionError, match="1 of 3 images hold NaN or infinity, the first of them map 1"):
        read_maps(three, images, SIZE)


def test_a_constant_map_ranks_nothing(images, three):
    three[2] = 0.5
    find = read_maps(three, images, SIZE)
    find(images[0])
    with pytest.raises(QuestionError, match=r"The map of 000002 is 0\.5 everywhere"):
        find(images[2])


def test_files_that_are_no_maps_are_refused(images, three, tmp_path):
    np.savez(tmp_path / "two.npz", a=three, b=three)
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "two.npz").read_bytes()[:500])
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    (tmp_path / "maps.txt").write_text("1 2 3")
    says = {
        "two.npz": "has the arrays a, b; which",
        "text.npy": "cannot be read as maps",
        "empty.npy": "cannot be read as maps",
        "cut.npz": "cannot be read as maps",
        "objects.npy": "cannot be read as maps",
        "maps.txt": r"is no \.npy or \.npz file",
        "nosuch.npy": "does not exist",
    }
    for name, said in says.items():
        with pytest.raises(QuestionError, match=said):
            read_maps(tmp_path / name, images, SIZE)
