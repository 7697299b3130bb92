"""The evidence of the object in one map, counted by hand."""

from dataclasses import asdict, replace

import numpy as np
import pytest

import specimens


def test_the_evidence_of_a_map_counted_pixel_by_pixel():
    generator = np.random.default_rng(3)
    for trial in range(6):
        occlusion = specimens.occlusion(trial)
        mask = generator.random((9, 12)) < 0.15
        mask[2:5, 3:6] = True
        evidence = replace(occlusion, object_mask=mask).object_evidence
        assert evidence is not None
        total, count, beside, positions = np.zeros((9, 12)), np.zeros((9, 12)), 0.0, 0
        for row, top in enumerate(occlusion.top):
            for column, left in enumerate(occlusion.left):
                drop = max(float(occlusion.drop[row, column]), 0)
                window = slice(top, top + 3), slice(left, left + 4)
                total[window] += drop
                count[window] += 1
                if not mask[window].any():
                    beside, positions = beside + drop, positions + 1
        by_pixel = np.divide(total, count, out=np.zeros((9, 12)), where=count > 0)
        by_pixel /= by_pixel.sum()
        everywhere = [by_pixel[np.roll(mask, shift, (0, 1))].sum() for shift in np.ndindex(9, 12)]
        share = by_pixel[mask].sum()
        row, column = occlusion.minimum
        bottom, right = min(occlusion.top[row] + 3, 9), min(occlusion.left[column] + 4, 12)
        centre = (occlusion.top[row] + bottom - 1) // 2, (occlusion.left[column] + right - 1) // 2
        expected = {
            "pointing": mask[centre],
            "share": share,
            "area": mask.mean(),
            "beside": beside / np.maximum(occlusion.drop, 0).sum(),
            "patches_beside": positions / 20,
            "p_object": np.mean([other >= share - 1e-9 for other in everywhere]),
            "p_context": np.mean([other <= share + 1e-9 for other in everywhere]),
        }
        assert asdict(evidence) == pytest.approx(expected)


def test_without_an_object_or_a_drop_there_is_nothing_to_say():
    occlusion = specimens.occlusion()
    assert occlusion.pointing is None and np.isnan(occlusion.object_share) and occlusion.object_evidence is None
    assert occlusion.to_json()["object"] is None
    mask = np.zeros((9, 12), bool)
    mask[2:5, 3:6] = True
    untouched = replace(occlusion, occluded=np.ones_like(occlusion.occluded), object_mask=mask)
    assert untouched.pointing is None and np.isnan(untouched.object_share)
    assert untouched.to_json()["object"] == {
        "pointing": None,
        "share": None,
        "area": pytest.approx(1 / 12),
        "beside": None,
        "patches_beside": pytest.approx(0.55),
        "p_object": None,
        "p_context": None,
    }


def test_maps_that_know_nothing_of_the_object_rank_it_evenly():
    """Random maps before objects at random places: the ranks of the object's share are uniform."""
    generator = np.random.default_rng(0)
    starts = np.arange(0, 16, 2)
    base = replace(
        specimens.occlusion(), top=starts, left=starts, patch=(4, 4), clean=np.array([0.05, 0.9, 0.05], np.float32),
        picture=np.zeros((16, 16, 3), np.uint8),
    )  # fmt: skip
    p_object, p_context = [], []
    for _ in range(1000):
        # Rounded, smooth and skewed, as drops are.
        drop = generator.random((12, 12)) ** 4
        drop = 0.8 * sum(drop[row : row + 8, column : column + 8] for row, column in np.ndindex(4, 4)) / 4
        occluded = np.stack([0.1 + 0 * drop, 0.9 - drop, 0 * drop], 2).astype(np.float32)
        mask = np.zeros((16, 16), bool)
        top, left = generator.integers(0, 11, 2)
        mask[top : top + 5, left : left + 6] = True
        evidence = replace(base, occluded=occluded, object_mask=mask).object_evidence
        assert evidence is not None
        p_object.append(evidence.p_object)
        p_context.append(evidence.p_context)
    for ranks in (np.array(p_object), np.array(p_context)):
        for level in (0.05, 0.2, 0.5, 0.8):
            # Three standard errors of 1,000 maps.
            assert (ranks < level).mean() == pytest.approx(level, abs=3 * np.sqrt(level * (1 - level) / 1000) + 0.01)
