"""The audit of networks of which it is known what they learned, from the question to the page."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from markupsafe import escape

import iconoscope as ico
from benchmarks.shortcut_suite import Case, images_of, network_of
from iconoscope.cli import main
from iconoscope.demo.photographs import keep_photographs
from iconoscope.errors import AuditFailedError, QuestionError
from iconoscope.language import LANGUAGES
from iconoscope.results.audit_text import AuditText, read_words
from iconoscope.results.decision_rule import ACCUSING
from iconoscope.results.hypothesis_rule import HYPOTHESIS_KINDS

FEW = ("background brightness", "corner tag", "sharpness")  # families, where it is not of families that is asked


@pytest.fixture(scope="module")
def photographs():
    return ico.demo_images(100, backgrounds="telling", seed=21)


@pytest.fixture(scope="module")
def few_photographs(photographs):
    """Enough of each class to be judged, and hardly more."""
    return photographs[:64]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("audits") / "run"


@pytest.fixture(scope="module")
def audits(photographs, store):
    return {
        name: ico.audit(ico.load_network(name, device="cpu"), photographs, quick=True, store=store)
        for name in ("cars", "cars-honest")
    }


def test_the_one_learned_the_background_and_the_other_the_car(audits):
    cars, honest = audits["cars"], audits["cars-honest"]
    assert cars.word == "shortcut" and cars.overall.names[0] == "background brightness"
    assert cars.accused() == ["lynx", "bison"] or cars.accused() == ["bison", "lynx"]
    assert cars.verdict.startswith("shortcut: background brightness (the other class's background brightness flips ")
    assert honest.word == "object" and not honest.accused()
    assert {finding.conclusion.word for finding in honest.classes.values()} == {"object"}
    # The patches say it of the honest one: more of the drop on the car than is its share, less near the border.
    for finding in honest.classes.values():
        assert finding.object_share.value > 1.5 * finding.object_area and finding.border_share < finding.border_area
        assert finding.object_share.low > finding.object_area
        assert 0 <= finding.pointing.low <= finding.pointing.value <= finding.pointing.high <= 1
    # Neighbours: where every background tells the make, both explain the map; the honest one's units follow no background.
    space = cars.neighbourhoods
    assert space.units and set(space.unit_nuisances) == {"background brightness"} and space.unit_areas.min() >= 0.9
    assert not honest.neighbourhoods.units
    # What it looks for has the brightness that it relies on.
    made = cars.interventions.statistic("background brightness", cars.optimized.statistics)[:2, 0]
    assert made[cars.shown_classes.index(0)] < made[cars.shown_classes.index(1)] - 0.05


def test_hiding_is_not_exchanging(audits):
    """What the textbook's network goes by cannot be seen by hiding anything."""
    cars = audits["cars"]
    answers = cars.interventions.answers_without
    assert (answers >= 0).all()
    assert (answers[:, 0] == cars.images.predicted).mean() > 0.95
    assert np.nanmax(cars.occlusion.largest_drop) < 0.05


def test_without_masks_and_labels_it_says_the_same(few_photographs):
    pixels = np.stack([image.pixels for image in few_photographs])
    for name, word, labels in (("cars", "shortcut", None), ("cars-honest", "object", few_photographs.labels)):
        found = ico.audit(
            ico.load_network(name, device="cpu"), ico.load_images(pixels, labels=labels), quick=True, families=FEW
        )
        assert found.word == word and not found.images.object_given.any() and found.images.object_known.mean() > 0.9
        assert (found.images.target == -1).all() == (labels is None)
        assert "labelled" in found.classes["lynx"].to_json() and found.report


