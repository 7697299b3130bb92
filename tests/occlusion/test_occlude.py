"""The dense engine against a loop that is written out here, and against networks whose truth is known."""

import re
import weakref

import numpy as np
import pytest
import torch

import iconoscope as ico
from iconoscope.errors import IconoscopeWarning, ImageFileError, NonFiniteError, QuestionError, StoreError, UnitError
from iconoscope.results import Occlusion


def naive(network, picture, patch, stride, fill):
    """Every position by itself, in NumPy as far as the network's door."""
    mean, std = (
        np.asarray(values)[:, None, None] for values in (network.preprocessing.mean, network.preprocessing.std)
    )
    clean = (picture.transpose(2, 0, 1) / 255 - mean) / std
    rows = []
    top = 0
    while True:
        row, left = [], 0
        while True:
            covered = clean.copy()
            covered[:, top : top + patch, left : left + patch] = fill[:, None, None]
            with torch.inference_mode():
                logits = network.module(torch.tensor(covered[None], dtype=torch.float32))[0].double().numpy()
            row.append(np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum())
            if left + patch >= picture.shape[1]:
                break
            left += stride
        rows.append(row)
        if top + patch >= picture.shape[0]:
            break
        top += stride
    return np.array(rows)


@pytest.mark.parametrize(("patch", "stride"), [(8, 4), (5, 3), (24, 1), (7, 7)])
def test_against_a_loop_written_out(planted, bright, patch, stride):
    found = ico.occlude(planted, bright, "prob:seen", patch=patch, stride=stride, fill="zero")
    assert np.allclose(found.occluded, naive(planted, bright, patch, stride, np.zeros(3)), atol=1e-6)
    black = ico.occlude(planted, bright, "prob:seen", patch=patch, stride=stride, fill="black")
    assert np.allclose(black.occluded, naive(planted, bright, patch, stride, np.full(3, -2.0)), atol=1e-6)


def test_against_the_loop_on_a_real_network(resnet20, data):
    picture = ico.load_images(data / "cifar10" / "test.parquet", limit=1)[0].pixels
    found = ico.occlude(resnet20, picture, patch=8, stride=5, fill="zero")
    assert np.allclose(found.occluded, naive(resnet20, picture, 8, 5, np.zeros(3)), atol=1e-5)


def test_the_drop_is_exactly_where_the_network_looks(planted, bright):
    """The planted network looks at rows 4..11 and columns 8..15 alone."""
    found = ico.occlude(planted, bright, "prob:seen", patch=2, stride=2, fill="zero")
    looked = np.zeros((12, 12), bool)
    looked[2:6, 4:8] = True
    assert (found.drop[looked] > 1e-4).all()
    assert (found.drop[~looked] == 0).all()
    assert looked[found.minimum]
    by_pixel = found.drop_by_pixel()
    assert (by_pixel[4:12, 8:16] > 0).all() and by_pixel.sum() == pytest.approx(by_pixel[4:12, 8:16].sum())


def test_all_classes_come_at_once(planted, bright):
    found = ico.occlude(planted, bright, "prob:unseen", patch=8, stride=4, fill="zero")
    assert found.occluded.shape == (5, 5, 3)
    assert np.allclose(found.occluded.sum(2), 1, atol=1e-6)
    assert found.target == 1 and found.names[1] == "unseen"
    assert np.allclose(found.clean[1] - found.occluded[..., 1], found.drop)
    assert found.winner[1, 2] == 1  # the patch on what it looks at: "seen" is lost


def test_the_right_class_is_the_label_or_else_the_prediction(planted, bright):
    images = ico.load_images([bright, bright], labels=["unseen", None])
    with pytest.warns(IconoscopeWarning, match="1 of 2 images have no label"):
        labelled, unlabelled = ico.occlude(planted, images, patch=12, stride=12)
    assert (labelled.target_origin, labelled.names[labelled.target]) == ("label", "unseen")
    assert (unlabelled.target_origin, unlabelled.names[unlabelled.target]) == ("prediction", "seen")
    assert ico.occlude(planted, bright, "prob:third class", patch=12, stride=12).target_origin == "asked"


def test_labels_that_the_network_does_not_have_are_said(planted, bright):
    images = ico.load_images([bright], labels=["zebra"])
    with pytest.warns(IconoscopeWarning, match="'zebra' \\(1\\)"):
        (found,) = ico.occlude(planted, images, patch=12, stride=12)
    assert found.target_origin == "prediction"


