"""Verdicts on networks whose truth is known, and the evidence counted by hand."""

import gc
import sys
import weakref
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import iconoscope as ico
from iconoscope.errors import IconoscopeWarning, ImagesError, QuestionError
from iconoscope.store import Store
from specimens import occlusion

HOW = {"size": 16, "mean": (0.5,) * 3, "std": (0.5,) * 3, "crop": "none"}
LABELS = ("dark", "light")
MASK = np.zeros((16, 16), bool)
MASK[4:12, 4:12] = True


class Spots(nn.Module):
    """Looks at a spot of 4x4 pixels on the object, at one in the corner, at both, or at none.

    Who looks at both says "mixed" where the two disagree. Who looks at none always says "dark".
    """

    def __init__(self, looks_at):
        super().__init__()
        self.looks_at = looks_at

    def forward(self, x):
        middle, corner = x[:, :, 6:10, 6:10].mean((1, 2, 3)), x[:, :, :4, :4].mean((1, 2, 3))
        thing = corner if self.looks_at == "corner" else middle
        ground = middle if self.looks_at == "middle" else corner
        if self.looks_at == "none":
            thing = ground = -1 + 0 * middle
        logits = torch.stack([-(thing + ground), thing + ground, (thing - ground).abs() - 0.5], 1)
        return 4 * logits


def spots(looks_at):
    return ico.load_network(Spots(looks_at), classes=[*LABELS, "mixed"], preprocessing=HOW, device="cpu")


