"""Deletion and insertion against a loop that is written out, and against a network whose best order is known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import iconoscope as ico
from iconoscope.errors import IconoscopeWarning, QuestionError, UnitError
from iconoscope.results import Curves


def curves(*arguments: Any, **settings: Any) -> Any:
    """Score one map of every image: the only curves of each result."""
    answers = ico.faithfulness(*arguments, **settings)
    if not isinstance(answers, list):
        assert isinstance(answers, ico.Faithfulness) and len(answers.results) == 1
        return answers.results[0]
    return [answer.results[0] for answer in answers]


def naive(network, picture, values, counts, target, before, after):
    """Change so many of the highest pixels, one picture at a time; pictures (height, width, 3) in 0..1."""
    mean, std = np.asarray(network.preprocessing.mean), np.asarray(network.preprocessing.std)
    order = np.argsort(-values.ravel(), kind="stable")
    answers = []
    for count in counts:
        changed = before.astype(float).reshape(-1, 3).copy()
        changed[order[:count]] = after.reshape(-1, 3)[order[:count]]
        tensor = torch.tensor(((changed - mean) / std).reshape(1, *picture.shape), dtype=torch.float32)
        with torch.inference_mode():
            logits = network.module(tensor.permute(0, 3, 1, 2))[0].double().numpy()
        answers.append(np.exp(logits - logits.max())[target] / np.exp(logits - logits.max()).sum())
    return np.array(answers)


def trapezoids(share, values):
    return sum((share[i + 1] - share[i]) * (values[i + 1] + values[i]) / 2 for i in range(len(share) - 1))


def test_against_the_loop_written_out(planted, bright):
    values = np.random.default_rng(3).normal(size=(24, 24))
    found = curves(planted, bright, values, "prob:seen", fill="black", start="mean", steps=9, batch=4)
    counts = np.linspace(0, 576, 10).round().astype(int)
    photograph, black = bright / 255, np.zeros((24, 24, 3))
    mean = np.broadcast_to(bright.mean((0, 1)) / 255, (24, 24, 3))
    assert np.allclose(found.share * 576, counts)
    deletion = naive(planted, bright, values, counts, 0, photograph, black)
    insertion = naive(planted, bright, values, counts, 0, mean, photograph)
    assert np.allclose(found.deletion[:, 0], deletion, atol=1e-6)
    assert np.allclose(found.insertion[:, 0], insertion, atol=1e-6)
    assert found.deletion_area == pytest.approx(trapezoids(found.share, deletion), abs=1e-6)
    assert found.insertion_area == pytest.approx(trapezoids(found.share, insertion), abs=1e-6)
    assert np.allclose(found.deletion.sum(1), 1, atol=1e-6) and found.deletion.shape == (10, 3)


def test_against_the_loop_on_a_real_network(resnet20, data):
    image = ico.load_images(data / "cifar10" / "test.parquet", limit=1)[0]
    values = np.random.default_rng(4).normal(size=(32, 32))
    found = curves(resnet20, image, values, fill="black", start="black", steps=6)
    counts = (found.share * 1024).round().astype(int)
    photograph, black = image.pixels / 255, np.zeros((32, 32, 3))
    for curve, before, after in ((found.deletion, photograph, black), (found.insertion, black, photograph)):
        expected = naive(resnet20, image.pixels, values, counts, found.target, before, after)
        assert np.allclose(curve[:, found.target], expected, atol=1e-5)


def shares_of_the_logit(bright):
    """What each pixel adds to the planted network's logit of `seen`: 3/64 of its red, where it looks (24, 24)."""
    adds = np.zeros((24, 24))
    adds[4:12, 8:16] = 3 * (bright[4:12, 8:16, 0] / 255 - 0.5) / 0.25 / 64
    return adds


def closed_form(adds, order, counts):
    """The logit of `seen` after the first so many pixels of an order are zero."""
    return np.array([adds.sum() - adds.ravel()[order[:count]].sum() for count in counts])


