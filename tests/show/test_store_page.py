import base64
import hashlib
import html
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

import iconoscope as ico
from iconoscope.errors import StoreError
from iconoscope.results.live_patch import live_script
from iconoscope.results.rendering import data_uri, outlined, to_png
from iconoscope.results.result_folder import read_sealed_json, sealed_json
from iconoscope.store import load_result
from specimens import attributed, audited, averaged, curved, occlusion, visualized

NASTY = '<script>alert("x")</script>&\'"'


class Page(HTMLParser):
    """What a browser would make of the page: its tags, what it would fetch, and its text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.text, self.open, self.scripts = [], [], "", [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset")]
        if tag not in ("img", "meta", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        self.text += data
        if self.open and self.open[-1] == "script":
            attributes, text = self.scripts.pop()
            self.scripts.append((attributes, text + data))

    @property
    def programs(self):
        """What a browser would run."""
        return [text for attributes, text in self.scripts if attributes.get("type") != "application/json"]


def page(tmp_path, *results, **settings):
    store = ico.Store(tmp_path / "run")
    for result in results:
        store.put(result)
    return Page(ico.report(store, tmp_path / "r.html", **settings).read_text(encoding="utf-8"))


def test_the_page_fetches_nothing(tmp_path):
    found = page(tmp_path, occlusion(), curved(), audited())
    assert found.addresses and all(address.startswith("data:image/") for address in found.addresses)
    assert "link" not in found.tags and not any("src" in attributes for attributes, _ in found.scripts)
    assert found.programs == [live_script()]
    assert not found.open
    assert not re.search(r"url\(|@import", (tmp_path / "r.html").read_text())


def test_every_name_is_escaped(tmp_path):
    found = page(tmp_path, occlusion(subject=NASTY), curved(subject=NASTY), title=NASTY)
    assert found.programs == [live_script()] and found.tags.count("script") == 2
    assert found.text.count(NASTY) >= 3
    assert page(tmp_path / "none", curved()).programs == []  # no script where nothing is felt over


def test_the_policy_lets_our_script_run_and_no_other(tmp_path):
    found = page(tmp_path, occlusion())
    policy = re.search(r'Security-Policy" content="([^"]+)"', (tmp_path / "r.html").read_text())
    digest = base64.b64encode(hashlib.sha256(found.programs[0].encode()).digest()).decode()
    assert policy and html.unescape(policy[1]).split("; ") == [
        "default-src 'none'",
        "img-src data:",
        "style-src 'unsafe-inline'",
        f"script-src 'sha256-{digest}'",
    ]


def test_networks_asked_the_same_stand_side_by_side(tmp_path):
    first = occlusion()
    second = replace(first, question=replace(first.question, network="another", weights="x"))
    text = page(tmp_path, first, second).text
    assert text.count("one patch at every position".capitalize()) == 1
    assert "What did planted and another learn?" in text


def test_two_networks_of_one_name_are_told_apart(tmp_path):
    first = occlusion()
    second = replace(first, question=replace(first.question, weights="abcdef0123"))
    text = page(tmp_path, first, second).text
    assert "What did planted [wwwwww] and planted [abcdef] learn?" in text


def test_every_panel_shows_what_its_own_network_saw(tmp_path):
    first = occlusion()
    cut = np.ascontiguousarray(first.picture[:, ::-1])
    second = replace(first, picture=cut, question=replace(first.question, network="another", weights="x"))
    found = page(tmp_path, first, second)
    for picture in (first.picture, cut):
        assert data_uri(to_png(picture)) in found.addresses


def test_audits_of_the_same_images_are_one_table(tmp_path):
    first, second = audited(), audited("object", network="another")
    reseeded = replace(second, question=replace(second.question, settings={**second.question.settings, "seed": 1}))
    assert page(tmp_path / "a", first, second).tags.count("table") == 1
    assert page(tmp_path / "b", first, reseeded).tags.count("table") == 2


def test_scored_maps_are_drawn_and_compared(tmp_path):
    first, second = curved(0), curved(1)
    found = page(tmp_path, first, second)
    assert found.tags.count("svg") == 2 and found.tags.count("polyline") == 2 * 2 * 6
    for one in ("deletion", "insertion"):
        mean = (getattr(first, f"{one}_area") + getattr(second, f"{one}_area")) / 2
        null = np.concatenate([getattr(curves, f"null_{one}_areas") for curves in (first, second)]).mean()
        assert f"{mean:.3f} ({null:.3f})" in found.text
    # The deletion curve begins at the left, as high as the answer to the untouched photograph.
    height = 110 - 106 * float(first.deletion[0, 1])
    assert f'"26.0,{height:.1f} ' in (tmp_path / "r.html").read_text()
    # Another fill is another question: no mean over both.
    other = replace(second, fill="zero")
    assert (
        f"{first.deletion_area:.3f} ({first.null_deletion_areas.mean():.3f})" in page(tmp_path / "b", first, other).text
    )
    assert "1 of 2 images" in page(tmp_path / "c", first, second, most=1).text


def test_a_record_of_a_later_version_does_not_end_the_page(tmp_path):
    store = ico.Store(tmp_path / "run")
    index = store.put(occlusion(1)) / "result.json"
    index.write_bytes(sealed_json({**read_sealed_json(index), "format": 2}))
    assert "in format 2" in page(tmp_path, occlusion(2)).text


def test_what_is_left_out_is_said(tmp_path):
    found = page(tmp_path, *(occlusion(seed) for seed in range(5)), most=3)
    assert "Showing 3 of 5 images" in found.text
    assert "The other" not in found.text


def test_of_many_images_that_were_asked_about_once_some_are_folded_away(tmp_path):
    page(tmp_path, *(occlusion(seed) for seed in range(9)))
    seen, _, folded = (tmp_path / "r.html").read_text(encoding="utf-8").partition("The other 3 images")
    assert seen.count('class="image"') == 6 and folded.count('class="image"') == 3


def test_what_is_not_shown_is_not_read(tmp_path, monkeypatch):
    """A whole data set would not fit into memory; only its questions are read."""
    read = []
    monkeypatch.setattr("iconoscope.show.store_page.load_result", lambda folder: read.append(1) or load_result(folder))
    found = page(tmp_path, *(occlusion(seed) for seed in range(6)), averaged(), audited(), most=2)
    assert len(read) == 4 and "Showing 2 of 6 images" in found.text
    assert "The mean over" in found.text and "The object, or what comes with it?" in found.text


def test_the_mean_map_of_every_class(tmp_path):
    found = page(tmp_path, averaged())
    assert "The mean over 7 images" in found.text and "<b>y</b>" in found.text
    assert "2 images have no label" in found.text
    assert len([address for address in found.addresses if address.startswith("data:image/png")]) == 3
    many = page(tmp_path / "many", averaged([f"class {number}" for number in range(9)]), most=4)
    assert "6 classes with fewer images are not shown" in many.text


def test_the_class_that_wins_is_shown_where_more_than_one_does(tmp_path):
    first = occlusion()
    occluded = np.zeros_like(first.occluded)
    occluded[..., 1] = 1
    one = replace(first, occluded=occluded.copy(), clean=np.array([0, 1, 0], np.float32))
    occluded[1, 2] = 1, 0, 0
    two = replace(one, occluded=occluded)
    logit = replace(two, measure="mean activation")
    assert "most probable class" not in page(tmp_path / "one", one).text
    assert "most probable class" not in page(tmp_path / "other", logit).text
    text = page(tmp_path / "two", two).text
    assert re.search(r"most probable class.*b\s+95% of the positions.*a\s+5% of the positions", text, re.DOTALL)


def test_more_winners_than_colours_are_counted(tmp_path):
    first = occlusion()
    occluded = np.zeros((4, 5, 12), np.float32)
    occluded.reshape(20, 12)[np.arange(20), np.arange(20) % 12] = 1
    names = tuple(f"class {number}" for number in range(12))
    found = page(tmp_path, replace(first, occluded=occluded, names=names, clean=np.eye(12, dtype=np.float32)[3]))
    assert re.search(r"class 3\s+10% of the positions", found.text)
    assert re.search(r"6 other classes\s+\d+% of the positions", found.text)


def test_a_damaged_result_does_not_take_the_others_with_it(tmp_path):
    store = ico.Store(tmp_path / "run")
    place = store.put(occlusion(1))
    (place / "arrays.npz").write_bytes(b"")
    found = page(tmp_path, occlusion(2))
    assert "is not what was written" in found.text


def test_an_empty_store_is_an_error(tmp_path):
    with pytest.raises(StoreError, match="holds no result"):
        ico.report(tmp_path / "nosuch", tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def test_a_page_that_cannot_be_written(tmp_path):
    store = ico.Store(tmp_path / "run")
    store.put(occlusion())
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="cannot be written"):
        ico.report(store, tmp_path / "file" / "r.html")


def test_the_verdict_comes_first_in_the_audits_words(tmp_path):
    audit = audited()
    text = " ".join(page(tmp_path, audit).text.split())
    verdict = audit.verdict[:1].upper() + audit.verdict[1:]
    assert verdict in text and text.index(verdict) < text.index("The object, or what comes with it?")
    for name, finding in audit.classes.items():
        assert f"planted, {name}: {finding.verdict}." in text


def test_evidence_is_listed_class_by_class_with_its_intervals(tmp_path):
    text = " ".join(page(tmp_path, audited(), audited("object", network="another")).text.split())
    # The one goes by the background, the other by the object; the controls change nothing before either.
    assert text.count("another class's object changes the answer 0% 0% to 11% 100% 89% to 100%") == 2
    assert text.count("another class's background changes the answer 100% 89% to 100% 0% 0% to 11%") == 2
    assert text.count("the control 0% 0% to 11% 0% 0% to 11%") == 4
    share = audited().classes["x"].object_share
    assert share.value == pytest.approx(0.5)
    assert text.count(f"lies on the object 50% {share.low:.0%} to {share.high:.0%}") == 2


def test_what_was_not_measured_has_no_line(tmp_path):
    text = page(tmp_path, replace(audited(), occlusion=None)).text
    assert "another class's object" in text and "lies on the object" not in text


def test_the_object_is_outlined_and_held_against_the_drop(tmp_path):
    mask = np.zeros((9, 12), bool)
    mask[2:6, 3:8] = True
    first = replace(occlusion(), object_mask=mask)
    found = page(tmp_path, first)
    assert data_uri(to_png(outlined(first.picture, mask))) in found.addresses
    assert f"{first.object_share:.0%} of the drop lies on the object, which is 19% of the picture" in found.text


def test_pictures_of_units_are_on_the_page(tmp_path):
    store = ico.Store(tmp_path / "run")
    for seed in range(2):
        store.put(visualized(seed=seed, count=2))
    page = ico.report(store, tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count('alt="picture of conv:') == 4 and "dead: it answered nothing" in page
    assert "What units look for" in page


def test_gradient_methods_stand_beside_the_occlusion_map_with_the_areas_of_both(tmp_path):
    ours, theirs, elsewhere = occlusion(), attributed(), attributed(seed=1, signed=False)
    scores = []
    for seed, result in ((0, ours), (1, theirs)):
        curves = curved(seed=seed)
        settings = {**curves.question.settings, "map": f"{result.question.technique} {result.question.key}"}
        scores.append(replace(curves, question=replace(curves.question, pixels="0", settings=settings)))
    found = page(tmp_path, ours, theirs, elsewhere, *scores)
    told = " ".join(found.text.split())
    for curves in scores:
        assert f"Deleted with {curves.fill}, area {curves.deletion_area:.3f}" in told
    assert told.count("Deleted with") == 2  # and none for the image whose map was not scored
    both = told[told.index("patch 3x4, filled with") :]
    assert both.index(f"area {scores[0].deletion_area:.3f}") < both.index("captum:IntegratedGradients, baseline zero")
    assert f"of the baseline 0.125; the values add up to {theirs.values.sum():.3f}" in told
    assert "a gradient has no sign" in told and data_uri(to_png(theirs.overlaid())) in found.addresses
    alone = page(tmp_path / "alone", attributed())
    assert "What every pixel says" in alone.text and "One patch at every position" not in alone.text
