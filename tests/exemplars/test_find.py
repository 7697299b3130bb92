"""The search for units: areas against scikit-learn, units against planted ones, and what chance gives."""

import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.stats import mannwhitneyu
from sklearn.metrics import roc_auc_score, roc_curve

import iconoscope as ico
from iconoscope.errors import ImagesError, QuestionError
from iconoscope.exemplars.find import _listed
from iconoscope.exemplars.roc_area import areas, curve, rank_test, recalls


@pytest.fixture(scope="module")
def answers():
    """Answers with many ties, as behind a ReLU: 40 of the concept and 160 others, 30 units."""
    rng = np.random.default_rng(1)
    found = np.maximum(rng.normal(size=(200, 30)).round(1), 0).astype(np.float32)
    found[:40, 7] += 1.5
    found[:, 9] = 0
    return found[:40], found[40:]


def test_areas_and_curves_are_those_of_scikit_learn(answers):
    concept, others = answers
    labels = np.repeat([1, 0], [40, 160])
    found = areas(concept, others)
    for unit in range(30):
        values = np.concatenate([concept[:, unit], others[:, unit]])
        assert found[unit] == pytest.approx(roc_auc_score(labels, values), abs=1e-6)
    values = np.concatenate([concept[:, 7], others[:, 7]])
    alarms, hits, _ = roc_curve(labels, values, drop_intermediate=False)
    at = np.unique(alarms)
    last = [np.flatnonzero(alarms == share)[-1] for share in at]
    assert np.allclose(curve(concept[:, 7], others[:, 7], at), hits[last])


def test_recall_is_the_share_over_all_but_one_in_a_hundred():
    rng = np.random.default_rng(0)
    concept, others = rng.normal(1, 1, (50, 4)).astype(np.float32), rng.normal(0, 1, (500, 4)).astype(np.float32)
    found = recalls(concept, others)
    for unit in range(4):
        best = max(
            (concept[:, unit] > limit).mean() for limit in others[:, unit] if (others[:, unit] > limit).mean() <= 0.01
        )
        assert found[unit] == best


def test_p_values_of_one_unit_are_those_of_the_rank_sum_test(answers):
    concept, others = answers
    for unit in (0, 3, 7):
        ours = rank_test(concept[:, [unit]], others[:, [unit]], permutations=4999)[0]
        exact = mannwhitneyu(concept[:, unit], others[:, unit], alternative="greater").pvalue
        assert ours == pytest.approx(max(exact, 1 / 5000), abs=0.02)


def test_a_planted_unit_is_found_and_no_other(answers):
    p_value = rank_test(*answers)
    assert np.flatnonzero(p_value <= 0.05).tolist() == [7]
    assert p_value[9] > 0.9  # a unit that always answers the same


def test_of_the_units_found_after_benjamini_and_hochberg_few_are_false():
    rng = np.random.default_rng(3)
    false = []
    for seed in range(60):
        found = rng.normal(size=(150, 40)).astype(np.float32)
        found[:40, :4] += 1.2
        chosen = np.flatnonzero(rank_test(found[:40], found[40:], correction="bh", permutations=199, seed=seed) <= 0.05)
        assert set(range(4)) <= set(chosen.tolist())
        false.append((chosen >= 4).mean())
    assert 0 < np.mean(false) < 0.08


def test_a_concept_that_means_nothing_finds_a_unit_in_one_search_of_twenty(recorded):
    """Two hundred concepts of images at random. Without correction nearly every one of them finds a false unit."""
    rng = np.random.default_rng(0)
    channels = np.asarray(recorded.responses[:, :-2])
    corrected = plain = 0
    for concept in range(200):
        order = rng.permutation(len(channels))
        some, rest = channels[order[:25]], channels[order[25:]]
        p_value = rank_test(some, rest, permutations=199, seed=concept)
        corrected += bool((p_value <= 0.05).any())
        single = np.array(
            [rank_test(some[:, [unit]], rest[:, [unit]], permutations=99, seed=concept)[0] for unit in range(0, 160, 8)]
        )
        plain += bool((single <= 0.05).any())
    assert 0.02 <= corrected / 200 <= 0.08
    assert plain / 200 > 0.3  # of twenty units alone


def test_the_make_is_found_and_its_units_hold_on_images_held_out(recorded):
    search = ico.find_units(recorded, "bison")
    assert search.concept == "bison"
    assert (search.examples, search.against, search.held_out) == (120, 120, 60)
    assert search.invariant
    assert search.auc_held_out[0] > 0.97
    assert search.logit == "logit:bison"
    assert search.logit_auc > 0.97
    assert set(search.invariant) <= set(search.found)
    assert len(search.units) == 160
    assert "answer it and little else" in search.summary()
    # On other images than those that it was chosen by, the best of many is not as good as it seemed.
    weak = [
        ico.find_units(recorded, np.isin(np.arange(240), np.random.default_rng(seed).choice(240, 30, replace=False)))
        for seed in range(6)
    ]
    flattered = [float(found.auc.max() - found.auc_held_out[int(np.argmax(found.auc))]) for found in weak]
    assert np.mean(flattered) > 0.03