def test_the_true_map_has_the_best_curve_and_its_inverse_the_worst(planted, bright):
    adds = shares_of_the_logit(bright)
    generator = np.random.default_rng(5)
    true = adds + 1e-4 * generator.random((24, 24))  # no two alike
    settings = {"fill": "zero", "start": "zero", "steps": 36}
    best, worst, chance = (
        curves(planted, bright, values, "logit:seen", **settings)
        for values in (true, -true, generator.random((24, 24)))
    )
    counts = np.arange(0, 577, 16)
    order = np.argsort(-true.ravel())
    for found, pixels in ((best, order), (worst, order[::-1])):
        expected = closed_form(adds, pixels, counts)
        assert np.allclose(found.deletion[:, 0], expected, atol=1e-5)
        # A sum of pixels: what is left and what was put in are the whole.
        assert np.allclose(found.insertion[:, 0], adds.sum() - expected, atol=1e-5)
        assert found.deletion_area == pytest.approx(trapezoids(counts / 576, expected), abs=1e-5)
    assert best.deletion_area < 0.12 * adds.sum()
    assert best.deletion_area < chance.deletion_area < worst.deletion_area
    assert best.insertion_area > chance.insertion_area > worst.insertion_area
    assert chance.deletion_area == pytest.approx(adds.sum() / 2, rel=0.1)
    assert best.deletion_area < best.null_deletion_areas.min()
    assert worst.deletion_area > worst.null_deletion_areas.max()


def test_a_plateau_is_changed_at_once(planted, bright):
    """The map knows where the network looks and nothing else: two plateaus, so a corner and two straight lines."""
    where = (shares_of_the_logit(bright) > 0).astype(float)
    found = curves(planted, bright, where, "logit:seen", fill="zero", start="zero", steps=100)
    clean = shares_of_the_logit(bright).sum()
    assert np.allclose(found.share, [0, 64 / 576, 1])
    assert np.allclose(found.deletion[:, 0], [clean, 0, 0], atol=1e-5)
    assert found.deletion_area == pytest.approx(clean * 32 / 576, abs=1e-5)
    assert found.insertion_area == pytest.approx(clean * (1 - 32 / 576), abs=1e-5)


def test_the_null_is_the_map_at_other_places(planted, bright):
    """Each null curve is that of the map moved around the border by some way, worked out here for all of them."""
    adds = shares_of_the_logit(bright)
    values = np.random.default_rng(6).normal(size=(24, 24))
    found = curves(planted, bright, values, "logit:seen", fill="zero", start="zero", steps=12)
    counts = (found.share * 576).round().astype(int)
    moved = {
        (down, across): closed_form(adds, np.argsort(-np.roll(values, (down, across), (0, 1)).ravel()), counts)
        for down in range(24)
        for across in range(24)
    }
    places = set()
    for deletion, insertion in zip(found.null_deletion, found.null_insertion, strict=True):
        ((place, curve),) = [item for item in moved.items() if np.allclose(item[1], deletion, atol=1e-5)]
        assert np.allclose(insertion, adds.sum() - curve, atol=1e-5)
        places.add(place)
    assert len(places) == 5 and (0, 0) not in places
    assert found.null_deletion_areas.mean() == pytest.approx(
        np.mean([trapezoids(found.share, moved[place]) for place in places]), abs=1e-5
    )


def test_without_maps_the_occlusion_map_is_scored(planted, bright):
    occluded = ico.occlude(planted, bright, "prob:seen", patch=6, stride=2, fill="mean")
    made = curves(planted, bright, None, "prob:seen", patch=6, stride=2, steps=10)
    given = curves(planted, bright, occluded, patch=6, steps=10)
    numbers = curves(planted, bright, occluded.drop_by_pixel(), "prob:seen", patch=6, steps=10)
    for found in (given, numbers):
        assert np.array_equal(made.attribution, found.attribution)
        assert np.allclose(made.deletion, found.deletion) and np.allclose(made.null_insertion, found.null_insertion)
    assert made.question.key == given.question.key != numbers.question.key
    assert made.ranked_by == "occlusion with a patch of 6x6, filled with mean"
    assert made.deletion_area < made.null_deletion_areas.mean()