def squares(count=80, seed=0):
    """Dark squares on dark, light squares on light, each with the mask of its square."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    pixels = np.where(labels == 1, 200, 40)[:, None, None, None] + generator.integers(-15, 16, (count, 16, 16, 3))
    masks = np.repeat(MASK[None], count, 0)
    return ico.load_images(pixels.astype(np.uint8), labels=[LABELS[label] for label in labels], masks=masks)


@pytest.fixture(scope="module")
def images():
    return squares()


def maps(looks_at, images, **settings):
    return ico.occlude(spots(looks_at), images, patch=4, stride=2, fill="zero", method="dense", **settings)


@pytest.mark.parametrize(
    ("looks_at", "verdict"), [("middle", "object"), ("corner", "context"), ("both", "spread"), ("none", "undecided")]
)
def test_the_truth_is_found_by_the_exchange_and_by_the_maps(images, looks_at, verdict):
    found = ico.look(spots(looks_at), images, patch=4, stride=2, fill="zero", method="dense")
    alone = ico.looks_at_object(maps(looks_at, images), images)
    for judged in (found, alone):
        assert judged.verdict == verdict, judged.reason
        right = ("dark",) if looks_at == "none" else LABELS
        assert {name: one.verdict.word for name, one in judged.findings.items() if name in right} == dict.fromkeys(
            right, verdict
        )
    assert found.overall.maps == alone.verdict
    excess = {"middle": (1, 0), "corner": (0, 1), "both": (1, 1), "none": (0, 0)}[looks_at]
    measured = found.overall.evidence
    assert (measured["object excess"].value, measured["background excess"].value) == excess
    if looks_at == "none":
        assert "only an exchange" in alone.reason
        assert found.overall.standings == {"judged": 40, "wrong": 40}
        assert found.findings["light"].judged == 0
    else:
        assert found.judged.all() and found.matters.all()
        beside = {"middle": 0, "corner": 1}.get(looks_at, 0.5)
        assert measured["beside"].value == pytest.approx(beside, abs=0.12)


def test_every_image_has_its_own_verdict(images):
    found = ico.look(spots("corner"), images[:20], patch=4, stride=2, fill="zero", method="dense")
    assert found.verdict == "undecided" and "only 20" in found.reason and "30" in found.reason
    assert {verdict.word for verdict in found.verdicts} == {"context"}
    assert all("another class's background changes the answer" in verdict.reason for verdict in found.verdicts)
    alone = ico.looks_at_object(maps("middle", images[:4]), images)
    assert [verdict.word for verdict in alone.verdicts] == ["object"] * 4
    assert "no patch costs more" in ico.looks_at_object(maps("none", images[:1]), images).verdicts[0].reason.lower()


def test_maps_that_know_nothing_of_the_object_are_seldom_taken_for_something():
    """Random maps before objects at random places: p-values are uniform, and verdicts other than spread are rare."""
    generator = np.random.default_rng(0)
    base = replace(occlusion(), question=replace(occlusion().question, settings={}), target_origin="label")
    starts = np.arange(0, 16, 2)
    p_object, p_context, words = [], [], []
    for _ in range(100):
        results, masks = [], []
        for place in range(40):
            # Rounded, smooth and skewed, as drops are.
            drop = generator.random((12, 12)) ** 4
            drop = 0.8 * sum(drop[i : i + 8, j : j + 8] for i, j in np.ndindex(4, 4)) / 4
            occluded = np.stack([0.1 + 0 * drop, 0.9 - drop, 0 * drop], 2).astype(np.float32)
            mask = np.zeros((16, 16), bool)
            top, left = generator.integers(0, 11, 2)
            mask[top : top + 5, left : left + 6] = True
            results.append(
                replace(
                    base,
                    question=replace(base.question, subject=str(place)),
                    top=starts,
                    left=starts,
                    patch=(4, 4),
                    clean=np.array([0.05, 0.9, 0.05], np.float32),
                    occluded=occluded,
                    picture=np.zeros((16, 16, 3), np.uint8),
                )
            )
            masks.append(mask)
        found = ico.looks_at_object(results, np.stack(masks), resamples=100)
        p_object.append(found.p_object)
        p_context.append(found.p_context)
        words.append(found.verdict)
        assert found.overall.mattering == 40
    for p in (np.concatenate(p_object), np.concatenate(p_context)):
        for level in (0.05, 0.2, 0.5, 0.8):
            # Three standard errors of 4,000 images.
            assert (p < level).mean() == pytest.approx(level, abs=3 * np.sqrt(level * (1 - level) / 4000) + 0.01)
    assert words.count("spread") >= 97


def test_where_every_patch_touches_the_object_the_maps_say_nothing(images):
    results = ico.occlude(spots("middle"), images[:40], patch=10, stride=2, fill="zero", method="dense")
    found = ico.looks_at_object(results, images)
    assert found.overall.mattering == 40 and found.beside_positions.max() == 0
    assert found.verdict == "undecided" and "smaller patch" in found.reason
    assert {verdict.word for verdict in found.verdicts} == {"undecided"}


def test_images_that_are_wrong_unsure_or_without_a_label_do_not_count(images):
    four = images[:4]
    labels = ["dark", "dark", None, "light"]  # right, wrong, unknown, right
    masks = dict.fromkeys(four.ids[:3], MASK)
    asked = ico.load_images(four, labels=labels, masks=masks)
    with pytest.warns(IconoscopeWarning, match="no label"):
        results = maps("middle", asked)
    with pytest.warns(IconoscopeWarning, match="1 of 4 images have no object to look at: 000003"):
        found = ico.looks_at_object(results, ico.load_images([image.pixels for image in four], masks=masks))
    assert found.standings == ("judged", "wrong", "unlabelled", "no object")
    assert found.judged.tolist() == [True, False, False, False]
    assert [verdict.word for verdict in found.verdicts[1:]] == ["undecided"] * 3
    assert "1 of 4 images count" in found.counted() and "1 answered wrongly" in found.counted()
    clean = float(found.clean[0])
    for confidence, standing in ((clean - 1e-4, "judged"), (clean + 1e-4, "unsure")):
        (word,) = ico.looks_at_object(results[0], MASK, confidence=confidence).standings
        assert word == standing


def test_images_that_do_not_count_change_no_number(images):
    """The network that always says dark is judged on the dark images as if the light ones were not there."""
    whole = ico.look(spots("none"), images, patch=4, stride=4, method="dense")
    part = ico.looks_at_object(
        maps("none", images.where(label="dark")), images, exchanged=ico.exchange(spots("none"), images)
    )
    assert whole.overall.exchanged == part.overall.exchanged == 40
    assert whole.overall.evidence["object excess"] == part.overall.evidence["object excess"]


def test_regions_in_all_their_forms_are_one(images):
    some = images[:4]
    results = maps("middle", some)
    boxes = ico.load_images(some, masks=None, boxes={id: [[4, 4, 12, 12]] for id in some.ids})
    forms = (some, images, boxes, np.repeat(MASK[None], 4, 0), np.repeat(MASK[None], 4, 0) * np.uint8(255),
             np.array([[4, 4, 12, 12]] * 4), [(4, 4, 12, 12)] * 4, torch.tensor([[4.2, 4.9, 11.5, 12]] * 4))  # fmt: skip
    expected = ico.looks_at_object(results, MASK[None].repeat(4, 0))
    for form in forms:
        found = ico.looks_at_object(results, form)
        for name in ("hit", "share", "area", "beside", "p_object", "p_context"):
            assert np.array_equal(getattr(found, name), getattr(expected, name)), name
    one = ico.looks_at_object(results[0], (4, 4, 12, 12))
    assert one.share[0] == ico.looks_at_object(results[0], MASK).share[0] == expected.share[0]
    assert ico.looks_at_object(results[0], some[0]).share[0] == expected.share[0]


def test_regions_are_fitted_as_the_photograph_was():
    """A photograph twice as high as wide, cut to its middle: so is its mask."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (2, 64, 32, 3), dtype=np.uint8)
    masks = np.zeros((2, 64, 32), bool)
    masks[:, 20:40, 8:20] = True
    images = ico.load_images(pixels, labels=["dark", "dark"], masks=masks)
    network = ico.load_network(
        Spots("middle"), classes=[*LABELS, "mixed"], preprocessing=HOW | {"crop": "center"}, device="cpu"
    )
    found = ico.looks_at_object(ico.occlude(network, images, patch=4, stride=4, method="dense"), images)
    fitted = np.zeros((16, 16), bool)
    fitted[2:12, 4:10] = True  # rows 16..47 of 64 are left, and halved
    assert found.area.tolist() == [fitted.mean()] * 2


