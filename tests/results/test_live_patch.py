"""What a page holds of an occlusion: the numbers of the result, and nothing that a name could break."""

import base64
import hashlib
import json
import re
import shutil
import string
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import iconoscope as ico
from iconoscope.errors import QuestionError
from iconoscope.language import LANGUAGES, in_language
from iconoscope.results.audit_text import read_words
from iconoscope.results.live_patch import MOST_VALUES, kept_classes, live_element, live_script, script_hash
from specimens import occlusion

WEB = Path(__file__).parent.parent.parent / "web"
NASTY = "</script><script>alert(1)</script>\"'&amp; \U0001f98a \u202e\x1b"


def many_classes(rows=6, columns=7, classes=1000, seed=0):
    """An occlusion of many classes, of which hundreds are among the first five somewhere."""
    generator = np.random.default_rng(seed)
    answers = generator.dirichlet(np.full(classes, 0.01), rows * columns + 1).astype(np.float32)
    return replace(
        occlusion(),
        top=np.arange(rows),
        left=np.arange(columns),
        clean=answers[0],
        occluded=answers[1:].reshape(rows, columns, classes),
        names=tuple(f"class {number}" for number in range(classes)),
        target=3,
    )


def held_by(*results, lang="en"):
    """What the element of a photograph holds, for each of the questions about it."""
    answers = [result.patch_answers() for result in results]
    with in_language(lang):
        element = live_element(answers, results[0].picture, "", alt="")
    data = re.search(r'class="answers">(.*?)</script>', element, re.DOTALL)
    assert data
    return json.loads(data[1])["answers"]


def read_back(result, lang="en"):
    """The names and the numbers (1 + positions, classes) as any reader of the page's format finds them."""
    (held,) = held_by(result, lang=lang)
    steps = np.frombuffer(base64.b64decode(held["values"]), "<u2").astype(np.float64)
    values = held["low"] + (held["high"] - held["low"]) * steps / 65535
    return held, values.reshape(-1, len(held["names"]))


def test_of_several_in_a_row_the_first_says_how_it_is_used_and_asked():
    result = occlusion()
    for captioned in (True, False):
        element = live_element([result.patch_answers()], result.picture, "", alt="", captioned=captioned)
        data = re.search(r'class="answers">(.*?)</script>', element, re.DOTALL)
        assert data
        contents = json.loads(data[1])
        assert bool(contents["words"]["hint"]) is bool(contents["answers"][0]["facts"]) is captioned


@pytest.mark.parametrize("measure", ["probability", "logit", "mean activation"])
def test_the_numbers_of_every_position_come_back(measure):
    made = occlusion()
    if measure != "probability":
        made = replace(made, clean=50 * made.clean - 20, occluded=50 * made.occluded - 20)
    result = replace(made, measure=measure)
    held, values = read_back(result)
    assert held["names"] == list(result.names) and held["target"] == result.target
    assert held["top"] == result.top.tolist() and held["left"] == result.left.tolist()
    half = 1e-5 if measure == "probability" else 50 / 65535
    assert np.abs(values[0] - result.clean).max() < half
    assert np.abs(values[1:].reshape(result.occluded.shape) - result.occluded).max() < half


def test_of_many_classes_the_first_five_of_every_position_are_there():
    result = many_classes()
    held, values = read_back(result)
    assert len(held["names"]) < 300
    kept = [result.names.index(name) for name in held["names"]]
    answers = np.concatenate([result.clean[None], result.occluded.reshape(-1, 1000)])
    assert np.abs(values - answers[:, kept]).max() < 1e-5
    for row, shown in zip(answers, values, strict=True):
        first = [kept[index] for index in np.argsort(-shown, kind="stable")[:5]]
        assert np.abs(row[first] - np.sort(row)[::-1][:5]).max() < 2e-5
    assert result.target in kept and f"the {len(kept)} are here" in held["facts"]


def test_a_page_does_not_grow_without_end_and_says_what_is_left_out():
    result = many_classes(100, 100, 200)
    kept = kept_classes(result.clean, result.occluded, 3)
    assert len(kept) == MOST_VALUES // 10_001 and 3 in kept and (np.diff(kept) > 0).all()
    held, _ = read_back(result)
    assert f"only {len(kept)} are here" in held["facts"]
    # Of few classes all are kept.
    assert len(kept_classes(result.clean[:32], result.occluded[:4, :4, :32], 3)) == 32


def test_what_was_asked_is_said():
    result = replace(occlusion(), method="fast", plan="cut at 70%", top=np.arange(0, 8, 4))
    held, _ = read_back(result)
    for part in (
        "3x4 pixels",
        "in steps of 4x2",
        "the grey that is zero",
        "No patch covers",
        "approximate",
        "cut at 70%",
    ):
        assert part in held["facts"]
    unknown = replace(result.question, settings={"fill": "image 0123"})
    assert "filled with image 0123" in read_back(replace(result, question=unknown))[0]["facts"]


