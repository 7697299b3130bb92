"""Several patches and fills, against the questions asked one by one."""

import inspect
from typing import Any

import docstring_parser
import numpy as np
import pytest

import iconoscope as ico
from iconoscope.errors import QuestionError
from iconoscope.occlusion.sliding_patch import METHODS


@pytest.mark.parametrize("method", ["dense", "exact"])
def test_every_size_is_what_occlude_answers(resnet20, data, method, monkeypatch):
    monkeypatch.setattr("iconoscope.occlusion.incremental.exact.LEAST_WORK", 0.0)
    images = ico.load_images(data / "cifar10" / "test.parquet", limit=2)
    found = ico.occlude(resnet20, images, patch=[6, (4, 12), 16], stride=9, fill="zero", method=method)
    assert [[result.patch for result in each.results] for each in found] == [[(6, 6), (4, 12), (16, 16)]] * 2
    for each, image in zip(found, images, strict=True):
        for result in each.results:
            alone = ico.occlude(resnet20, image, patch=result.patch, stride=9, fill="zero", method=method)
            assert np.allclose(result.occluded, alone.occluded, atol=1e-5)
            assert result.question == alone.question
        assert each.largest.drop.max() == max(result.drop.max() for result in each.results)


def test_all_sizes_of_an_image_before_the_next_with_one_engine(planted, bright, monkeypatch):
    from iconoscope.occlusion.dense import scan_dense

    asked, made = [], []

    def make(images, weights):
        made.append(images)

        def scan(network, image, cover, grid, unit, *, memory, clean):
            asked.append((float(image.sum()), grid.patch, memory))
            return scan_dense(network, image, cover, grid, unit, memory=memory)

        return scan

    monkeypatch.setitem(METHODS, "dense", make)
    pictures = np.stack([bright, bright // 2])
    ico.occlude(planted, pictures, "prob:seen", patch=[6, 12], method="dense", memory="1GB")
    assert made == [2]
    assert [patch for _, patch, _ in asked] == [(6, 6), (12, 12)] * 2 and {memory for *_, memory in asked} == {10**9}
    assert asked[0][0] == asked[1][0] != asked[2][0] == asked[3][0]


def test_both_fills_are_what_occlude_answers(planted, bright, tmp_path):
    found = ico.occlude(planted, bright, fill=["zero", "black"], patch=8, store=tmp_path / "run")
    for result, fill in zip(found.results, ("zero", "black"), strict=True):
        alone = ico.occlude(planted, bright, patch=8, fill=fill)
        assert np.array_equal(result.occluded, alone.occluded) and result.question == alone.question
    assert len(ico.Store(tmp_path / "run")) == 2
    assert len(ico.occlude(planted, np.stack([bright, bright]), fill=["zero", "black"], patch=24)) == 2


def test_what_is_seen_with_one_fill_only_depends_on_it(planted, bright):
    """The planted network reads red: black takes it away, white adds to it; where it looks, both tell."""
    white = np.full_like(bright, 255)
    dark = bright // 3 + 128
    robust = ico.occlude(planted, bright, "prob:seen", fill=["zero", "black"], patch=4, stride=2)
    assert robust.robust and robust.distance == 0 and "robust" in robust.summary()
    fill = ico.occlude(planted, dark, "prob:seen", fill=["black", white], patch=4, stride=2)
    assert not fill.robust and "depends on the fill" in fill.summary()
    assert fill.correlation < 0


def test_no_patch_matters_with_either(planted, bright):
    found = ico.occlude(planted, bright, "prob:third class", fill=["patch-mean", bright], patch=4)
    assert found.robust and "no single patch matters" in found.summary()


def test_questions_that_make_no_sense(planted, bright):
    for patches in ([], [8, 8], [8, (8, 8)]):
        with pytest.raises(QuestionError, match="each given once"):
            ico.occlude(planted, bright, patch=patches)
    with pytest.raises(QuestionError, match="does not fit"):
        ico.occlude(planted, bright, patch=[16, 32, 64])
    with pytest.raises(QuestionError, match="names no fill"):
        ico.occlude(planted, bright, fill=[])
    with pytest.raises(QuestionError, match="is not a choice"):
        ico.occlude(planted, bright, fill="zero,mean")
    several: list[dict[str, Any]] = [{"patch": [8, 12]}, {"fill": ["zero", "mean"]}, {"unit": "prob:seen"}]
    for settings in several:
        with pytest.raises(QuestionError, match="one patch and one fill"):
            ico.occlude(planted, bright, mean=True, **settings)
    with pytest.raises(QuestionError, match="occlude has no setting 'patches'") as caught:
        ico.occlude(planted, bright, patches=8)  # pyright: ignore[reportCallIssue]
    assert "Did you mean patch?" in caught.value.hint


def test_every_patch_in_every_fill(planted, bright, tmp_path):
    series = ico.occlude(planted, bright, patch=[8, (4, 12)], fill=["zero", "black"], store=tmp_path / "run")
    pairs = [(occlusion.patch, occlusion.question.settings["fill"]) for occlusion in series.results]
    assert pairs == [((8, 8), "zero"), ((8, 8), "black"), ((4, 12), "zero"), ((4, 12), "black")]
    assert len(ico.Store(tmp_path / "run")) == 4
    (alone,) = ico.occlude(planted, bright, patch=[8]).results  # a list of one is a series too
    assert alone.question == ico.occlude(planted, bright, patch=8).question


def test_the_settings_stand_in_the_signatures_and_the_docstrings():
    names = ["patch", "stride", "fill", "method", "memory", "seed", "store"]
    for function in (ico.occlude, ico.occlude_each, ico.refine):
        signature = inspect.signature(function)
        assert [name for name in signature.parameters if name in names] == names
        assert "settings" not in signature.parameters
        assert signature.parameters["fill"].default == "mean" and signature.parameters["seed"].default == 0
        documented = [parameter.arg_name for parameter in docstring_parser.parse(function.__doc__ or "").params]
        assert set(names) <= set(documented) and "**settings" not in documented
    assert list(inspect.signature(ico.occlude).parameters)[:3] == ["network", "images", "unit"]
