"""The benchmark of birds without its renderer: what it asks for, and its page from figures that are planted."""

import json
from pathlib import Path

import numpy as np
import pytest

import iconoscope as ico
from benchmarks import funny_birds, tetrominoes
from benchmarks.bird_data import CLASSES, NAMES, SIZE, Bird, BirdData
from benchmarks.bird_explanations import METHODS, median_colour
from benchmarks.bird_network import PREPROCESSING, BirdNet
from benchmarks.bird_renderer import BODY, FIRST_PART, FIRST_THING, checkout
from benchmarks.bird_scenes import PARTS, contrasting_pair, draw_scene
from benchmarks.figures import put
from benchmarks.part_protocols import SETS, Truth
from iconoscope.subject.random_state import seeded

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def bird():
    """Give a picture of squares, one for each part and for two things, on grey."""
    scene = draw_scene(np.random.default_rng(0), 4, CLASSES[4], things=2)
    picture = np.full((SIZE, SIZE, 3), 90, np.uint8)
    part_map = np.zeros((SIZE, SIZE), np.uint8)
    for index in range(len(PARTS) + 2):
        rows = slice(16 * index, 16 * index + 12)
        picture[rows, 40:60], part_map[rows, 40:60] = 30 * index, FIRST_PART + index
    part_map[:, 100:110] = BODY
    removed, things = np.repeat(picture[None], 32, 0), np.repeat(picture[None], 2, 0)
    return Bird(scene=scene, picture=picture, part_map=part_map, removed=removed, without_thing=things)


@pytest.fixture(scope="module")
def network():
    with seeded(0):
        return ico.load_network(
            BirdNet().eval(), preprocessing={"size": SIZE, "mean": (0.5,) * 3, "std": (0.25,) * 3, "crop": "none"},
            classes=list(NAMES), device="cpu",
        )  # fmt: skip


def test_masks_are_of_the_parts_and_of_the_things(bird):
    assert bird.part_masks.sum((1, 2)).tolist() == [240] * len(PARTS)
    assert bird.thing_masks.sum((1, 2)).tolist() == [240] * 2
    assert bird.thing_masks[0, 16 * len(PARTS), 40]
    assert FIRST_PART + len(PARTS) == FIRST_THING


def test_covering_a_part_is_what_the_network_answers_to_it(bird, network):
    explained = METHODS["parts covered by their masks, median colour"](network, [bird], [(0, 4)])
    said = explained.importances[0, 4]
    covered = bird.picture.copy()
    covered[15:29, 39:61] = 90  # the second part, wider by a pixel
    assert median_colour(bird.picture)[0, 0].tolist() == [90, 90, 90]
    logits = network.module(PREPROCESSING.normalise(np.stack([bird.picture, covered]))).detach().numpy()[:, 4]
    assert said.parts[1] == pytest.approx(logits[0] - logits[1], abs=1e-5)


def test_an_area_is_counted(bird, network):
    said = METHODS["control: area"](network, [bird], [(0, 2)]).importances[0, 2]
    assert said.total == SIZE**2
    assert said.parts.tolist() == [13 * 22] + [14 * 22] * (len(PARTS) - 1)


def test_explanations_are_asked_of_the_right_and_the_predicted_class():
    removed = np.zeros((32, len(CLASSES)))
    removed[:, 7] = 1
    truth = Truth(cls=3, removed=removed, without_thing=np.zeros((0, len(CLASSES))))
    assert funny_birds.wanted_of([truth]) == [(0, 3), (0, 7)]


def test_explanations_are_asked_of_two_classes_that_the_network_tells_apart_by_parts():
    pair = contrasting_pair(CLASSES, 3)
    assert pair
    removed = np.zeros((32, len(CLASSES)))
    removed[:, 3] = 1
    for other in pair:
        shared = {part for part in range(len(PARTS)) if CLASSES[other][part] == CLASSES[3][part]}
        removed[[row for row, lost in enumerate(SETS) if shared & set(lost)], other] = -1
    truth = Truth(cls=3, removed=removed, without_thing=np.zeros((0, len(CLASSES))))
    assert funny_birds.wanted_of([truth]) == sorted([(0, 3), *((0, other) for other in pair)])


def test_a_smaller_set_begins_a_larger_one(tmp_path):
    few, many = (BirdData(folder=tmp_path, trained=number, tested=1, questioned=0) for number in (1, 2))
    assert many.scenes("train")[: len(CLASSES)] == few.scenes("train")
    assert not few.is_complete


def test_without_a_checkout_it_is_said_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"git clone https://github.com/visinf/funnybirds"):
        checkout(tmp_path)


@pytest.mark.parametrize("benchmark", [funny_birds, tetrominoes])
def test_the_page_is_made_of_the_figures_that_were_measured(benchmark, tmp_path):
    name = benchmark.__name__.rpartition(".")[2]
    held = json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text(encoding="utf-8"))
    written = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text(written, encoding="utf-8")
    put(page, benchmark.COMMAND, benchmark.tables(held))
    assert page.read_text(encoding="utf-8") == written
