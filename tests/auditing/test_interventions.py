"""Who gives to whom, and that nothing is asked twice."""

import dataclasses

import numpy as np
import pytest

import iconoscope as ico
from iconoscope.auditing import answers, interventions
from iconoscope.auditing.donors import draw_donors
from iconoscope.auditing.interventions import exchanged_pictures, intervene
from iconoscope.auditing.nuisances import EDITED_ALONE, NUISANCES
from iconoscope.auditing.sample import choose
from iconoscope.auditing.segmentation import take_apart
from iconoscope.store.store import PartialAnswers


def test_donors_are_of_another_class_and_of_the_same():
    predicted = np.random.default_rng(0).choice(5, 200, p=[0.6, 0.2, 0.1, 0.07, 0.03])
    drawn = draw_donors(predicted, repeats=3, seed=1)
    assert (predicted[drawn.other] != predicted[drawn.rows]).all()
    assert (predicted[drawn.same] == predicted[drawn.rows]).all() and (drawn.same != drawn.rows).all()
    assert np.bincount(drawn.rows).max() == 3
    # Small classes give as often as large ones.
    given = np.bincount(predicted[drawn.other], minlength=5)[1:]
    assert given.min() > 0.7 * given.max()


def test_a_class_of_one_neither_gives_nor_takes():
    drawn = draw_donors(np.array([0, 0, 1, 2, 2]), repeats=1, seed=0)
    assert 2 not in drawn.rows and 2 not in drawn.other
    assert len(draw_donors(np.array([0, 0, 0]), repeats=2, seed=0).rows) == 0


def test_the_sample_is_even_over_the_answers():
    predicted = np.repeat([0, 1, 2], [1000, 50, 5])
    chosen = choose(predicted, 90, seed=3)
    assert np.bincount(predicted[chosen]).tolist() == [43, 42, 5] and (np.diff(chosen) > 0).all()
    assert np.array_equal(chosen, choose(predicted, 90, seed=3))


@pytest.fixture(scope="module")
def asked():
    network = ico.load_network("cars", device="cpu")
    images = ico.demo_images(80, backgrounds="telling", seed=4)
    pictures = take_apart(
        np.stack([image.pixels for image in images]), [np.asarray(image.mask) for image in images], np.full((80, 2), 96)
    )
    predicted = ico.predict(network, images).argmax(1)
    return network, pictures, predicted, draw_donors(predicted, repeats=1, seed=0)


def test_what_was_answered_is_not_asked_again(asked, tmp_path):
    network, pictures, predicted, donors = asked
    family = NUISANCES["background brightness"]
    calls = []

    def counted(some, values):
        calls.append(len(some))
        if len(calls) == 5:
            raise KeyboardInterrupt
        return family.edit(some, values)

    counting = ico.Nuisance("counted", family.statistic, counted, by="value")
    with pytest.raises(KeyboardInterrupt):
        intervene(network, pictures, predicted, [counting], donors, parts=PartialAnswers(tmp_path / "parts"))
    assert calls == [64] * 4 + [16]
    found = intervene(network, pictures, predicted, [counting], donors, parts=PartialAnswers(tmp_path / "parts"))
    assert calls == [64] * 4 + [16] * 5  # the first 64 rows were kept
    plain = intervene(network, pictures, predicted, [family], donors)
    assert np.array_equal(found.answers, plain.answers)
    assert np.allclose(found.pixel_change, plain.pixel_change)


def counted_edits(name: str) -> tuple[ico.Nuisance, list[int]]:
    """A nuisance that ships, and how many pictures it is asked to edit."""
    family, counts = NUISANCES[name], []

    def edit(some, values):
        counts.append(len(some))
        return family.edit(some, values)

    return dataclasses.replace(family, edit=edit), counts