def test_units_inside(planted, bright):
    found = ico.occlude(planted, bright, "features:0", patch=12, stride=12, fill="zero")
    red = (bright[..., 0] / 255 - 0.5) / 0.25
    assert found.measure == "mean activation"
    assert found.clean[0] == pytest.approx(red.mean(), abs=1e-5)
    assert found.occluded[0, 1, 0] == pytest.approx((red.sum() - red[:12, 12:].sum()) / red.size, abs=1e-5)
    # The ReLU that follows works in place; channel 1 is negative and must be read as it was before.
    assert found.clean[1] < 0


def test_a_bound_on_memory_changes_nothing_but_the_batch(planted, bright):
    found = [ico.occlude(planted, bright, patch=6, stride=2, memory=memory) for memory in ("50kB", 300_000, "1GB")]
    batches = [int(re.findall(r"(\d+) at a time", each.plan)[0]) for each in found]
    assert batches[0] < batches[1] < batches[2] == len(found[2].map.ravel())
    for each in found[:2]:
        assert np.allclose(each.occluded, found[2].occluded, atol=1e-7)


def test_one_in_one_out_and_a_set_in_a_list_out(planted, bright, tmp_path):
    assert isinstance(ico.occlude(planted, bright, patch=24), ico.Occlusion)
    images = ico.load_images([bright])
    assert isinstance(ico.occlude(planted, images[0], patch=24), ico.Occlusion)
    assert len(ico.occlude(planted, images, patch=24)) == 1


def test_a_bad_file_does_not_take_the_others_with_it(planted, bright, tmp_path):
    from PIL import Image

    for name in ("a.png", "c.png"):
        Image.fromarray(bright).save(tmp_path / name)
    (tmp_path / "b.png").write_text("this is text")
    with pytest.warns(IconoscopeWarning, match=r"1 of 3 images.*b\.png"):
        found = ico.occlude(planted, tmp_path, patch=24)
    assert [result.question.subject for result in found] == ["a.png", "c.png"]
    with pytest.raises(ImageFileError, match=r"b\.png"):
        ico.occlude(planted, tmp_path / "b.png", patch=24)


def test_bad_questions(planted, bright):
    with pytest.raises(QuestionError, match="does not fit"):
        ico.occlude(planted, bright, patch=25)
    with pytest.raises(QuestionError, match="memory='lots'"):
        ico.occlude(planted, bright, memory="lots")
    with pytest.raises(QuestionError, match=r"memory=1\.0KB is too little: one position .* takes"):
        ico.occlude(planted, bright, memory="1kB")
    with pytest.raises(QuestionError, match="seed=-1"):
        ico.occlude(planted, bright, seed=-1)
    with pytest.raises(UnitError, match="no class"):
        ico.occlude(planted, bright, "prob:sean")
    with pytest.raises(UnitError, match="no layer"):
        ico.occlude(planted, bright, "feature")
    with pytest.raises(UnitError, match="no channel 2"):
        ico.occlude(planted, bright, "features:2")


def test_nan_under_a_patch_is_an_error(planted, bright):
    with torch.no_grad():
        planted.module.features.weight[0, 0] = float("inf")
    with pytest.raises(NonFiniteError):
        ico.occlude(planted, bright, "prob:seen", patch=12)


def test_the_same_question_is_answered_from_the_store(planted, bright, tmp_path, monkeypatch):
    first = ico.occlude(planted, bright, patch=12, store=tmp_path / "run")
    calls = []
    monkeypatch.setattr("iconoscope.occlusion.dense.scan_dense", lambda *a, **k: calls.append(1))
    second = ico.occlude(planted, bright, patch=12, store=tmp_path / "run")
    assert not calls
    assert np.array_equal(first.occluded, second.occluded)
    assert second.question == first.question


def test_another_question_has_another_key(planted, bright):
    def key(picture=bright, unit=None, patch=12, stride=12, fill="zero", seed=0):
        return ico.occlude(planted, picture, unit, patch=patch, stride=stride, fill=fill, seed=seed).question.key

    same = key()
    assert same == key(seed=3) == key(unit="prob:seen")  # what is asked is the same, however it was said
    others = [
        key(bright[::-1].copy()),
        key(unit="logit:seen"),
        key(patch=8),
        key(stride=6),
        key(fill="black"),
        key(fill="noise"),
    ]
    others.append(key(fill="noise", seed=1))
    with torch.no_grad():
        planted.module.features.weight[0, 0] += 0.1
    others.append(key())
    assert len({same, *others}) == len(others) + 1