def test_only_the_classes_of_interest_are_asked_about(few_photographs, tmp_path):
    network = ico.load_network("cars", device="cpu")
    found = ico.audit(network, few_photographs, quick=True, families=FEW, only=["lynx"], store=tmp_path)
    assert list(found.classes) == ["lynx"] and found.word == "shortcut" and found.accused() == ["lynx"]
    assert found.hypotheses is not None and set(found.hypotheses.classes.tolist()) == {0}
    again = ico.Store(tmp_path).get(found.question)
    assert isinstance(again, ico.Audit) and list(again.classes) == ["lynx"]
    page = found.report(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Coloured by answer" in page and "by :" not in page
    for lang, said in (("en", "Of the 2 classes 1 were asked about"), ("es", "De las 2 clases se preguntó por 1")):
        assert said in found.report(tmp_path / "page.html", lang=lang).read_text(encoding="utf-8")
    with pytest.raises(ico.errors.UnitError, match="no class 'linx'"):
        ico.audit(network, few_photographs, quick=True, only=["linx"])


def test_the_swap_alone(photographs, tmp_path):
    """Object and background, each exchanged whole against its control: what decides, without a name for it."""
    for name, word, decides, idle in (
        ("cars", "unnamed", "background", "object"),
        ("cars-honest", "object", "object", "background"),
    ):
        swapped = ico.audit(
            ico.load_network(name, device="cpu"), photographs, families=(), out=tmp_path / f"{name}.html"
        )
        assert swapped.word == word and set(swapped.interventions.trials) == {"background", "object"}
        assert swapped.occlusion is None and swapped.neighbourhoods is None and swapped.optimized is None
        for finding in swapped.classes.values():
            strong, weak = finding.swaps[decides], finding.swaps[idle]
            assert strong.excess.low > 0.8 and strong.control.high < 0.1 and weak.excess.high < 0.2
            assert strong.excess.low <= strong.excess.value <= strong.excess.high
            value = finding.to_json()["swaps"][decides]
            assert value["excess"] == pytest.approx(value["flips_other_class"] - value["flips_own_class"], abs=1e-5)
        again = ico.load_result(swapped.save(tmp_path / name))
        assert isinstance(again, ico.Audit) and again.to_json() == swapped.to_json() and again.occlusion is None
        page = (tmp_path / f"{name}.html").read_text(encoding="utf-8")
        say = AuditText("en").say
        assert swapped.classes["lynx"].advice == say("advice swap alone")
        assert say("page swap alone") in page and "beyond the control: the object" in page
        assert say("page map") not in page and "How often is this right" not in page


def test_few_images_decide_nothing():
    found = ico.audit(ico.load_network("cars", device="cpu"), ico.demo_images(40, seed=3), quick=True, families=FEW)
    assert found.word == "undecided" and found.outcome == "unjudged"
    assert found.verdict == "cannot be judged: too few images, in every class"
    assert "30 images or more" in found.classes["lynx"].advice


def test_what_little_there_is_makes_no_mistake():
    net, images = ico.load_network("cars", device="cpu"), ico.demo_images(60, backgrounds="telling", seed=1)
    for some, verdict in (
        (images.where(label="lynx"), "cannot be judged: too few images get another answer"),
        (images[:3], "cannot be judged: too few images, in every class"),
        (images[:1], "cannot be judged: too few images"),
    ):
        found = ico.audit(net, some, quick=True, families=["border", "paint"])
        assert found.verdict == verdict and found.to_json() and found.plot()


def test_noise_is_no_mistake(tmp_path):
    noise = ico.load_images(np.random.default_rng(0).integers(0, 256, (70, 96, 96, 3), dtype=np.uint8))
    found = ico.audit(
        ico.load_network("cars-honest", device="cpu"), noise, quick=True, out=tmp_path / "page.html", lang="es"
    )
    assert found.word == "undecided" and ("paint", "skipped objects") in found.interventions.skipped


def test_a_family_of_ones_own(few_photographs):
    """Two callables; here a tag that nobody thought of, in the middle of the upper border."""

    def mark(pictures):
        return pictures.pixels[:, :4, 44:52].mean((1, 2, 3))[:, None]

    def give_mark(pictures, donors):
        edited = pictures.pixels.copy()
        edited[:, :4, 44:52] = donors.pixels[:, :4, 44:52]
        return edited

    own = ico.Nuisance("mark above", mark, give_mark)
    found = ico.audit(ico.load_network("cars", device="cpu"), few_photographs, quick=True, families=[own, *FEW])
    assert found.interventions.nuisances[0] == "mark above" and found.overall.names[0] == "background brightness"
    tested = next(each for each in found.conclusions.examined[0] if each.name == "mark above")
    assert abs(tested.effect.excess) < 0.05 and tested.area > 0.9  # it comes with the class, and decides nothing


def test_masks_that_cannot_be_used_are_named(few_photographs):
    net, pixels = ico.load_network("cars", device="cpu"), np.stack([image.pixels for image in few_photographs])
    masks = {image.id: np.asarray(image.mask) for image in few_photographs}
    empty = {name: np.zeros_like(mask) for name, mask in masks.items()}
    some = dict(list(empty.items())[:7])
    images = ico.load_images(pixels, labels=few_photographs.labels, masks=np.stack(list((masks | some).values())))
    with pytest.warns(ico.IconoscopeWarning, match="masks or boxes of 7 of 64 audited images cannot be used"):
        found = ico.audit(net, images, families=())
    assert found.images.object_given.sum() == 57
    images = ico.load_images(pixels, labels=few_photographs.labels, masks=np.stack(list(empty.values())))
    with pytest.raises(ico.errors.ImagesError, match="of 64 of 64 audited images"):
        ico.audit(net, images, families=())


def test_a_family_says_how_it_is_given():
    with pytest.raises(QuestionError, match="by='banana' is not a choice"):
        ico.Nuisance("x", lambda pictures: pictures.colour, lambda pictures, values: pictures.pixels, by="banana")  # pyright: ignore[reportArgumentType]


def test_what_cannot_be_asked_is_said(photographs, tmp_path):
    net = ico.load_network("cars", device="cpu")
    ask = {"images": photographs, "quick": True}
    with pytest.raises(QuestionError, match="'fr' is not a choice") as caught:
        ico.audit(net, **ask, lang="fr")
    assert "en, es" in caught.value.hint
    with pytest.raises(QuestionError, match="No nuisance is called 'bakground hue'") as caught:
        ico.audit(net, **ask, families=["bakground hue"])
    assert "background hue" in caught.value.hint
    with pytest.raises(QuestionError, match="fail_on='shortcuts'"):
        ico.audit(net, **ask, fail_on=["shortcuts"])
    with pytest.raises(QuestionError, match="seed=-1"):
        ico.audit(net, **ask, seed=-1)
    with pytest.raises(QuestionError, match="families are called"):
        ico.audit(net, **ask, families=["border", "border"])


def test_it_fails_when_it_is_asked_to_and_loses_nothing(audits, photographs, store, tmp_path):
    """Of an audit that the store has."""
    net = ico.load_network("cars", device="cpu")
    with pytest.raises(AuditFailedError, match="cars: shortcut") as caught:
        ico.audit(net, photographs, quick=True, store=store, fail_on=["shortcut"], out=tmp_path / "a.html")
    assert caught.value.audit.word == "shortcut" and (tmp_path / "a.html").is_file()
    assert caught.value.audit.to_json() == audits["cars"].to_json()
    ico.audit(net, photographs, quick=True, store=store, fail_on=["mixed"])


def test_it_is_kept_and_read_again_without_torch(audits, tmp_path):
    cars = audits["cars"]
    folder = cars.save(tmp_path / "kept")
    again = ico.load_result(folder)
    assert isinstance(again, ico.Audit) and again.verdict == cars.verdict and again.to_json() == cars.to_json()
    code = (
        "import sys, iconoscope as ico; found = ico.load_result(sys.argv[1]); found.report(sys.argv[2]); "
        "assert 'torch' not in sys.modules; print(found.word)"
    )
    page = tmp_path / "page.html"
    told = subprocess.run([sys.executable, "-c", code, folder, page], check=True, capture_output=True, text=True)
    assert told.stdout.strip() == "shortcut" and page.stat().st_size > 100_000


def test_the_same_is_not_asked_twice(few_photographs, tmp_path, monkeypatch):
    net, calls, run = ico.load_network("cars", device="cpu"), [], ico.Network.run
    # No hook counts: it would change, and the network with it.
    monkeypatch.setattr(ico.Network, "run", lambda self, batch: calls.append(len(batch)) or run(self, batch))
    first = ico.audit(net, few_photographs, quick=True, families=FEW, store=tmp_path / "run")
    asked = len(calls)
    again = ico.audit(net, few_photographs, quick=True, families=FEW, store=tmp_path / "run")
    # Only the layers are looked at again, by which the recording is known, and one picture, by which the network is.
    assert len(calls) - asked < 20 < asked and again.verdict == first.verdict
    # Nothing is left of what was answered on the way.
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.startswith(".")]
    assert not net.module.training


