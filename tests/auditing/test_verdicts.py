"""The audit's words: what was not found and how surely, what cannot be judged, where a finding is; the gate, and groups."""

import re
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import iconoscope as ico
from iconoscope.auditing.class_groups import group_classes, read_groups
from iconoscope.cli import main
from iconoscope.errors import AuditFailedError, QuestionError, UnitError
from iconoscope.results.audit_conclusions import Conclusions
from iconoscope.results.audit_evidence import AuditedImages, Donors, Hypotheses, Interventions
from iconoscope.results.audit_text import AuditText
from iconoscope.results.decision_rule import Conclusion
from iconoscope.results.hypothesis_rule import HYPOTHESIS_KINDS
from tests.specimens import audited

HOW = {"size": 24, "mean": [0, 0, 0], "std": [1, 1, 1]}
COLOURS = ("red", "green", "blue")


class Colours(torch.nn.Module):
    """Answers the strongest of the three channels."""

    def forward(self, batch):
        return 20 * batch.mean((2, 3))


def colours(classes=COLOURS, **settings):
    return ico.load_network(Colours(), classes=list(classes), preprocessing=HOW, device="cpu", **settings)


def coloured(counts, labels=COLOURS):
    answers = np.repeat(np.arange(3), counts)
    pixels = np.random.default_rng(0).integers(0, 60, (len(answers), 24, 24, 3))
    pixels[np.arange(len(answers)), :, :, answers] += 150
    return ico.load_images(pixels.astype(np.uint8), labels=[labels[answer] for answer in answers])


def images_of(predicted, confusion=None, assumed=False, known=False):
    count = len(predicted)
    pairs = [[answer, answer, int((predicted == answer).sum())] for answer in np.unique(predicted)]
    return AuditedImages(
        class_names=("cat", "dog", "owl"),
        ids=np.array([str(number) for number in range(count)]),
        target=predicted,
        predicted=predicted,
        object_known=np.full(count, known),
        object_given=np.full(count, known),
        set_size=count,
        confusion=np.array(pairs if confusion is None else confusion),
        preprocessing="resized",
        preprocessing_assumed=assumed,
        date="2026-11-29",
    )


def no_interventions(count, rows=()):
    empty = np.zeros(0, np.int64)
    donors = Donors(*(np.array(rows, np.int64) for _ in range(4)))
    return Interventions(
        nuisances=(),
        within=(),
        skipped=(),
        statistic_sizes=empty,
        statistics=np.zeros((count, 0), np.float32),
        trials=(),
        sources=(),
        pixel_change=np.zeros(0, np.float32),
        donors=donors,
        answers=np.zeros((0, 2, len(rows)), np.int64),
        answers_without=np.full((count, 2), -1),
    )


def hypotheses_of(accused=None, classes=(0, 1)):
    """Hypotheses about classes, of which one may be accused of a mark at the bottom right, or of that in one split alone."""
    kinds = HYPOTHESIS_KINDS * len(classes)
    tests = np.full((len(kinds), 3, 5), np.nan, np.float32)
    tests[:, 0] = (0.5, np.nan, np.nan, np.nan, np.nan)
    strengths = np.zeros((len(kinds), 32, 32), np.float16)
    strengths[:, 28:, 28:] = 1
    pictures, examples = (
        np.full((len(kinds), 96, 96, 3), 128, np.uint8),
        np.zeros((len(kinds), 5, 2, 8, 8, 3), np.uint8),
    )
    if accused is not None:
        row = HYPOTHESIS_KINDS.index("mark")
        tests[row, : len(accused)] = [(0.95, share, share, 0, 0.02) for share in accused]
        examples[row] = 200
    return Hypotheses(
        answered=len(classes),
        kinds=kinds,
        classes=np.repeat(classes, len(HYPOTHESIS_KINDS)),
        tests=tests,
        pictures=pictures,
        strengths=strengths,
        examples=examples,
    )


def concluded(counts=(80, 80), hypotheses=None, **of_images):
    predicted = np.repeat(np.arange(len(counts)), counts)
    evidence = hypotheses_of() if hypotheses is None else hypotheses
    return Conclusions(images_of(predicted, **of_images), no_interventions(len(predicted)), evidence)


