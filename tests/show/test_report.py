"""The one writer of pages chooses the page by what it is given."""

import numpy as np
import pytest

import iconoscope as ico
from iconoscope.errors import QuestionError
from iconoscope.results import ImageMap, Question
from iconoscope.results.atlas import pack_thumbnails
from specimens import attributed, audited, occlusion


def image_map(count=6):
    atlas, ends = pack_thumbnails((np.zeros((8, 8, 3), np.uint8) for _ in range(count)), count, 8)
    return ImageMap(
        question=Question(technique="map", network="net", weights="w", subject=f"{count} images", pixels="p"),
        points=np.random.default_rng(0).random((count, 2)).astype(np.float32),
        ids=np.array([str(row) for row in range(count)]),
        labels=np.array(["red", "green", "blue"] * (count // 3)),
        targets=np.array([0, -1, -1] * (count // 3)),
        predictions=np.zeros(count, int),
        classes=("red",),
        method="tsne",
        vectors="penultimate",
        metric="cosine",
        neighbours=np.zeros((count, 2), np.int32),
        trustworthiness=0.9,
        trusted_k=2,
        same_class_vectors=None,
        same_class_map=None,
        atlas=atlas,
        atlas_ends=ends,
        side=8,
    )


def test_every_subject_has_its_page(tmp_path):
    store = ico.Store(tmp_path / "run")
    store.put(occlusion())
    subjects = {
        "One patch at every position": (store, tmp_path / "run"),
        "<h2>planted</h2>": (audited(), [audited(), audited("object", network="another")]),
        '<canvas id="map"': (image_map(),),
        'class="image covered"': (occlusion(), [occlusion(), occlusion(1)], ico.OcclusionSeries((occlusion(),))),
    }
    for sign, alike in subjects.items():
        for subject in alike:
            page = ico.report(subject, tmp_path / "deep" / "page.html", title="A <page>", lead="Read & judge.")
            text = page.read_text(encoding="utf-8")
            assert sign in text and "<h1>A &lt;page&gt;</h1>" in text and "Read &amp; judge." in text


def test_a_map_is_saved_as_the_same_page(tmp_path):
    saved = image_map().save(tmp_path / "map.html").read_text(encoding="utf-8")
    assert saved == ico.report(image_map(), tmp_path / "reported.html").read_text(encoding="utf-8")
    assert '"classes": ["red", "green", "blue"]' in saved and '"labels": "AAABAAIAAAABAAIA"' in saved


@pytest.mark.parametrize("subject", [attributed(), [], [attributed()], [audited(), occlusion()], 3])
def test_what_has_no_page_is_refused(subject, tmp_path):
    with pytest.raises(QuestionError, match=r"There is no page of|subject=.* must be"):
        ico.report(subject, tmp_path / "page.html")
    assert not list(tmp_path.iterdir())