def test_json_says_all_of_it(audits):
    told = json.loads(json.dumps(audits["cars"].to_json(), allow_nan=False))
    assert told["word"] == "shortcut" and told["relies_on"][0] == "background brightness"
    assert {found["class"] for found in told["classes"]} == {"lynx", "bison"}
    properties = {each["property"]: each for each in told["classes"][0]["properties"]}
    assert properties["background brightness"]["relied_on"] and not properties["contrast"]["relied_on"]
    assert {"background", "object"} < set(properties)
    assert told["skipped"][0]["reason"] == "all images had the same size"


def test_its_figure(audits, tmp_path):
    axes = audits["cars"].plot()
    assert "shortcut" in axes.get_title() and len(axes.patches) >= 6
    assert audits["cars"].save(tmp_path / "a.png").stat().st_size > 10_000


# ---------------------------------------------------------------------------------------------------------------------
# The languages and the page
# ---------------------------------------------------------------------------------------------------------------------


def test_no_language_misses_a_sentence():
    """Every key in every language, with the same values to be put in."""
    english = read_words("en")
    for lang in LANGUAGES:
        words = read_words(lang)
        assert (
            words["texts"].keys() == english["texts"].keys()
            and words["properties"].keys() == english["properties"].keys()
        )
        for key, text in words["texts"].items():
            assert text.strip() and set(re.findall(r"{(\w+)}", text)) == set(
                re.findall(r"{(\w+)}", english["texts"][key])
            ), key
        assert all(set(family) == {"name", "collect", "augment"} for family in words["properties"].values())
        assert words["positions"].keys() == english["positions"].keys()
    assert set(english["properties"]) == set(ico.NUISANCES) | {"background", *HYPOTHESIS_KINDS}