@pytest.mark.parametrize(
    ("fill", "colour"),
    [
        ("mean", None),
        ("black", "#000000"),
        ("grey 0.5", "#808080"),
        ("zero", "#7f6633"),
        ("blur", ""),
        ("noise", ""),
        ("image 0123", ""),
    ],
)
def test_the_patch_has_the_colour_that_the_network_saw(fill, colour):
    made = occlusion()
    settings = {"fill": fill, "preprocessing": {"mean": (0.498, 0.4, 0.2)}}
    result = replace(made, question=replace(made.question, settings=settings))
    mean = "#" + bytes(made.picture.mean((0, 1)).round().astype(np.uint8)).hex()
    assert read_back(result)[0]["fill"] == (mean if colour is None else colour)


def test_no_name_ends_the_element_or_steers_the_browser():
    result = replace(occlusion(subject=NASTY), names=(NASTY, "b", "c"))
    html = result._repr_html_()
    assert html.count("<script") == html.count("</script>") == 2  # the data and the script
    assert "\x1b" not in html and "\u202e" not in html and "\U0001f98a" in html
    held, _ = read_back(result)
    assert held["names"][0] == NASTY.replace("\u202e", "\\u202e").replace("\x1b", "\\x1b")


def test_a_viewer_without_scripts_shows_the_figure():
    for face in (
        occlusion()._repr_html_(),
        ico.OcclusionSeries((occlusion(),))._repr_html_(),
    ):
        still = re.sub(r"<(script|style).*?</\1>", "", face, flags=re.DOTALL)
        assert re.search(r'<img alt="[^"]+" style="max-width:100%" src="data:image/(png|webp);base64,', still)
        assert "<figcaption>" in still


def test_several_questions_about_a_photograph_are_told_apart():
    first = occlusion()
    fills = [
        replace(first, question=replace(first.question, settings={"fill": fill})) for fill in ("zero", "black", "black")
    ]

    def labels(*results, lang="en"):
        return [each["label"] for each in held_by(*results, lang=lang)]

    assert labels(fills[0], fills[1]) == ["the grey that is zero to the network", "black"]
    assert labels(fills[0], replace(fills[0], patch=(4, 4)), lang="es") == ["3x4", "4x4"]
    assert labels(fills[1], fills[2]) == ["3x4, black (1)", "3x4, black (2)"]


def test_both_languages_have_the_same_words():
    english, spanish = (read_words(lang)["live patch"] for lang in LANGUAGES)
    assert english.keys() == spanish.keys()
    for part in english:
        assert english[part].keys() == spanish[part].keys()
        for key, text in english[part].items():
            fields = [
                {field for _, field, _, _ in string.Formatter().parse(each) if field}
                for each in (text, spanish[part][key])
            ]
            assert fields[0] == fields[1], key
    with pytest.raises(QuestionError, match="lang='fr' is not a choice"):
        read_back(occlusion(), lang="fr")


def test_the_script_is_what_the_sources_build():
    """Without node: the sources' digest stands at its top."""
    digest = hashlib.sha256()
    for source in sorted(path for path in (WEB / "src").iterdir() if path.is_file()):
        digest.update(f"{source.name}\0".encode() + source.read_bytes())
    assert live_script().splitlines()[0].split("Sources ")[1].split()[0] == digest.hexdigest(), "run make web"
    assert "</script" not in live_script() and "://" not in live_script()
    assert script_hash().startswith("'sha256-")


@pytest.mark.skipif(not (WEB / "node_modules").is_dir() or shutil.which("node") is None, reason="npm ci was not run")
def test_the_script_is_built_anew_to_the_byte(tmp_path):
    copy = tmp_path / "web"
    shutil.copytree(WEB, copy, symlinks=True, ignore=shutil.ignore_patterns("node_modules"))
    (copy / "node_modules").symlink_to((WEB / "node_modules").resolve())
    subprocess.run(["node", "build.mjs"], cwd=copy, check=True, capture_output=True)
    built = tmp_path / "src" / "iconoscope" / "results" / "scripts" / "live_patch.js"
    assert built.read_text(encoding="ascii").strip() == live_script()


def test_a_result_is_saved_as_a_page(tmp_path):
    saved = occlusion().save(tmp_path / "page.html").read_text(encoding="utf-8")
    assert saved.count('class="iconoscope-live"') == 1
    assert saved == ico.report(occlusion(), tmp_path / "other.htm").read_text(encoding="utf-8")
    series = ico.OcclusionSeries((occlusion(), replace(occlusion(), patch=(4, 4))))
    assert "4x4" in series.save(tmp_path / "series.html").read_text(encoding="utf-8")