def test_nothing_found_is_said_with_its_power():
    many, few = concluded((150, 150)), concluded((31, 31))
    say = AuditText("en").overall
    assert many.overall == Conclusion("nothing") and few.overall == Conclusion("nothing")
    assert say(many) == (
        "nothing found (a shortcut of these kinds that costs 20 points would have been found in 81 of 100 such audits; one by "
        "the whole background may have been missed: without masks or boxes, background and object cannot be told apart), "
        "in every class"
    )
    assert many.power(0) > few.power(0) > 0.6
    number = re.search(r"in (\d+) of 100", say(few))
    assert number and 50 <= int(number[1]) < 95
    assert (
        "se habría hallado en 81 de 100 auditorías como esta; uno por el fondo entero puede haber escapado"
        in AuditText("es").overall(many)
    )


def test_only_where_objects_are_unknown_nothing_found_leaves_the_whole_background_open():
    known = concluded((150, 150), known=True)
    assert AuditText("en").overall(known).endswith("in 81 of 100 such audits), in every class")
    for lang, word in (("en", "masks or boxes"), ("es", "máscaras o cajas")):
        advise = AuditText(lang).advice
        assert word in advise(known.overall, name="cat", objects_known=False)
        assert word not in advise(known.overall, name="cat", objects_known=True)
        assert "cat" in advise(known.overall, name="cat", objects_known=False)


def test_a_finding_is_said_with_its_place_and_its_cost():
    found = concluded(hypotheses=hypotheses_of((0.6, 0.6, 0.6)))
    assert found.by_class[0] == Conclusion("shortcut", ("mark",), position="bottom right")
    assert AuditText("en").verdict(0, found) == (
        "shortcut: something at a fixed place, bottom right "
        "(without it 60 of 100 images of cat lose the answer; put into other images, it turns 60 of 100 into cat)"
    )
    assert (
        AuditText("es")
        .verdict(0, found)
        .startswith("atajo: algo en un lugar fijo, abajo a la derecha (sin ello 60 de 100")
    )
    assert AuditText("en").short(Conclusion("shortcut", ("border",), position="along the border")) == "shortcut: border"
    assert AuditText("en").short(Conclusion("shortcut", ("thing",), position="down the middle")).endswith("images show")
    assert AuditText("en").short(Conclusion("shortcut", ("layout",), position="all over")).endswith("the picture")


def test_what_does_not_repeat_is_borderline():
    found = concluded(hypotheses=hypotheses_of((0.6, 0.0, 0.0)))
    assert found.by_class[0].word == found.overall.word == "borderline"
    assert AuditText("en").verdict(0, found).startswith("borderline: something at a fixed place, bottom right")


def test_a_class_that_is_never_answered_is_listed():
    found = concluded(confusion=[[0, 0, 80], [1, 1, 70], [2, 1, 10]])
    assert found.listed == [0, 1, 2] and found.examined[2] == []
    assert found.by_class[2] == Conclusion("undecided", reason="never answered")
    assert AuditText("en").verdict(2, found) == "cannot be judged: the network never answers it"
    assert AuditText("en").overall(found).endswith("in 2 of 3 classes: cat, dog; cannot be judged: owl")


def test_near_chance_acquits_nobody():
    guessing = [[0, 0, 42], [0, 1, 38], [1, 0, 38], [1, 1, 42]]
    found = concluded(confusion=guessing)
    assert found.images.accuracy == 84 / 160 and found.overall == Conclusion("undecided", reason="near chance")
    assert {single.reason for single in found.by_class.values()} == {"near chance"}
    knowing = concluded(confusion=[[0, 0, 60], [0, 1, 20], [1, 0, 20], [1, 1, 60]])
    assert knowing.overall.word == "nothing"
    # Always the most frequent label is right in 90%, and says nothing.
    assert concluded(confusion=[[0, 0, 140], [1, 0, 4], [1, 1, 16]]).overall.reason == ""
    assert concluded(confusion=[[0, 0, 144], [1, 0, 16]]).overall.reason == "near chance"
    assert concluded(hypotheses=hypotheses_of((0.6, 0.6, 0.6)), confusion=guessing).overall.word == "shortcut"


def test_an_assumed_preprocessing_is_said_first():
    for hypotheses in (hypotheses_of(), hypotheses_of((0.6, 0.6, 0.6))):
        found = concluded(hypotheses=hypotheses, assumed=True)
        assert found.overall == Conclusion("undecided", reason="preprocessing assumed")
        assert (
            AuditText("en").overall(found).startswith("cannot be judged: nobody said how the network wants its images")
        )
    assert found.by_class[0].word == "shortcut" and found.by_class[1].word == "undecided"