def test_no_unit_qualifies_where_none_does(recorded):
    rng = np.random.default_rng(5)
    search = ico.find_units(recorded, rng.permutation(240) < 30, name="nothing")
    assert search.found == ()
    assert "no unit qualifies" in search.summary()
    assert search.summary().startswith("nothing (30 images)")


def test_a_concept_may_be_given_in_many_ways(recorded, photographs, dark, tmp_path):
    ids = [identity for identity, is_dark in zip(recorded.ids, dark, strict=True) if is_dark]
    by_mask = ico.find_units(recorded, dark)
    by_list = ico.find_units(recorded, ids)
    by_images = ico.find_units(recorded, photographs[dark])
    (tmp_path / "dark.txt").write_text("\n".join(ids) + "\n")
    by_file = ico.find_units(recorded, str(tmp_path / "dark.txt"))
    for search in (by_list, by_images, by_file):
        assert np.array_equal(search.p_value, by_mask.p_value)
        assert search.units.tolist() == by_mask.units.tolist()
    assert by_file.concept == "dark.txt"
    against = ico.find_units(recorded, dark & (np.arange(240) % 2 == 0), ~dark)
    assert (against.examples, against.against) == (int((dark & (np.arange(240) % 2 == 0)).sum()), int((~dark).sum()))


def test_images_of_another_recording_are_a_concept(cars, recorded, tmp_path):
    lynxes = ico.demo_images(60, backgrounds="neutral", seed=99).where(label="bison")
    other = ico.record(cars, lynxes, store=tmp_path / "other")
    search = ico.find_units(recorded, other, "lynx")
    assert search.examples == 30
    assert search.found
    with pytest.raises(QuestionError, match="other units"):
        ico.find_units(recorded, ico.record(cars, lynxes, ["relu1"], store=tmp_path / "less"))


def test_a_result_is_kept_and_drawn(recorded, tmp_path):
    search = ico.find_units(recorded, "lynx", store=tmp_path / "run")
    again = ico.find_units(recorded, "lynx", store=tmp_path / "run")
    assert again.to_json() == search.to_json()
    assert np.array_equal(again.pictures_shown, search.pictures_shown)
    unit = recorded.units.index(str(search.units[0]))
    for _, identity, value in search.strip("most", 0):
        row = recorded.ids.index(identity)
        assert recorded.responses[row, unit] == pytest.approx(value)
    lynx = search.strip("concept", 0)
    assert {recorded.labels[recorded.ids.index(identity)] for _, identity, _ in lynx} == {"lynx"}
    assert [value for *_, value in lynx] == sorted((value for *_, value in lynx), reverse=True)
    assert search.save(tmp_path / "find.png").stat().st_size > 20_000
    # A notebook has the summary under the figure, and not in it again.
    with Image.open(tmp_path / "find.png") as saved, Image.open(io.BytesIO(search._face())) as face:
        assert saved.size[1] - 150 < face.size[1] < saved.size[1]


def test_what_is_no_concept_is_said(recorded, tmp_path):
    with pytest.raises(QuestionError, match="label 'linx'") as raised:
        ico.find_units(recorded, "linx")
    assert "lynx" in raised.value.hint
    with pytest.raises(ImagesError, match="1 of 2 images from a list were not recorded"):
        ico.find_units(recorded, [recorded.ids[0], "elsewhere.png"])
    with pytest.raises(ImagesError, match="of the concept and of the others"):
        ico.find_units(recorded, "lynx", [recorded.ids[recorded.labels.index("lynx")], recorded.ids[3]])
    with pytest.raises(ImagesError, match="too few"):
        ico.find_units(recorded, [recorded.ids[0]])
    with pytest.raises(QuestionError, match="do not fit"):
        ico.find_units(recorded, np.ones(3, bool))
    with pytest.raises(QuestionError, match="correction='fdr'"):
        ico.find_units(recorded, "lynx", correction="fdr")
    with pytest.raises(QuestionError, match="level=2"):
        ico.find_units(recorded, "lynx", level=2)


def test_too_few_shuffles_are_refused(recorded):
    with pytest.raises(QuestionError, match="permutations=5 cannot tell") as raised:
        ico.find_units(recorded, "lynx", permutations=5)
    assert "19 or more" in raised.value.hint


def test_images_of_a_folder_have_the_shorter_paths_of_that_folder():
    recording: Any = SimpleNamespace(ids=("a/1.png", "b/1.png", "b/2.png", "3.png"))
    assert _listed(recording, ["2.png", "1.png"], "somewhere/b").rows.tolist() == [1, 2]
    assert _listed(recording, ["b/2.png", "1.png", "3.png"], "a").rows.tolist() == [0, 2, 3]
    with pytest.raises(ImagesError, match="1 of 2 images"):
        _listed(recording, ["2.png", "1.png"], "a")