def test_a_network_that_was_trained_on_meanwhile_is_asked_again(planted, bright, tmp_path):
    first = ico.occlude(planted, bright, "prob:seen", patch=12, store=tmp_path / "run")
    with torch.no_grad():
        planted.module.features.weight[0, 0] *= 0.5
    second = ico.occlude(planted, bright, "prob:seen", patch=12, store=tmp_path / "run")
    assert second.clean[0] < first.clean[0]


def test_the_same_pixels_under_another_name_keep_that_name(planted, bright, tmp_path):
    from PIL import Image

    for name in ("a.png", "b.png"):
        Image.fromarray(bright).save(tmp_path / name)
        (found,) = ico.occlude(planted, tmp_path / name, "prob:seen", patch=12, store=tmp_path / "run")
        assert found.question.subject == name
    labelled = ico.load_images([bright], labels=["seen"])
    assert ico.occlude(planted, labelled, patch=12, store=tmp_path / "run")[0].target_origin == "label"
    assert len(ico.Store(tmp_path / "run")) == 1


def test_a_batch_of_arrays_is_a_set(planted, bright):
    batch = np.stack([bright, bright[::-1]])
    found = ico.occlude(planted, batch, patch=24)
    assert len(found) == 2 and not np.array_equal(found[0].clean, found[1].clean)
    assert len(ico.occlude(planted, torch.from_numpy(batch), patch=24)) == 2