def test_what_is_said_of_the_suite_is_what_was_measured():
    from pathlib import Path

    from scipy.stats import binomtest

    from iconoscope.results.audit_text import MEASURED_DETECTION, SUITE

    held = Path(__file__).parent.parent.parent / "benchmarks" / "results" / "audit_photographs_first_run.json"
    rows = json.loads(held.read_text(encoding="utf-8"))["rows"]
    rows = [row for row in rows if row["half"] in ("fresh", "last")]
    strong = [row for row in rows if row["kind"] and row["fall"] > 20]
    free = [row for row in rows if not row["kind"]]
    found, accused = (sum(row["decision"] == "accused" for row in some) for some in (strong, free))
    of_found, of_accused = (
        binomtest(count, len(some)).proportion_ci(method="exact") for count, some in ((found, strong), (accused, free))
    )
    assert SUITE["networks"] == str(len(strong)) and SUITE["detected"] == f"{found / len(strong):.0%}"
    assert (SUITE["from"], SUITE["to"]) == (f"{of_found.low:.0%}", f"{of_found.high:.0%}")
    assert (SUITE["honest"], SUITE["accused"]) == (str(len(free)), str(accused))
    assert (SUITE["low"], SUITE["high"]) == (f"{of_accused.low:.1%}", f"{of_accused.high:.1%}")
    assert round(found / len(strong), 2) == MEASURED_DETECTION


def test_every_sentence_is_used():
    from pathlib import Path

    from iconoscope.results import audit_text

    root = Path(audit_text.__file__).parent.parent
    sources = [
        *root.glob("results/*.py"),
        *root.glob("auditing/*.py"),
        *root.glob("show/audit*.py"),
        root / "printing.py",
    ]
    code = "".join(path.read_text(encoding="utf-8") for path in sources)
    code += (root / "show" / "templates" / "audit.html.j2").read_text(encoding="utf-8")
    made = ("fails ", "advice ", "column ", "part ", "outcome ", "page picture ")  # put together when they are said
    for key in read_words("en")["texts"]:
        assert f'"{key}"' in code or f"'{key}'" in code or key.startswith(made), key


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_page_has_all_of_it_and_needs_nothing(audits, lang, tmp_path):
    page = ico.report(audits.values(), tmp_path / "page.html", lang=lang).read_text(encoding="utf-8")
    assert f'<html lang="{lang}">' in page and not re.search(r'(src|href)="https?:', page)
    assert page.count('<article class="class ') == 4
    say = AuditText(lang).say
    for key in ("page map", "page units", "page table", "page breaking", "page exemplars"):
        assert say(key, name="lynx").split("{")[0] in page, key
    # Every link leads somewhere.
    ids = set(re.findall(r' id="([^"]+)"', page))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= ids
    for name, found in audits.items():
        block = re.search(rf'id="audit-{list(audits).index(name)}">(.*?)</script>', page, re.DOTALL)
        assert block and json.loads(block[1])["word"] == found.word
    assert len(page) < 8_000_000