def test_a_picture_that_gets_the_mean_of_a_class_again_is_not_edited_again(asked, monkeypatch):
    network, few = asked[0], np.arange(24)
    pictures, predicted = asked[1][few], asked[2][few]
    donors = draw_donors(predicted, repeats=3, seed=0)
    (brightness, of_brightness), (noise, of_noise) = counted_edits("brightness"), counted_edits("noise")
    monkeypatch.setattr(interventions, "EDITED_ALONE", (brightness,))
    sparing = intervene(network, pictures, predicted, [brightness, noise], donors)
    # By the donor's value three times, by the mean once, each as a control too; noise is drawn anew.
    assert (sum(of_brightness), sum(of_noise)) == (2 * 24 * (3 + 1), 2 * 24 * (3 + 3))
    monkeypatch.setattr(interventions, "EDITED_ALONE", ())
    plain = intervene(network, pictures, predicted, [brightness, noise], donors)
    assert sum(of_brightness) == 2 * 24 * (3 + 1) + 2 * 24 * (3 + 3)
    assert np.array_equal(sparing.answers, plain.answers)
    assert np.allclose(sparing.pixel_change, plain.pixel_change, rtol=1e-6)


def test_pictures_that_edits_leave_alike_are_asked_about_once(asked, monkeypatch):
    network, pictures = asked[0], asked[1][np.arange(6)]
    shown: list[int] = []

    def counting(network, some):
        shown.append(len(some))
        return plainly(network, some)

    plainly = answers._answers_to_bytes
    monkeypatch.setattr(answers, "_answers_to_bytes", counting)
    once = answers.AnswersOnce(network)
    brighter = pictures.pixels * 0.5 + 0.5
    twice = np.concatenate((pictures.pixels, brighter, pictures.pixels + 1e-4))
    expected = answers.answers_to(network, twice)
    shown.clear()
    assert np.array_equal(once(pictures.pixels), expected[:6]) and np.array_equal(once(twice), expected)
    assert shown == [6, 6] and np.array_equal(once(twice[::-1]), expected[::-1]) and shown == [6, 6]


@pytest.mark.parametrize("nuisance", EDITED_ALONE, ids=lambda nuisance: nuisance.name)
def test_a_picture_is_edited_alike_whatever_is_edited_with_it(asked, nuisance):
    pictures = asked[1][np.arange(12)]
    given = nuisance.statistic(pictures)[::-1].copy() if nuisance.by == "value" else pictures[::-1]
    together, some = nuisance.edit(pictures, given), np.array([7, 2])
    alone = nuisance.edit(pictures[some], given[some])
    assert np.abs(together[some] - alone).max() < 1e-5
    assert nuisance.needs == "sizes" or np.abs(together - pictures.pixels).max() > 0.01


def test_a_part_that_is_damaged_is_asked_again(tmp_path):
    parts = PartialAnswers(tmp_path)
    parts.get_or_make("a", lambda: {"x": np.arange(3)})
    (tmp_path / "a.npz").write_bytes(b"PK no zip")
    assert parts.get_or_make("a", lambda: {"x": np.arange(4)})["x"].tolist() == [0, 1, 2, 3]


def test_the_picture_that_is_shown_is_the_one_that_was_asked(asked):
    network, pictures, predicted, donors = asked
    families = [NUISANCES["background brightness"]]
    trials = intervene(network, pictures, predicted, families, donors)
    assert list(zip(trials.trials, trials.sources, strict=True)) == [
        ("background brightness", "donor"), ("background brightness", "mean"), ("background", "donor"), ("object", "donor"),
    ]  # fmt: skip
    for place in range(len(trials.trials)):
        for at in (0, 41):
            pair = exchanged_pictures(pictures, predicted, families, trials, place, at)
            shown = np.stack([(each * 255).round().clip(0, 255).astype(np.uint8) for each in pair])
            answers = ico.predict(network, ico.load_images(shown)).argmax(1)
            assert answers.tolist() == trials.answers[place, :, at].tolist()


def test_a_background_that_is_given_decides_for_cars(asked):
    network, pictures, predicted, donors = asked
    trials = intervene(network, pictures, predicted, [NUISANCES["background brightness"]], donors)
    before = predicted[donors.rows]
    other, own = (trials.answers[0, which] != before for which in (0, 1))
    assert other.mean() > 0.95 and own.mean() < 0.05