def test_results_may_come_one_at_a_time_and_are_not_kept(images):
    (first,) = maps("middle", images[:1])
    alive = weakref.WeakSet()

    def stream():
        for image in images[:30]:
            result = replace(first, question=replace(first.question, subject=image.id))
            alive.add(result)
            yield result
            del result
            gc.collect()
            assert len(alive) <= 1  # what was judged before is gone

    found = ico.looks_at_object(stream(), np.repeat(MASK[None], 30, 0))
    assert len(found.ids) == 30 and len(found.shown) <= 6


def test_what_does_not_fit_is_refused(images):
    some = images[:3]
    results = maps("middle", some)
    exchanged = ico.exchange(spots("middle"), images)
    refused = {
        "another network": lambda: ico.looks_at_object([results[0], *maps("corner", some[1:])], some),
        "The exchange is of another network": lambda: ico.looks_at_object(
            results, some, exchanged=ico.exchange(spots("corner"), images)
        ),
        "two maps of 000000": lambda: ico.looks_at_object([results[0], results[0]], some),
        "not of a class's probability": lambda: ico.looks_at_object(maps("middle", some, unit="logit:dark"), some),
        "is no map": lambda: ico.looks_at_object([exchanged], some),  # pyright: ignore[reportArgumentType]
        "no map among": lambda: ico.looks_at_object([], some),
        "only 2 masks or boxes": lambda: ico.looks_at_object(results, MASK[None].repeat(2, 0)),
        "4 masks or boxes for 3": lambda: ico.looks_at_object(results, MASK[None].repeat(4, 0)),
        "is 8x8, its picture 16x16": lambda: ico.looks_at_object(results, MASK[None, ::2, ::2].repeat(3, 0)),
        "reaches outside": lambda: ico.looks_at_object(results, [(4, 4, 17, 12)] * 3),
        "is empty": lambda: ico.looks_at_object(results, [(4, 4, 4, 12)] * 3),
        "no regions": lambda: ico.looks_at_object(results, "masks/"),
        "cannot be read": lambda: ico.looks_at_object(results, np.full((3, 16, 16), 7)),
        "pixels|not the one": lambda: ico.looks_at_object(results, squares(3, seed=9)),
        "is of light, and its right class is dark": lambda: ico.looks_at_object(
            maps("middle", some[:1], unit="prob:light"), some, exchanged=exchanged
        ),
        "are not in the exchange": lambda: ico.looks_at_object(
            maps("middle", squares(90)[80:]), squares(90), exchanged=exchanged
        ),
        "confidence=2": lambda: ico.looks_at_object(results, some, confidence=2),
        "resamples=0": lambda: ico.looks_at_object(results, some, resamples=0),
    }
    for message, ask in refused.items():
        with pytest.raises(QuestionError, match=message):
            ask()
    for regions in (np.zeros((3, 16, 16), bool), np.ones((3, 16, 16), bool), images[10:]):
        with pytest.raises(ImagesError, match="3 of 3 images have no object"):
            ico.looks_at_object(results, regions)