def test_a_store_that_cannot_be_written_is_said_before_the_work(planted, bright, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    monkeypatch.setattr("iconoscope.occlusion.dense.scan_dense", lambda *_, **__: pytest.fail("asked"))
    with pytest.raises(StoreError, match="cannot be written"):
        ico.occlude(planted, bright, patch=12, store=tmp_path / "file" / "run")


def test_an_answer_that_cannot_be_kept_is_given_all_the_same(planted, bright, tmp_path, monkeypatch):
    def full(*_, **__):
        raise StoreError("the disk is full.")

    monkeypatch.setattr("iconoscope.store.store.write_record", full)
    with pytest.warns(IconoscopeWarning, match=r"the disk is full\. The answer is not kept"):
        assert ico.occlude(planted, bright, patch=24, store=tmp_path / "run").map.shape == (1, 1)


def test_one_after_another_and_none_kept(planted, bright, monkeypatch):
    """Each result is there before the next image is read, and gone when it is let go."""
    pictures = np.stack([np.roll(bright, shift, 1) for shift in range(3)])
    images, read = ico.load_images(pictures, labels=["seen"] * 3), []
    source = type(images._source)
    original = source.read

    def reading(self, row):
        read.append(row)
        return original(self, row)

    monkeypatch.setattr(source, "read", reading)
    each = ico.occlude_each(planted, images, patch=12, stride=12)
    assert read == []
    first = next(each)
    assert read == [0]
    watched = weakref.ref(first)
    del first
    second = next(each)
    assert watched() is None and read == [0, 1]
    whole = ico.occlude(planted, images, patch=12, stride=12)
    assert np.array_equal(second.occluded, whole[1].occluded) and len(whole) == 3


def test_what_makes_no_sense_is_raised_before_the_first_result(planted, bright):
    with pytest.raises(QuestionError, match="no setting 'ptach'") as caught:
        ico.occlude_each(planted, bright, ptach=3)  # pyright: ignore
    assert "patch" in caught.value.hint
    with pytest.raises(QuestionError, match="does not fit"):
        ico.occlude_each(planted, bright, patch=25)
    with pytest.raises(UnitError, match="no class"):
        ico.occlude_each(planted, bright, "prob:sean")


def test_an_iterator_takes_what_occlude_takes_where_nothing_is_said(planted, bright):
    (found,) = ico.occlude_each(planted, bright)
    assert found.question == ico.occlude(planted, bright).question


def test_a_map_is_refined_until_it_is_what_was_asked_for(planted, bright, tmp_path):
    last = ico.occlude(planted, bright, patch=6, stride=2)
    found = list(ico.refine(planted, bright, patch=6, stride=2, store=tmp_path / "run"))
    assert [each.map.shape for each in found] == [(3, 3), (6, 6), (10, 10)]
    assert np.array_equal(found[-1].occluded, last.occluded) and found[-1].question.key == last.question.key
    for coarse in found[:-1]:
        at = np.isin(last.top, coarse.top), np.isin(last.left, coarse.left)
        common = np.isin(coarse.top, last.top), np.isin(coarse.left, last.left)
        assert np.allclose(coarse.occluded[np.ix_(*common)], last.occluded[np.ix_(*at)], atol=1e-6)
    assert len(ico.Store(tmp_path / "run")) == 1
    with pytest.raises(ico.errors.QuestionError, match="one image"):
        ico.refine(planted, np.stack([bright, bright]))


@pytest.mark.parametrize("method", ["exact", "fast"])
def test_every_fill_before_every_engine(resnet20, data, method, monkeypatch):
    """Also a colour of its own for every position, and a function."""
    monkeypatch.setattr("iconoscope.occlusion.incremental.exact.LEAST_WORK", 0)
    picture = ico.load_images(data / "cifar10" / "test.parquet", limit=1)[0].pixels
    for fill in ("zero", "mean", "patch-mean", "blur", "noise", np.flipud):
        found = ico.occlude(resnet20, picture, patch=(8, 5), stride=3, fill=fill, method=method)
        plain = ico.occlude(resnet20, picture, patch=(8, 5), stride=3, fill=fill, method="dense")
        assert found.plan.startswith(method), found.plan
        off = np.abs(found.occluded - plain.occluded)[..., plain.target]
        if method == "exact":
            assert off.max() < 1e-5
        else:
            told = [float(each) for each in re.findall(r"off by (\S+) on average and (\S+) at most", found.plan)[0]]
            assert off.mean() < max(3 * told[0], 0.01) and told[1] <= off.max() + 1e-6


def test_units_inside_by_every_engine(resnet20, data, monkeypatch):
    monkeypatch.setattr("iconoscope.occlusion.incremental.exact.LEAST_WORK", 0)
    picture = ico.load_images(data / "cifar10" / "test.parquet", limit=1)[0].pixels
    for unit in ("layer1.1.conv2:3", "layer2.0.conv1:5@2,3", "layer1.0.conv1"):
        exact = ico.occlude(resnet20, picture, unit, patch=8, stride=4)
        dense = ico.occlude(resnet20, picture, unit, patch=8, stride=4, method="dense")
        assert exact.plan.startswith("exact"), exact.plan
        assert np.abs(exact.occluded - dense.occluded).max() < 1e-4 * np.abs(dense.occluded).max()


def test_figures_are_written_under_the_name_that_was_given(planted, bright, tmp_path):
    ico.occlude(planted, bright, patch=12, stride=12, out=tmp_path / "one.png")
    ico.occlude(planted, np.stack([bright, bright[::-1]]), patch=12, stride=12, out=tmp_path / "many.png")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["many-1.png", "many-2.png", "one.png"]
    with pytest.raises(QuestionError, match=r"not written as one\.txt"):
        ico.occlude(planted, bright, out=tmp_path / "one.txt")
    with pytest.raises(QuestionError, match="no setting 'out'"):
        ico.occlude_each(planted, bright, **{"out": "one.png"})  # pyright: ignore[reportArgumentType]


def test_the_figure_of_an_image_is_there_before_the_next_is_asked_about(planted, bright, tmp_path):
    there = []

    def paint(picture):
        there.append(sorted(path.name for path in tmp_path.iterdir()))
        return np.zeros_like(picture)

    pictures = np.stack([bright, bright[::-1], bright[:, ::-1]])
    ico.occlude(planted, pictures, patch=12, stride=12, fill=paint, out=tmp_path / "maps.png")
    names = [f"maps-{number}.png" for number in (1, 2, 3)]
    assert names[:0] in there and names[:1] in there and there[-1] == names[:2]


def test_the_object_comes_with_the_images_and_not_with_the_question(tmp_path):
    network = ico.load_network("cars-honest", device="cpu")
    images = ico.demo_images(2, seed=1)
    bare = ico.load_images(np.stack([image.pixels for image in images]))
    settings = {"patch": 24, "stride": 24, "fill": "mean", "store": tmp_path / "run"}
    without = ico.occlude(network, bare, "prob:0", **settings)
    occlusions = ico.occlude(network, images, "prob:0", **settings)
    for first, second, image in zip(without, occlusions, images, strict=True):
        assert first.question.key == second.question.key and (first.occluded == second.occluded).all()
        assert first.object_mask is None and first.pointing is None and np.isnan(first.object_share)
        assert image.mask is not None and second.object_mask is not None
        assert (second.object_mask == network.preprocessing.fit_mask(image.mask)).all()
        assert isinstance(second.pointing, bool) and 0 < second.object_share <= 1
    again = ico.load_result(occlusions[0].save(tmp_path / "kept"))
    assert isinstance(again, Occlusion) and again.object_mask is not None
    assert (again.object_mask == occlusions[0].object_mask).all() and again.pointing == occlusions[0].pointing
