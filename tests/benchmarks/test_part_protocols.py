"""The protocols of FunnyBirds against truths that are made up: an additive network, whose parts' worth is known."""

import dataclasses

import numpy as np
import pytest

from benchmarks.bird_scenes import MODELS, PARTS, Scene, contrasting_pair, draw_classes, draw_scene, shared_parts
from benchmarks.part_protocols import (
    SETS,
    Importance,
    Truth,
    background_independence,
    minimal_sufficient_sets,
    part_importance,
    rank_correlation,
    score,
)

CLASSES = draw_classes(10, paired=10)


def additive(cls, rng, *, things=4):
    """Give a truth in which a class's logit is the worth of the parts that it shares with the bird; things have none.

    What is answered to a bird without parts is another class.
    """
    worth = rng.uniform(1, 2, len(PARTS))
    alike = np.array([[a == b for a, b in zip(CLASSES[cls], other, strict=True)] for other in CLASSES])
    present = np.array([[part not in removed for part in range(len(PARTS))] for removed in SETS])
    logits = 1 + (present * worth) @ alike.T
    logits[:, (cls + 1) % len(CLASSES)] += 0.1
    return Truth(cls=cls, removed=logits, without_thing=np.tile(logits[0], (things, 1))), alike * worth


@pytest.fixture(scope="module")
def planted():
    rng = np.random.default_rng(0)
    made = [additive(cls, rng) for cls in range(len(CLASSES)) for _ in range(4)]
    return [truth for truth, _ in made], [worth for _, worth in made]


def importance(parts, things=4):
    return Importance(parts=np.asarray(parts, float), things=np.zeros(things), total=float(np.sum(parts)))


def test_an_explanation_that_is_the_truth_reaches_one_everywhere(planted):
    truths, worth = planted
    scores = score(lambda index, cls: importance(worth[index][cls]), truths, CLASSES)
    assert np.allclose(scores.correlations, 1)
    assert scores.single_deletion == pytest.approx(1)
    assert scores.controlled_check == 1
    assert scores.preservation == 1
    assert scores.deletion == 1
    assert scores.distractibility == 1
    assert scores.target_sensitivity == 1


def test_an_explanation_that_is_the_opposite_reaches_none(planted):
    truths, worth = planted
    scores = score(lambda index, cls: importance(-worth[index][cls]), truths, CLASSES)
    assert scores.single_deletion == pytest.approx(0)
    assert scores.target_sensitivity == 0


def test_a_random_explanation_is_near_chance(planted):
    truths, _ = planted
    rng = np.random.default_rng(1)
    drawn = {(index, cls): rng.standard_normal(5) for index in range(len(truths)) for cls in range(len(CLASSES))}
    scores = score(lambda index, cls: importance(drawn[index, cls]), truths, CLASSES)
    assert abs(scores.correlations.mean()) < 0.25
    assert scores.single_deletion == pytest.approx(0.5, abs=0.13)
    assert scores.target_sensitivity == pytest.approx(0.5, abs=0.25)


def test_an_explanation_that_names_the_background_is_distracted(planted):
    truths, worth = planted

    def distracted(index, cls):
        return dataclasses.replace(importance(worth[index][cls]), things=np.full(4, 10.0), total=10.0)

    assert score(distracted, truths, CLASSES).distractibility < 0.2
    assert background_independence(truths) == 1


def test_a_thing_that_the_network_needs_is_no_distraction(planted):
    truth = planted[0][0]
    needed = np.tile(truth.removed[0], (2, 1))
    needed[0] -= 3
    assert background_independence([dataclasses.replace(truth, without_thing=needed)]) == 0.5


def test_sufficient_sets_are_those_of_brute_force():
    for cls, models in enumerate(CLASSES):
        others = [other for index, other in enumerate(CLASSES) if index != cls]
        tells = {
            frozenset(some)
            for some in SETS
            if some and all(any(other[part] != models[part] for part in some) for other in others)
        }
        smallest = {some for some in tells if not any(some - {part} in tells for part in some)}
        assert set(minimal_sufficient_sets(CLASSES, cls)) == smallest


def test_constant_importances_rank_nothing(planted):
    assert np.isnan(rank_correlation(planted[0][0], importance(np.ones(5))))


def test_a_map_is_summed_over_parts_and_their_outlines():
    masks = np.zeros((2, 6, 6), bool)
    masks[0, 1, 1] = masks[1, 4, 4] = True
    values = np.zeros((6, 6))
    values[2, 2], values[4, 5], values[0, 5] = 1, 2, 4
    summed = part_importance(values, masks[:1], masks[1:])
    assert summed.parts.tolist() == [1]
    assert summed.things.tolist() == [2]
    assert summed.total == 7


def test_pairs_share_two_parts_each_and_not_the_same():
    for cls in range(len(CLASSES)):
        pair = contrasting_pair(CLASSES, cls)
        assert pair
        first, second = (shared_parts(CLASSES[cls], CLASSES[other]) for other in pair)
        assert len(first) == len(second) == 2
        assert not first & second


def test_scenes_lose_what_is_taken_out_and_nothing_else():
    scene = draw_scene(np.random.default_rng(0), 3, CLASSES[3], things=3)
    without = scene.without(["tail", "beak"])
    assert without.models == (None, *CLASSES[3][1:3], None, CLASSES[3][4])
    assert without.things == scene.things
    assert scene.without_thing(1).things == (scene.things[0], scene.things[2])
    removed = dict(scene.parts_removed())
    assert [tuple(PARTS.index(part) for part in parts) for parts in removed] == list(SETS)
    assert removed["beak", "tail"] == without
    assert scene.to_json()["parts"]["tail"] == MODELS["tail"][CLASSES[3][3]]


def test_what_a_bird_does_not_have_cannot_be_removed():
    scene = draw_scene(np.random.default_rng(0), 0, CLASSES[0])
    with pytest.raises(ValueError, match=r"no fin; it has: beak"):
        scene.without(["fin"])


def test_some_of_the_birds_that_are_learnt_from_lack_parts():
    rng = np.random.default_rng(0)
    scenes = [draw_scene(rng, 0, CLASSES[0], whole=False, things=0) for _ in range(200)]
    lacking = [scene for scene in scenes if None in scene.models]
    assert 0.3 < len(lacking) / len(scenes) < 0.55
    assert all(isinstance(scene, Scene) and scene.things == () for scene in scenes)
