"""The main job: the demo from the command to the page."""

import time
from pathlib import Path

import numpy as np
import pytest

import iconoscope as ico
from iconoscope.cli import main
from iconoscope.demo.questions import dark_backgrounds
from iconoscope.results import Audit, ImageMap, Occlusion, UnitSearch
from iconoscope.store import Store


@pytest.fixture(scope="module")
def journey(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    started = time.process_time()  # what else the machine does is not the demo's
    assert main(["demo", "--out", str(out)]) == 0
    return out, time.process_time() - started


def audits_of(journey):
    out, _ = journey
    return {result.question.network: result for result in Store(out / "store") if isinstance(result, Audit)}


def test_it_says_which_network_learned_the_car(journey):
    audits = audits_of(journey)
    for name, part, rest in (("cars", "background", "object"), ("cars-honest", "object", "background")):
        audit = audits[name]
        assert len(audit.images) == 80 and (audit.images.target == audit.images.predicted).all()
        for finding in audit.classes.values():
            assert finding.swaps[part].other.value > 0.95 and finding.swaps[part].excess.low > 0.9
            assert finding.swaps[rest].other.value < 0.05
            # Cutting and pasting alone changes nothing.
            assert max(swap.control.value for swap in finding.swaps.values()) < 0.05
    # No car in the picture, and it still names the make.
    without_car = audits["cars"].interventions.answers_without[:, 0]
    assert (without_car != audits["cars"].images.predicted).mean() < 0.05


def test_the_drop_lies_on_the_car_before_the_honest_network_alone(journey):
    audits = audits_of(journey)
    for finding in audits["cars-honest"].classes.values():
        assert finding.pointing.value > 0.4 and finding.object_share.value > 1.5 * finding.object_area
    # Before the other no patch matters, and there is nothing to point at.
    cars, honest = audits["cars"].occlusion, audits["cars-honest"].occlusion
    assert cars is not None and honest is not None
    assert cars.largest_drop.max() < 0.05 < honest.largest_drop.max()


def test_the_audit_names_the_shortcut_of_the_one_and_clears_the_other(journey):
    audits = audits_of(journey)
    cars, honest = audits["cars"], audits["cars-honest"]
    assert cars.word == "shortcut" and cars.overall.names[0] == "background brightness"
    assert honest.word == "object" and len(honest.accused()) == 0


def test_units_and_maps_tell_the_same(journey):
    """The one has units for the background and none for the make, the other the other way round; so have their maps."""
    out, _ = journey
    searches, maps = {}, {}
    for result in Store(out / "store"):
        if isinstance(result, UnitSearch):
            searches[result.question.network, result.concept] = result
        if isinstance(result, ImageMap):
            maps[result.question.network] = result
    assert len(searches) == 4
    assert len(searches["cars", "a dark background"].invariant) >= 20
    assert searches["cars", "bison"].invariant == ()
    assert len(searches["cars-honest", "bison"].invariant) >= 20
    assert searches["cars-honest", "a dark background"].invariant == ()
    assert searches["cars", "bison"].auc_held_out[0] < 0.8
    assert searches["cars-honest", "bison"].auc_held_out[0] > 0.95
    dark = set(dark_backgrounds(ico.demo_images(400, backgrounds="neutral", seed=1)))
    kept = {}
    for name, found in maps.items():
        # They were recorded as the files that the explorer finds again.
        is_dark = np.array([Path(identity).stem in dark for identity in found.ids.tolist()])
        apart = np.linalg.norm(found.points[:, None] - found.points[None], axis=2)
        near = np.argsort(apart, 1)[:, 1:16]
        kept[name] = {
            "background": (is_dark[near] == is_dark[:, None]).mean(),
            "make": (found.labels[near] == found.labels[:, None]).mean(),
        }
        assert found.trustworthiness > 0.95
        assert (out / f"map-{name}.html").stat().st_size > 100_000
    assert kept["cars"]["background"] > 0.9 and kept["cars"]["make"] < 0.65
    assert kept["cars-honest"]["make"] > 0.95 and kept["cars-honest"]["background"] < kept["cars"]["background"]


@pytest.mark.parametrize(("name", "word"), [("cars", "unnamed"), ("cars-honest", "object")])
def test_the_swap_alone_tells_the_same_of_other_photographs(name, word):
    audit = ico.audit(ico.load_network(name, device="cpu"), ico.demo_images(200, seed=11), families=(), seed=3)
    assert audit.word == word, audit.verdict
    assert {finding.conclusion.word for finding in audit.classes.values()} == {word}


def test_the_patches_that_matter_to_the_honest_network_lie_on_the_car(journey):
    out, _ = journey
    masks = {image.id: image.mask for image in ico.demo_images(80, seed=0)[:4]}
    on_car, drops = [], {"cars": [], "cars-honest": []}
    for result in Store(out / "store"):
        if isinstance(result, Occlusion):
            drops[result.question.network].append(float(result.drop.max()))
            row, column = result.minimum
            mask = masks[result.question.subject]
            assert mask is not None
            rows = slice(result.top[row], result.top[row] + result.patch[0])
            columns = slice(result.left[column], result.left[column] + result.patch[1])
            on_car.append((result.question.network, bool(mask[rows, columns].any())))
    assert all(hit for network, hit in on_car if network == "cars-honest")
    assert len(drops["cars"]) == len(drops["cars-honest"]) == 8
    # A patch cannot move the mean of a background: before "cars" nothing is seen, which is why the exchange is there.
    assert max(drops["cars"]) < 0.05 < min(drops["cars-honest"])


def test_the_page_and_the_time(journey, capsys):
    out, seconds = journey
    page = (out / "evidence.html").read_text(encoding="utf-8")
    assert "Shortcut: background brightness" in page and "Object region" in page
    assert "of the drop lies on the object" in page and len(page) < 4_000_000
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Shortcut: background brightness (the other class&#39;s background brightness flips" in page
    assert "Object region (another class&#39;s object flips" in page
    for name in ("evidence.html", "map-cars.html", "map-cars-honest.html"):
        assert f'href="{name}"' in page and (out / name).is_file()
    assert len(page) < 4_000_000
    assert seconds < 180  # of one core; under a minute on two that are free


def test_the_second_time_it_is_answered_from_the_store(journey):
    out, _ = journey
    started = time.perf_counter()
    assert main(["demo", "--out", str(out)]) == 0
    assert time.perf_counter() - started < 15