def test_without_images_held_out_nothing_is_said_of_them(recorded):
    search = ico.find_units(recorded, np.arange(240) < 7, name="few")
    assert search.held_out == 0 and np.isnan(search.auc_held_out).all() and len(search.auc_held_out) == len(search.auc)


@pytest.mark.parametrize(("count", "correction"), [(60, "max"), (8, "bh"), (7, "max")])
def test_a_search_written_out(recorded, count, correction):
    mask = np.isin(np.arange(240), np.random.default_rng(1).choice(240, count, replace=False))
    search = ico.find_units(recorded, mask, name="drawn", correction=correction, level=0.2, permutations=99, seed=3)
    responses = np.asarray(recorded.responses)
    rng = np.random.default_rng(3)
    halves = []
    for side in (responses[mask], responses[~mask]):
        held = len(side) // 2 if count >= 8 else 0
        mixed = side[rng.permutation(len(side))]
        halves.append((mixed[:held], mixed[held:]))
    channels = len(recorded.units) - 2
    chosen = [half[1][:, :channels] for half in halves]
    p_value, auc = rank_test(*chosen, correction=correction, permutations=99, seed=3), areas(*chosen)
    measured = [half[0] if count >= 8 else half[1] for half in halves]
    order = sorted(range(channels), key=lambda unit: (p_value[unit] > 0.2, -auc[unit], -recalls(*chosen)[unit]))
    assert search.units.tolist() == [recorded.units[unit] for unit in order]
    assert np.array_equal(search.p_value, p_value[order]) and np.array_equal(search.auc, auc[order])
    assert np.array_equal(search.recall, recalls(*measured)[order])
    if count >= 8:
        assert np.array_equal(search.auc_held_out, areas(*measured)[order])
    assert (search.examples, search.against, search.held_out) == (count, 240 - count, count // 2 if count >= 8 else 0)
    assert (search.correction, search.level, search.permutations) == (correction, 0.2, 99)
    assert (search.concept, search.others) == ("drawn", "all others")
    # Images of both labels: its class is what most of them are taken for.
    logit = channels + int(np.bincount(recorded.predictions[mask]).argmax())
    assert search.logit == recorded.units[logit]
    assert search.logit_auc == areas(*measured)[logit] and search.logit_recall == recalls(*measured)[logit]
    at = np.linspace(0, 1, 201)
    assert np.array_equal(search.curve_at, at) and search.curves.shape == (6, 201)
    for unit, drawn in zip([*order[:6], logit], [*search.curves, search.logit_curve], strict=True):
        assert np.array_equal(drawn, curve(measured[0][:, unit], measured[1][:, unit], at))
    settings = search.question.settings
    assert settings["correction"] == correction and settings["level"] == 0.2
    assert (settings["permutations"], settings["seed"]) == (99, 3)


def test_the_pictures_of_a_search_one_by_one(recorded, photographs):
    mask = np.isin(np.arange(240), np.random.default_rng(1).choice(240, 60, replace=False))
    search = ico.find_units(recorded, mask, name="drawn", permutations=19)
    responses, shown = np.asarray(recorded.responses), search.picture_ids
    for number, name in enumerate(search.units[:6].tolist()):
        unit = recorded.units.index(name)
        most, least = (recorded.ranked(side)[unit, :8] for side in ("most", "least"))
        assert shown[search.most[number]].tolist() == [recorded.ids[row] for row in most]
        assert shown[search.least[number]].tolist() == [recorded.ids[row] for row in least[::-1]]
        assert np.array_equal(search.most_values[number], responses[most, unit])
        assert np.array_equal(search.least_values[number], responses[least[::-1], unit])
        ranked = np.flatnonzero(mask)[np.argsort(-responses[mask, unit], kind="stable")]
        spread = ranked[np.linspace(0, 59, 12).round().astype(int)]
        assert shown[search.concept_shown[number]].tolist() == [recorded.ids[row] for row in spread]
        assert np.array_equal(search.concept_values[number], responses[spread, unit])
    assert np.array_equal(
        search.pictures_shown[search.most[0, 0]],
        photographs[recorded.ranked("most")[recorded.units.index(str(search.units[0])), 0]].pixels,
    )


def test_all_recorded_images_are_the_others_of_a_concept_from_elsewhere(cars, recorded, tmp_path):
    lynxes = ico.demo_images(40, backgrounds="neutral", seed=98).where(label="lynx")
    search = ico.find_units(recorded, ico.record(cars, lynxes, store=tmp_path / "other"), "lynx", permutations=19)
    assert search.against == 120 and search.others == "lynx"
    alone = ico.find_units(recorded, ico.record(cars, lynxes, store=tmp_path / "other"), permutations=19)
    assert (alone.examples, alone.against, alone.others) == (20, 240, "all others")