def test_names_of_classes_cannot_break_the_page(audits, tmp_path):
    cars = audits["cars"]
    evil = replace(cars, images=replace(cars.images, class_names=("</script><b>x", '"><i>')))
    page = evil.report(tmp_path / "page.html").read_text(encoding="utf-8")
    assert "</script><b>" not in page and '"><i>' not in page


def test_an_audit_stands_in_the_report_of_a_store(audits, tmp_path):
    store = ico.Store(tmp_path / "run")
    store.put(audits["cars"])
    page = ico.report(store, tmp_path / "report.html").read_text(encoding="utf-8")
    assert re.search(r'<section class="verdict shortcut">\s*<h2>cars</h2>\s*<p>Shortcut: background brightness', page)
    for name, finding in audits["cars"].classes.items():
        assert f'<b>cars, {name}:</b> <span class="word shortcut">{escape(finding.verdict)}</span>' in page
    assert "another class&#39;s background changes the answer" in page


def test_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keep_photographs(ico.demo_images(64, backgrounds="telling", seed=2), tmp_path)
    asked = ["audit", "--network", "cars", "--images", "photographs", "--masks", "masks", "--quick", "--quiet"]
    asked += ["--families", ",".join(FEW)]
    assert main([*asked, "--lang", "es", "--fail-on", "shortcut"]) == 3
    told = capsys.readouterr()
    assert "cars: atajo: brillo del fondo" in told.out and "error: The audit failed" in told.err
    assert '<html lang="es">' in (tmp_path / "audit.html").read_text(encoding="utf-8")
    assert main([*asked, "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["word"] == "shortcut" and value["report"].endswith("audit.html")
    assert main([*asked, "--lang", "de"]) == 2 and "en, es" in capsys.readouterr().err


@pytest.mark.slow
def test_it_goes_on_after_a_kill(tmp_path):
    """Killed while it exchanges properties, it does not ask again what it had."""
    keep_photographs(ico.demo_images(300, backgrounds="telling", seed=2), tmp_path)
    command = [sys.executable, "-m", "iconoscope", "audit", "--network", "cars", "--images", "photographs", "--json"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    parts = tmp_path / "iconoscope-run"
    deadline = time.monotonic() + 120
    while len(list(parts.glob(".audit-*/parts/*.npz"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    kept = {path.name: path.stat().st_mtime_ns for path in parts.glob(".audit-*/parts/*.npz")}
    assert len(kept) >= 2
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    whole = subprocess.run([*command, "--store", "anew"], cwd=tmp_path, check=True, capture_output=True, text=True)
    first, second = json.loads(done.stdout), json.loads(whole.stdout)
    for each in (first, second):
        del each["report"], each["key"]
    assert first == second
    assert not list(parts.glob(".audit-*"))


# ---------------------------------------------------------------------------------------------------------------------
# A small fixed part of the shortcut suite; all of it is `make bench-audit`
# ---------------------------------------------------------------------------------------------------------------------


def judged(case, folder):
    network, truth = network_of(case, folder)
    return truth, ico.audit(network, images_of(case), quick=True)


@pytest.mark.slow
def test_a_planted_tag_is_named(tmp_path_factory):
    truth, found = judged(Case("corner tag", 1.0, 1.0, 0), tmp_path_factory.mktemp("suite"))
    assert truth.accuracy > 0.95 and truth.fall > 0.5
    assert found.word == "shortcut" and found.overall.names[0] == "corner tag"


@pytest.mark.slow
def test_an_honest_network_is_not_accused_on_confounded_images(tmp_path_factory):
    truth, found = judged(Case("corner tag", 0.5, 1.0, 0), tmp_path_factory.mktemp("suite"))
    assert truth.accuracy > 0.9 and truth.fall < 0.05
    assert found.word not in ACCUSING


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shortcut", "family"),
    [
        ("blur", "sharpness"),
        ("colour cast", "colour cast"),
        ("light gradient", "light gradient"),
        ("position", "position"),
    ],
)
def test_more_that_was_planted_is_named(shortcut, family, tmp_path):
    truth, found = judged(Case(shortcut, 1.0, 1.0, 1), tmp_path)
    assert truth.fall > 0.5 and found.word in ACCUSING and found.overall.names[0] == family