def test_images_outside_the_exchange_are_named_and_judged_by_nothing_of_it(images):
    exchanged = ico.exchange(spots("middle"), images[:40])
    with pytest.warns(IconoscopeWarning, match="2 of 42 images are not in the exchange"):
        found = ico.looks_at_object(maps("middle", images[:42]), images, exchanged=exchanged)
    assert found.exchanged.sum() == found.overall.exchanged == 40
    assert np.isnan(found.probabilities[40:]).all() and (found.answers[40:] == -1).all()


def test_the_exchange_is_matched_by_id_not_by_order(images):
    network = spots("both")
    exchanged = ico.exchange(network, images)
    turned = images[np.arange(len(images))[::-1]]
    found = ico.looks_at_object(maps("both", turned), images, exchanged=exchanged)
    place = list(exchanged.ids)
    for row, identity in enumerate(found.ids):
        there = place.index(identity)
        right = exchanged.probabilities[:, there, exchanged.target[there]]
        assert np.array_equal(found.probabilities[row], right)


def test_classes_that_contradict_each_other_are_not_averaged_away(images):
    """640 dark images that follow the object, and 40 light ones that follow the background."""
    found = ico.look(spots("middle"), images, patch=4, stride=2, fill="zero", method="dense")
    conditions = list(found.conditions)
    answers = np.concatenate([found.answers] * 16)
    light = found.target == 1
    swapped = found.answers.copy()
    thing, ground = conditions.index("object other"), conditions.index("background other")
    swapped[:, [thing, ground]] = swapped[:, [ground, thing]]
    answers[: len(light)][light] = swapped[light]
    kept = np.concatenate([~light | True, *[~light] * 15])

    def many(name):
        return np.concatenate([getattr(found, name)] * 16)[kept]

    names = ("target", "clean", "largest", "hit", "share", "area", "beside", "beside_positions", "p_object",
             "p_context", "probabilities")  # fmt: skip
    count = int(kept.sum())
    mixed = replace(
        found,
        ids=tuple(map(str, range(count))),
        standings=("judged",) * count,
        answers=answers[kept],
        **{name: many(name) for name in names},
    )
    assert mixed.findings["dark"].verdict.word == "object" and mixed.findings["light"].verdict.word == "context"
    assert mixed.verdict == "spread" and "say object, but not in the class light (context)" in mixed.reason


def test_asked_again_it_is_answered_from_the_store(images, tmp_path, monkeypatch):
    asked: dict[str, Any] = {"patch": 4, "stride": 4, "method": "dense", "store": tmp_path / "run"}
    first = ico.look(spots("middle"), images, **asked)
    assert sorted(result.kind for result in Store(tmp_path / "run")) == ["exchange", "look"]
    monkeypatch.setattr(sys.modules["iconoscope.occlusion.look"], "occlude_each", lambda *_, **__: pytest.fail("asked"))
    again = ico.look(spots("middle"), images, **asked)
    assert again.question.key == first.question.key and again.to_json() == first.to_json()
    with pytest.raises(pytest.fail.Exception):
        ico.look(spots("middle"), images, confidence=0.6, **asked)


def test_settings_that_are_none(images):
    wrong: list[dict[str, Any]] = [{"confidence": -1}, {"method": "nosuch"}, {"fill": "nosuch"}, {"patch": 17}]
    for setting in wrong:
        with pytest.raises(QuestionError):
            ico.look(spots("middle"), images, **setting)


def test_what_is_lacking_is_said(images):
    bare = ico.load_images([image.pixels for image in images[:4]], labels=images[:4].labels)
    with pytest.raises(ImagesError, match="neither mask nor box"):
        ico.look(spots("middle"), bare)