def test_a_few_images_that_were_exchanged_to_be_looked_at_are_no_evidence():
    predicted = np.repeat([0, 1], 80)
    for rows, exchanged in ((range(4), False), (range(40), True)):
        swapped = replace(
            no_interventions(160, rows),
            trials=("background",),
            sources=("donor",),
            pixel_change=np.zeros(1, np.float32),
            answers=np.ones((1, 2, len(rows)), np.int64),
        )
        found = Conclusions(images_of(predicted), swapped, hypotheses_of())
        assert found.exchanged(0) is exchanged and not found.exchanged(1)
        assert ("background" in {single.name for single in found.examined[0]}) is exchanged


def test_the_gate_fails_on_what_cannot_be_judged():
    images = coloured((40, 40, 10))
    with pytest.raises(AuditFailedError):
        ico.audit(colours(), images, families=(), fail_on=["mixed"])
    assert ico.audit(colours(), images, families=(), fail_on=["mixed"], allow=["undecided"]).outcome == "unjudged"
    assert ico.audit(colours(), images, families=()).outcome == "unjudged"
    settings: list[tuple[list[str] | None, list[str] | None]] = [
        (None, ["undecided"]),
        (["undecided"], ["undecided"]),
        (["object"], None),
    ]
    for fail_on, allow in settings:
        with pytest.raises(QuestionError):
            ico.audit(colours(), images, families=(), fail_on=fail_on, allow=allow)


def test_the_gate_of_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few").mkdir()
    for image in ico.demo_images(8, seed=1):
        Image.fromarray(image.pixels).save(tmp_path / "few" / f"{image.label}-{image.id.replace('/', '-')}.png")
    asked = ["audit", "--network", "cars", "--images", "few", "--quick", "--quiet"]
    assert main([*asked, "--fail-on", "shortcut"]) == 3
    assert "cannot be judged" in capsys.readouterr().out
    assert main([*asked, "--fail-on", "shortcut", "--allow", "undecided"]) == 0
    assert main(asked) == 0


def test_of_too_many_classes_nothing_is_asked_but_the_answers(monkeypatch, tmp_path):
    for stage in ("load_sample", "examine_hypotheses", "intervene", "occlude_sample", "make_pictures"):
        monkeypatch.setattr(sys.modules["iconoscope.auditing.audit"], stage, lambda *_, **__: pytest.fail("asked"))
    found = ico.audit(colours(), coloured((25, 25, 25)), out=tmp_path / "page.html")
    assert found.overall.reason == "too many classes" and found.occlusion is None and not found.swap_alone
    assert found.verdict == "cannot be judged: too many classes for so few images: no class is answered 30 times"
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Cannot be judged" in page and "--groups" in page and found.to_json()["outcome"] == "unjudged"
    assert ico.load_result(found.save(tmp_path / "kept")).to_json() == found.to_json()


def test_a_group_is_as_probable_as_its_classes_together(tmp_path):
    network, images = colours(), coloured((3, 2, 4))
    coarse, labelled = group_classes(network, images, {"red": "warm", "green": "cold", "2": "cold"})
    assert coarse.classes == ("warm", "cold") and labelled.labels == ["warm"] * 3 + ["cold"] * 6
    fine = ico.predict(network, images)
    assert ico.predict(coarse, labelled) == pytest.approx(np.stack([fine[:, 0], fine[:, 1] + fine[:, 2]], 1), abs=1e-6)
    assert (
        coarse.digest() == group_classes(network, images, {"green": "cold", "blue": "cold", "red": "warm"})[0].digest()
    )
    assert coarse.digest() != group_classes(network, images, {"green": "warm", "red": "warm"})[0].digest()
    assert not coarse.digest().startswith("?")
    for text in (
        "class,group\nred,warm\ngreen, cold\nblue,cold\n",
        "red;warm\ngreen;cold\n\nblue;cold",
        "red\twarm\n1\tcold\n2\tcold",
    ):
        (tmp_path / "groups.csv").write_text(text, encoding="utf-8")
        assert read_groups(tmp_path / "groups.csv", network) == ("warm", "cold", "cold")
    assert read_groups({"red": "warm"}, network) == ("warm", "green", "blue")


def test_groups_that_cannot_be_are_refused(tmp_path):
    network = colours()
    with pytest.raises(UnitError, match="purple"):
        read_groups({"purple": "warm"}, network)
    with pytest.raises(QuestionError, match="one group"):
        read_groups(dict.fromkeys(COLOURS, "colour"), network)
    with pytest.raises(QuestionError, match="cannot be read"):
        read_groups(tmp_path / "none.csv", network)
    (tmp_path / "groups.csv").write_text("red,warm,hot\n", encoding="utf-8")
    with pytest.raises(QuestionError, match="have a row"):
        read_groups(tmp_path / "groups.csv", network)
    with pytest.raises(QuestionError, match="several things"):
        group_classes(colours(activation="sigmoid"), coloured((1, 1, 1)), {"red": "warm", "green": "warm"})


