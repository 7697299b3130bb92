"""A patch that is kept, all else covered: against pictures that are put together by hand."""

import base64

import numpy as np
import pytest
import torch

import iconoscope as ico
from iconoscope.errors import QuestionError
from iconoscope.occlusion import make_grid
from iconoscope.occlusion.fills import read_fill
from iconoscope.subject.images import load_images
from tests.networks import Small

SIZE = 24


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(3)
    how = {"size": SIZE, "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.2), "crop": "none"}
    return ico.load_network(Small().eval(), classes=["a", "b"], device="cpu", preprocessing=how)


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(1).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)


def by_hand(network, picture, fill, patch, stride):
    """The logits of the fill with the photograph in the patch alone, and of the fill."""
    filled = read_fill(fill, network.preprocessing).field(picture, network.preprocessing, (patch, patch), 0)
    photograph = network.preprocessing.normalise(picture[None])[0].numpy()
    grid = make_grid((SIZE, SIZE), patch=patch, stride=stride)
    pictures = [filled]
    for position in range(len(grid)):
        rows, columns = grid.window(position)
        alone = filled.copy()
        alone[:, rows, columns] = photograph[:, rows, columns]
        pictures.append(alone)
    with torch.inference_mode():
        answers = network.module(torch.from_numpy(np.stack(pictures))).numpy()
    return answers[1:].reshape(*grid.shape, -1), answers[0]


@pytest.mark.parametrize("fill", ["mean", "zero", "black", "blur", "noise", "0.5"])
@pytest.mark.parametrize("method", ["exact", "dense"])
def test_the_photograph_is_seen_through_the_patch_alone(network, picture, fill, method):
    answered = ico.occlude(network, picture, "logit:b", patch=8, stride=5, fill=fill, method=method, keep=True)
    expected, empty = by_hand(network, picture, fill, 8, 5)
    assert answered.all_covered is not None
    assert np.ptp(expected[..., 1]) > 1e-3
    assert np.allclose(answered.occluded, expected, atol=1e-5)
    assert np.allclose(answered.all_covered, empty, atol=1e-5)
    assert np.allclose(answered.effect, expected[..., 1] - empty[1], atol=1e-5)
    assert answered.question.settings["keep"] is True


def test_the_engine_that_shares_answers_as_the_plain_one(network, picture, monkeypatch):
    monkeypatch.setattr("iconoscope.occlusion.incremental.exact.LEAST_WORK", 0)
    monkeypatch.setattr("iconoscope.occlusion.incremental.exact.LEAST_GAIN", 0)
    exact = ico.occlude(network, picture, "logit:b", patch=6, stride=2, fill="blur", keep=True)
    dense = ico.occlude(network, picture, "logit:b", patch=6, stride=2, fill="blur", method="dense", keep=True)
    assert exact.plan.startswith("exact: ")
    assert np.allclose(exact.occluded, dense.occluded, atol=1e-5)


def test_a_patch_as_large_as_the_picture_suffices(network, picture):
    answered = ico.occlude(network, picture, "prob:b", patch=SIZE, keep=True)
    assert np.allclose(answered.map, answered.clean[1], atol=1e-6)
    assert np.allclose(answered.drop, 0, atol=1e-6)


def test_it_says_which_it_is_and_is_another_question(network, picture, tmp_path):
    kept, covered = (
        ico.occlude(network, picture, "prob:b", patch=8, stride=8, keep=keep, store=tmp_path) for keep in (True, False)
    )
    assert kept.question.key != covered.question.key and "keep" not in covered.question.settings
    assert (
        "from the 8x8 patch" in kept.summary()
        and " alone, " in kept.summary()
        and "with everything covered" in kept.summary()
    )
    assert "under the 8x8 patch" in covered.summary()
    again = ico.load_result(kept.save(tmp_path / "kept"))
    assert isinstance(again, ico.Occlusion)
    assert np.array_equal(again.effect, kept.effect) and again.kept and again.summary() == kept.summary()
    stated = kept.to_json()
    assert kept.all_covered is not None
    assert stated["kept"] and stated["maximum"]["value"] == pytest.approx(float(kept.map.max()))
    assert stated["all_covered"] == pytest.approx(float(kept.all_covered[1])) and "minimum" in covered.to_json()
    table = kept._table()
    assert all(table["kept"]) and np.array_equal(table["effect"], kept.effect.ravel())
    assert not any(covered._table()["kept"])


def test_all_else_has_a_fill_of_its_own(network, picture):
    with pytest.raises(QuestionError, match="patch-mean") as caught:
        ico.occlude(network, picture, fill=["mean", "patch-mean"], keep=True)
    assert "mean" in caught.value.hint
    with pytest.raises(QuestionError, match="averages what covering costs"):
        ico.occlude(network, picture, mean=True, keep=True)
    with pytest.raises(QuestionError, match="keep=True is a setting of the occlusion map"):
        ico.faithfulness(network, picture, np.ones((SIZE, SIZE)), keep=True)


def test_the_map_ranks_by_what_a_patch_gives(network, picture):
    (curves,) = ico.faithfulness(network, picture, unit="logit:b", patch=8, stride=4, keep=True, steps=4).results
    kept = ico.occlude(network, picture, "logit:b", patch=8, stride=4, keep=True)
    assert np.allclose(curves.attribution, kept.effect_by_pixel(), atol=1e-5)
    assert "kept" in curves.ranked_by


def test_several_patches_and_fills_are_said_as_what_is_kept(network, picture):
    sizes = ico.occlude(network, picture, "logit:b", patch=[6, 12], stride=6, keep=True)
    assert "from a patch alone at most" in sizes.summary()
    fills = ico.occlude(network, picture, "logit:b", patch=6, stride=6, fill=["mean", "zero"], keep=True)
    assert fills.labels == ("fill mean", "fill zero") and "a patch alone adds at most" in fills.summary()
    with pytest.raises(QuestionError, match="whether the patch is kept"):
        ico.OcclusionSeries((fills.results[0], ico.occlude(network, picture, "logit:b", patch=6, stride=6)))


def test_the_photograph_of_a_page_shows_the_patch_alone(network, picture, tmp_path):
    image = load_images(picture)[0]
    kept = ico.occlude(network, image, "prob:b", patch=8, stride=8, keep=True)
    for lang, words in (("en", "that patch alone suffices"), ("es", "ese parche basta por sí solo")):
        page = ico.report(kept, tmp_path / "page.html", lang=lang).read_text(encoding="utf-8")
        assert words in page and '"kept": true' in page
    packed = kept.patch_answers().packed()
    assert kept.all_covered is not None
    values = np.frombuffer(base64.b64decode(packed["values"]), "<u2").reshape(-1, 2) / 65535
    assert np.allclose(values[-1], kept.all_covered, atol=2e-5) and len(values) == 1 + kept.map.size + 1