def test_the_unit_is_the_label_or_else_the_prediction_or_what_the_map_is_about(planted, bright):
    maps = np.random.default_rng(0).random((2, 24, 24))
    images = ico.load_images([bright, bright], labels=["unseen", None])
    with pytest.warns(IconoscopeWarning, match="1 of 2 images have no label"):
        labelled, unlabelled = curves(planted, images, maps, steps=2)
    assert (labelled.target_origin, labelled.names[labelled.target]) == ("label", "unseen")
    assert (unlabelled.target_origin, unlabelled.names[unlabelled.target]) == ("prediction", "seen")
    occluded = ico.occlude(planted, bright, "logit:third class", patch=12)
    with pytest.raises(QuestionError, match="0 everywhere"):  # this class's logit never changes
        curves(planted, bright, occluded)
    occluded = ico.occlude(planted, bright, "prob:third class", patch=12)
    about = curves(planted, bright, occluded, steps=2)
    assert (about.question.unit, about.target_origin) == ("prob:third class", "asked")
    assert curves(planted, bright, occluded, "logit:seen", steps=2).measure == "logit"


def test_units_inside(planted, bright):
    values = np.random.default_rng(7).random((24, 24))
    found = curves(planted, bright, values, "features:0", fill="zero", start="zero", steps=4)
    red = ((bright[..., 0] / 255 - 0.5) / 0.25).ravel()[np.argsort(-values.ravel())]
    assert found.measure == "mean activation" and found.names == ("features:0", "features:1")
    assert np.allclose(found.deletion[:, 0], [red[count:].sum() / 576 for count in range(0, 577, 144)], atol=1e-5)


def test_one_in_one_out_and_a_set_in_a_list_out(planted, bright):
    values = np.random.default_rng(8).random((1, 24, 24))
    images = ico.load_images([bright])
    assert isinstance(curves(planted, bright, values[0], steps=2), Curves)
    assert isinstance(curves(planted, images[0], values[0], steps=2), Curves)
    assert len(curves(planted, images, values, steps=2)) == 1


def test_a_batch_and_the_other_images_change_nothing(planted, bright):
    images = ico.load_images(np.stack([bright[::-1], bright]))
    maps = np.random.default_rng(9).random((2, 24, 24))
    alone = curves(planted, images[1], maps[1], "prob:seen", steps=5, batch=1)
    _, among = curves(planted, images, maps, "prob:seen", steps=5, batch=1000)
    assert np.allclose(alone.deletion, among.deletion, atol=1e-7)
    assert np.allclose(alone.null_deletion, among.null_deletion, atol=1e-7)
    assert alone.question.key == among.question.key


def test_an_image_without_a_map_does_not_take_the_others_with_it(planted, bright):
    images = ico.load_images(np.stack([bright, bright[::-1], bright[:, ::-1]]))
    maps = np.random.default_rng(10).random((3, 24, 24))
    maps[1] = 0
    with pytest.warns(IconoscopeWarning, match="1 of 3 images have no map to score: The map of 000001 is 0 everywhere"):
        found = curves(planted, images, maps, "prob:seen", steps=2)
    assert [one.question.subject for one in found] == ["000000", "000002"]
    with pytest.raises(QuestionError, match="3 of 3 images have no map"):
        curves(planted, images, 0 * maps, "prob:seen", steps=2)


def test_a_bad_file_does_not_take_the_others_with_it(planted, bright, tmp_path):
    from PIL import Image

    for name in ("a.png", "c.png"):
        Image.fromarray(bright).save(tmp_path / name)
    (tmp_path / "b.png").write_text("this is text")
    with pytest.warns(IconoscopeWarning, match=r"1 of 3 images.*b\.png") as told:
        found = curves(planted, tmp_path, patch=12, stride=6, steps=2)
    assert [one.question.subject for one in found] == ["a.png", "c.png"]
    assert len(told) == 1


def test_bad_questions(planted, bright):
    values = np.random.default_rng(11).random((24, 24))
    for steps, batch, seed in ((0, None, 0), (2, 0, 0), (2, None, -1)):
        with pytest.raises(QuestionError, match="must be at least"):
            curves(planted, bright, values, steps=steps, batch=batch, seed=seed)
    with pytest.raises(QuestionError, match="stride=4 is a setting of the occlusion map"):
        curves(planted, bright, values, stride=4)
    with pytest.raises(QuestionError, match="fill='blurr'"):
        curves(planted, bright, values, start="blurr")
    with pytest.raises(UnitError, match="no class"):
        curves(planted, bright, values, "prob:sean")


