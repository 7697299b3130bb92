"""Series of patches and of fills by hand, on disk and drawn."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iconoscope.errors import DamagedRecordError, QuestionError, StoreError
from iconoscope.results import Faithfulness, OcclusionSeries
from iconoscope.results.occlusion_series import rank_correlation
from iconoscope.store import Store, load_result
from specimens import occlusion


def with_drop(drop, fill="zero"):
    """A result of 1 + its map of drops: the target's clean answer is 1."""
    drop = np.asarray(drop, np.float32)
    first = occlusion()
    occluded = np.zeros((*drop.shape, 3), np.float32)
    occluded[..., 1] = 1 - drop
    return replace(
        first,
        question=replace(first.question, settings={**first.question.settings, "fill": fill}),
        top=np.arange(drop.shape[0]) * 2,
        left=np.arange(drop.shape[1]) * 2,
        clean=np.array([0, 1, 0], np.float32),
        occluded=occluded,
        picture=np.zeros((2 * drop.shape[0] + 1, 2 * drop.shape[1] + 2, 3), np.uint8),
    )


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=20))
def test_rank_correlation_is_the_correlation_of_mean_ranks(pairs):
    """Ranks counted one by one: how many are smaller, and half of how many are equal."""

    def ranks(values):
        return np.array([sum(v < x for v in values) + sum(v == x for v in values) / 2 for x in values])

    first, second = np.array(pairs).T
    found = rank_correlation(first, second)
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(np.corrcoef(ranks(first), ranks(second))[0, 1], abs=1e-9)


def test_rank_correlation_without_ties_is_the_textbooks():
    first, second = np.random.default_rng(0).random((2, 30))
    difference = first.argsort().argsort() - second.argsort().argsort()
    assert rank_correlation(first, second) == pytest.approx(1 - 6 * (difference**2).sum() / (30 * (30**2 - 1)))
    assert rank_correlation(first, np.exp(5 * first)) == pytest.approx(1)
    assert rank_correlation(first, -first) == pytest.approx(-1)


def test_agreement_by_hand():
    """Twenty positions: the tenth that drops most are two of them, and one of these is common."""
    first, second = np.zeros((2, 4, 5))
    first[1, 2], first[1, 3] = 0.9, 0.5
    second[1, 3], second[3, 0] = 0.7, 0.6
    found = of(with_drop(first), with_drop(second, "mean"))
    assert found.overlap == pytest.approx(1 / 3)
    assert found.difference == pytest.approx(0.2)
    assert found.distance == 2  # columns 4 and 6
    assert not found.robust  # the overlap is enough, the correlation is not
    assert (
        found.correlation == pytest.approx(rank_correlation(first.ravel(), second.ravel())) and found.correlation < 0.5
    )
    same = of(with_drop(first), with_drop(first, "mean"))
    assert same.robust and same.overlap == 1 and same.correlation == pytest.approx(1) and same.distance == 0
    quiet = of(with_drop(first * 0.05), with_drop(first, "mean"))
    assert not quiet.robust  # one says that no patch matters
    assert of(with_drop(first * 0.05), with_drop(second * 0.05, "mean")).robust
    flat = of(with_drop(np.full((4, 5), 0.5)), with_drop(first, "mean"))
    assert np.isnan(flat.correlation) and not flat.robust and flat.to_json()["correlation"] is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"weights": "x"}, "the weights of the network"),
        ({"pixels": "x"}, "the pixels"),
        ({"unit": "prob:a"}, "the unit"),
        ({"settings": {"preprocessing": {"size": 3}}}, "its preprocessing"),
    ],
)
def test_what_is_not_the_same_question_is_not_compared(change, says):
    first = occlusion()
    with pytest.raises(QuestionError, match=says):
        of(first, replace(first, question=replace(first.question, **change)))


def test_other_positions_are_not_held_against_each_other():
    first = occlusion()
    other = replace(first, patch=(5, 5), question=replace(first.question, settings={"patch": (5, 5)}))
    for series in (of(first, other), of(first, replace(first, top=first.top + 1)), of(first)):
        assert series.robust is None
        assert np.isnan([series.overlap, series.correlation, series.difference, series.distance]).all()
        assert series.to_json()["robust"] is None and series.to_json()["overlap"] is None
    assert of(first, other).patches == ((3, 4), (5, 5))
    with pytest.raises(QuestionError, match="no result"):
        of()