def test_an_audit_of_groups():
    found = ico.audit(colours(), coloured((40, 20, 20)), families=(), groups={"green": "cold", "blue": "cold"})
    assert found.names == ("red", "cold") and found.images.accuracy == 1
    assert found.images.confusion.tolist() == [[0, 0, 40], [1, 1, 40]]


def test_the_page_of_a_finding(tmp_path):
    specimen = audited()
    marked = replace(
        specimen, hypotheses=hypotheses_of((0.6, 0.6, 0.6)), interventions=no_interventions(60), shown_classes=(0, 1)
    )
    empty = replace(
        specimen.illustrations,
        rows=np.zeros(0, int),
        photographs=np.zeros((0, 9, 12, 3), np.uint8),
        exchanged=np.zeros((0, 2, 9, 12, 3), np.uint8),
    )
    marked = replace(marked, illustrations=empty)
    assert marked.outcome == "fail"
    page = marked.report(tmp_path / "page.html").read_text(encoding="utf-8")
    assert '<p class="outcome fail">Fail</p>' in page and "2026-11-29" in page and "from the call" in page
    assert "Something at a fixed place, bottom right" in page and "60 of 100 images of x lose the answer" in page
    first = page.index('<article class="class shortcut"')
    card = page[first : page.index("</article>", first)]
    assert card.count("<img") >= 11 and 'class="bars"' not in card  # the picture, and five pairs
    assert page.index('id="method"') > first and "Accuracy" in page[:first] and 'class="confusion"' in page[:first]
    told = marked.to_json()["classes"][0]
    mark = next(each for each in told["hypotheses"] if each["kind"] == "mark")
    assert mark["decision"] == "accused" and mark["taken"] == pytest.approx(0.6) and len(mark["splits"]) == 3
    assert told["position"] == "bottom right" and 0.5 < told["power"] < 0.8
    spanish = marked.report(tmp_path / "es.html", lang="es").read_text(encoding="utf-8")
    assert "No aprobada" in spanish and "abajo a la derecha" in spanish


@pytest.mark.parametrize(("known", "outcome"), [(False, "reserved"), (True, "pass")])
def test_to_pass_while_nobody_knows_the_objects_is_to_pass_with_a_reservation(tmp_path, known, outcome):
    specimen = audited()
    images = replace(specimen.images, object_known=np.full(len(specimen.images), known))
    acquitted = replace(
        specimen, hypotheses=hypotheses_of((0.0, 0.0, 0.0)), interventions=no_interventions(60), images=images
    )
    assert acquitted.outcome == "pass" and acquitted.word == "nothing"
    page = acquitted.report(tmp_path / "page.html").read_text(encoding="utf-8")
    assert f'<p class="outcome {outcome}">' in page and ("backgrounds not examined" in page) == (not known)
    # What was found and what could have been are two sentences.
    assert '<p class="sentence">Nothing found, in every class.</p>' in page
    assert "<p>A shortcut of these kinds that costs 20 points would have been found in" in page


def test_numbers_are_written_as_the_language_has_them(tmp_path):
    page = audited().report(tmp_path / "es.html", lang="es").read_text(encoding="utf-8")
    visible = re.sub(r"<style>.*?</style>|<script.*?</script>|<[^>]+>", " ", page, flags=re.DOTALL)
    assert re.search(r"\d,\d\d", visible) and not re.search(r"\d\.\d", visible.replace(ico.__version__, ""))
    assert "ambos lados llevados a 9x12; según lo que se indicó" in visible


def test_pictures_of_a_few_pixels_are_refused_and_sixteen_are_not():
    def network(side):
        module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * side * side, 2))
        preprocessing = {"size": side, "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25), "crop": "none"}
        return ico.load_network(module, preprocessing=preprocessing, classes=("day", "night"), device="cpu")

    def pictures(side):
        return ico.load_images(np.random.default_rng(0).integers(0, 256, (80, side, side, 3), dtype=np.uint8))

    with pytest.raises(QuestionError, match="8x8 pixels") as refused:
        ico.audit(network(8), pictures(8))
    assert "16 pixels or more" in str(refused.value.hint)
    torch.manual_seed(0)
    assert ico.audit(network(16), pictures(16), quick=True, families=("border",)).outcome in (
        "pass",
        "fail",
        "unjudged",
    )