def test_the_same_question_is_answered_from_the_store(planted, bright, tmp_path, monkeypatch):
    first = curves(planted, bright, patch=12, steps=4, store=tmp_path / "run")
    monkeypatch.setattr("iconoscope.subject.response.respond", lambda *_, **__: pytest.fail("asked"))
    second = curves(planted, bright, patch=12, steps=4, store=tmp_path / "run")
    assert np.array_equal(first.deletion, second.deletion) and first.question == second.question
    assert sorted(path.name for path in Path(tmp_path / "run").iterdir()) == ["faithfulness", "occlude", "store.json"]


def test_another_question_has_another_key(planted, bright):
    values = np.random.default_rng(12).random((24, 24))

    def key(picture=bright, maps: Any = values, unit=None, steps=2, **settings: Any):
        return curves(planted, picture, maps, unit, steps=steps, **settings).question.key

    same = key()
    assert same == key(unit="prob:seen") == key(batch=3) == key(maps=torch.tensor(values))
    others = [
        key(bright[::-1].copy()),
        key(maps=values.T),
        key(unit="logit:seen"),
        key(steps=3),
        key(fill="zero"),
        key(start="zero"),
        key(seed=1),
        key(patch=6),
    ]
    assert len({same, *others}) == len(others) + 1


def test_an_occlusion_map_beats_itself_at_other_places(resnet20, data):
    """On photographs, in the mean: deleted in its order the answer falls sooner, inserted it rises sooner."""
    images = ico.load_images(data / "cifar10" / "test.parquet", limit=8)
    found = curves(resnet20, images, patch=8, stride=4, steps=16)
    deletion, insertion = (
        np.mean([getattr(one, f"{name}_area") for one in found]) for name in ("deletion", "insertion")
    )
    assert deletion < np.mean([one.null_deletion_areas.mean() for one in found]) - 0.1
    assert insertion > np.mean([one.null_insertion_areas.mean() for one in found]) + 0.1
    inverted = curves(resnet20, images, np.stack([-one.attribution for one in found]), steps=16)
    assert np.mean([one.deletion_area for one in inverted]) > deletion + 0.2


@pytest.mark.slow
def test_an_occlusion_map_beats_itself_at_other_places_on_photographs(squeezenet, photographs):
    found = curves(squeezenet, photographs.sample(6, seed=1), patch=32, stride=16, steps=16)
    assert all(one.deletion_area < one.null_deletion_areas.mean() for one in found)
    assert np.mean([one.insertion_area - one.null_insertion_areas.mean() for one in found]) > 0.1


@pytest.mark.filterwarnings("ignore")
def test_the_maps_of_captum_are_scored(resnet20, data):
    """Its occlusion map, in patches that need no cut at the border, is ours, and so is its curve."""
    attr = pytest.importorskip("captum.attr")
    images = ico.load_images(data / "cifar10" / "test.parquet", limit=2)
    ours = ico.occlude(resnet20, images, patch=8, stride=4, fill="zero")
    batch = resnet20.preprocessing.normalise(np.stack([one.picture for one in ours]))
    targets = [one.target for one in ours]
    with resnet20.questioned():
        occlusion = attr.Occlusion(lambda batch: resnet20.module(batch).softmax(1)).attribute(
            batch, sliding_window_shapes=(3, 8, 8), strides=(3, 4, 4), target=torch.tensor(targets)
        )
        saliency = attr.Saliency(resnet20.module).attribute(batch.requires_grad_(), target=torch.tensor(targets))
    with pytest.raises(QuestionError, match="have channels") as caught:
        curves(resnet20, images, occlusion)
    assert "maps.sum(1)" in caught.value.hint
    settings = {"fill": "zero", "steps": 16}
    for one, theirs, same in zip(
        ours,
        curves(resnet20, images, occlusion.mean(1), **settings),
        curves(resnet20, images, ours, **settings),
        strict=True,
    ):
        assert np.allclose(theirs.attribution, one.drop_by_pixel(), atol=1e-5)
        assert theirs.deletion_area == pytest.approx(same.deletion_area, abs=0.02)
        assert theirs.question.unit == same.question.unit
    for found in curves(resnet20, images, saliency.abs().sum(1), **settings):
        assert found.share.shape == (17,) and 0 < found.deletion_area < 1
        assert found.ranked_by == "a map that was given"