def test_of_several_fills_the_pair_that_agrees_least_decides():
    first, second = np.zeros((2, 4, 5))
    first[1, 2], first[1, 3] = 0.9, 0.5
    second[1, 3], second[3, 0] = 0.7, 0.6
    near = first * 0.9
    series = of(with_drop(first, "a"), with_drop(near, "b"), with_drop(second, "c"))
    pairs = [of(one, other) for one, other in itertools.combinations(series.results, 2)]
    assert [pair.robust for pair in pairs] == [True, False, False] and series.robust is False
    assert series.overlap == min(pair.overlap for pair in pairs)
    assert series.correlation == min(pair.correlation for pair in pairs)
    assert series.distance == max(pair.distance for pair in pairs)
    assert series.difference == max((pair.difference for pair in pairs), key=abs)
    assert series.labels == ("fill a", "fill b", "fill c")
    assert "With a, b and c the largest drops are 0.900, 0.810 and 0.700, up to 2 pixels apart" in series.summary()


def test_patches_and_fills_together():
    drop = np.zeros((4, 5))
    drop[1, 2] = 0.9
    results = [replace(with_drop(drop, fill), patch=patch) for patch in ((3, 4), (5, 5)) for fill in ("zero", "mean")]
    series = of(*results)
    assert series.robust and series.patches == ((3, 4), (5, 5)) and series.fills == ("zero", "mean")
    assert series.labels[1] == "patch 3x4 fill mean"


def of(*results):
    return OcclusionSeries(results)


def patches():
    return of(occlusion(), replace(occlusion(), patch=(5, 5), occluded=occlusion(seed=1).occluded))


@pytest.mark.parametrize("found", [patches(), of(occlusion(), occlusion())], ids=["patches", "fills"])
def test_what_is_saved_is_read_back(found, tmp_path):
    for _ in range(2):  # the second time it is written over
        assert found.save(tmp_path / "kept") == tmp_path / "kept"
    read = type(found).load(tmp_path / "kept")
    assert len(read.results) == 2 and read.summary() == found.summary() and read.to_json() == found.to_json()
    for before, after in zip(found.results, read.results, strict=True):
        assert np.array_equal(before.occluded, after.occluded) and before.question == after.question
    # Each is a record that stands alone.
    alone = [load_result(place) for place in sorted((tmp_path / "kept").iterdir()) if place.is_dir()]
    assert len(alone) == 2
    with pytest.raises(StoreError, match=f"holds '{found.kind}'"):
        Faithfulness.load(tmp_path / "kept")
    with pytest.raises(StoreError, match="holds no result") as caught:
        load_result(tmp_path / "kept")
    assert "OcclusionSeries.load" in caught.value.hint


def test_saving_touches_nothing_else(tmp_path):
    store = Store(tmp_path / "run")
    store.put(occlusion())
    with pytest.raises(StoreError, match="something else is there"):
        patches().save(tmp_path / "run")
    with pytest.raises(StoreError, match="something else is there"):
        patches().save(tmp_path / "run" / "occlude")  # a folder of nothing but records
    assert len(store) == 1
    assert {place.name for place in tmp_path.iterdir()} == {"run"}
    (tmp_path / "kept").mkdir()
    patches().save(tmp_path / "kept")
    with pytest.raises(StoreError, match="something else is there"):
        occlusion().save(tmp_path / "kept")


def test_damage_is_said(tmp_path):
    place = patches().save(tmp_path / "kept")
    (place / "patch-3x4" / "arrays.npz").write_bytes(b"")
    with pytest.raises(DamagedRecordError, match="patch-3x4"):
        OcclusionSeries.load(place)
    (place / "records.json").write_text("{")
    with pytest.raises(DamagedRecordError, match=r"records\.json"):
        OcclusionSeries.load(place)
    with pytest.raises(StoreError, match="does not hold several"):
        OcclusionSeries.load(tmp_path / "nosuch")


def test_the_figure_has_one_scale_of_colours(tmp_path):
    import matplotlib as mpl

    mpl.use("agg")
    found = patches()
    axes = found.plot()
    assert len(axes) == 2
    assert {each.collections[0].get_clim() for each in axes} == {(0.0, 1.0)}
    assert found.save(tmp_path / "f.png").stat().st_size > 10_000
    assert "<img" in found._repr_html_()
    import matplotlib.pyplot as plt

    plt.close("all")


def test_the_largest_is_the_largest():
    small, large = np.zeros((2, 4, 5))
    small[2, 2], large[1, 1] = 0.4, 0.3
    found = of(with_drop(small), replace(with_drop(large), patch=(8, 8)))
    assert found.largest.patch == (3, 4)
    assert "0.400 (3x4), 0.300 (8x8); the most at row 4, column 4 with 3x4" in found.summary()
    assert found.to_json()["largest"] == [3, 4]
