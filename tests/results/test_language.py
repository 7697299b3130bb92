"""Figures, sentences and pages in Spanish: nothing English is left in them, whatever kind of result they show."""

import ast
import html
import json
import re
from dataclasses import replace
from pathlib import Path
from string import Formatter

import numpy as np
import pytest
from matplotlib.text import Text

import iconoscope as ico
from iconoscope import language
from iconoscope.language import current_language, in_language, localised, say, spanish_words, term
from iconoscope.results.profile import PROPERTIES
from iconoscope.show import report
from iconoscope.show.audit_panels import AuditPanel
from iconoscope.store import Store
from iconoscope.store.store import KINDS
from specimens import attributed, curved, occlusion, visualized

SOURCES = Path(language.__file__).parents[1]
WEB = Path(__file__).parents[2] / "web" / "src"

COMMON = {
    "atlas", "audit", "bison", "bits", "blur", "captum", "car", "cars", "ccmas", "color", "control", "conv", "css",
    "deeplift", "dense", "error", "fourier", "frequency", "gradient", "honest", "http", "iconoscope",
    "integratedgradients", "javascript", "jpeg", "label", "logit", "logits", "lynx", "map", "method", "neutral", "none",
    "pca", "plante", "planted", "probabilities", "probable", "red", "script", "seed", "student", "total", "unit",
    "wilson", "wrong", "wwwwww", "zero",
}  # fmt: skip
"""Words that are written alike in both languages, or are names: of classes, settings, methods."""


def sentences_in(path):
    """Give the first arguments of all calls of `say` that are of the language, in a source."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = any(
        isinstance(node, ast.ImportFrom)
        and node.module == "iconoscope.language"
        and "say" in {n.name for n in node.names}
        for node in ast.walk(tree)
    )
    for node in ast.walk(tree) if imported else ():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say":
            assert isinstance(node.args[0], ast.Constant), (
                f"{path.name}:{node.lineno} says what is no text in the source"
            )
            yield node.args[0].value, {keyword.arg for keyword in node.keywords}


def sentences_of_templates():
    """Give what the templates of pages say; those of audits and of occlusions have words of their own."""
    for path in sorted((SOURCES / "show" / "templates").glob("*.j2")):
        if path.name in ("audit.html.j2", "occlusions.html.j2"):
            continue
        text = path.read_text(encoding="utf-8")
        for call in re.finditer(r"\bsay\((\"[^\"]*\"|'[^']*')", text):
            yield ast.literal_eval(call[1])


def placeholders(sentence):
    return sorted((name, form) for _, name, form, _ in Formatter().parse(sentence) if name is not None)


def test_every_sentence_is_there_in_spanish_with_the_same_values_and_none_more():
    said = {text: named for path in SOURCES.rglob("*.py") for text, named in sentences_in(path)}
    spanish = spanish_words()["sentences"]
    assert {*said, *sentences_of_templates()} == set(spanish)
    for english, sentence in spanish.items():
        assert placeholders(english) == placeholders(sentence), english
        names = {name for name, _ in placeholders(english)}
        given = said.get(english, names)
        assert None in given or names <= given, english  # None: as a dictionary, with **


def test_the_scripts_of_pages_have_their_words():
    said = {
        text
        for folder in ("map", "atlas")
        for path in (WEB / folder).glob("*.ts")
        for text in re.findall(r"say\(\s*\"([^\"]+)\"", path.read_text(encoding="utf-8"))
    }
    # What is coloured as a mistake is named by a list.
    assert said | {"right", "wrong"} == set(spanish_words()["scripts"])


@pytest.mark.parametrize("name", [name for ends in PROPERTIES.values() for name in ends])
def test_every_end_of_a_property_has_a_word(name):
    assert name in spanish_words()["terms"]


def test_every_property_and_every_measure_of_an_audit_has_a_word():
    assert {*PROPERTIES, *(words for words, *_ in AuditPanel.MEASURES)} <= set(spanish_words()["terms"])


def texts_of(result, lang):
    """Give the texts of a figure but those at ticks of numbers, and the summary."""
    with in_language(lang):
        figure = result._drawn()
        return [text.get_text() for text in figure.findobj(Text) if text.get_text()], result.summary()


def words_in(texts, names=()):
    """Give the words of three letters or more, without those of names."""
    joined = "\n".join(texts)
    for name in sorted(names, key=len, reverse=True):
        joined = joined.replace(name, " ")
    # A point or colon within a word is that of a unit.
    return {word.lower() for word in re.findall(r"(?<![\w.:])[^\W\d_]{3,}(?![\w:]|\.\w)", joined)} - COMMON


def names_of(result):
    first = result.results[0] if hasattr(result, "results") else result
    return [
        name for name in (first.question.network, first.question.subject, *getattr(first, "names", ())) if len(name) > 2
    ]


def no_english(result):
    english, spanish = (texts_of(result, lang) for lang in ("en", "es"))
    assert len(english[0]) == len(spanish[0])
    for of_english, of_spanish in ((english[0], spanish[0]), ([english[1]], [spanish[1]])):
        # A word that is in both was said by nobody who asked for the language; one that is English alone was forgotten.
        left = words_in(of_english, names_of(result)) & words_in(of_spanish, names_of(result))
        assert not left, (result, left)
        assert not re.search(r"(?<![\w.:/-])\d+\.\d+(?![\w.])", "\n".join(of_spanish)), of_spanish


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_no_figure_has_english_in_it(of_kinds, kind):
    no_english(of_kinds[kind])


def test_no_figure_of_several_results_has_english_in_it():
    first = occlusion()
    blurred = replace(first, question=replace(first.question, settings={"fill": "blur"}))
    larger = replace(first, patch=(5, 5), top=np.arange(1, 9, 2))
    no_english(ico.OcclusionSeries((first, blurred)))
    no_english(ico.OcclusionSeries((first, larger)))
    no_english(
        ico.Faithfulness((curved(), replace(curved(1), question=curved().question, ranked_by="captum:DeepLift")))
    )
    no_english(
        ico.StyleComparison((replace(visualized(), style_name="none"), replace(visualized(), style_name="frequency")))
    )
    no_english(ico.grid([first, blurred]))
    no_english(attributed(signed=False))
    no_english(visualized(count=1))


def test_ticks_have_commas_also_when_they_are_drawn_later(tmp_path):
    with in_language("es"):
        axes = occlusion().plot()
        figure = axes.figure
        own = visualized().plot().figure.subplots()
        of_users = occlusion().plot(own)
    with in_language("es"):
        assert localised("1.5") == "1,5"
    for drawn in (figure, of_users.figure):
        drawn.canvas.draw()
    ticks = [label.get_text() for axes in figure.axes for label in (*axes.get_xticklabels(), *axes.get_yticklabels())]
    assert any("," in tick for tick in ticks) and not any("." in tick for tick in ticks)
    bar = of_users.figure.axes[-1]
    assert [label.get_text() for label in bar.get_yticklabels()][:2] == ["0,0", "0,2"]
    assert occlusion().plot().figure.axes[0].get_title() == "the patch that costs most"


def test_what_programs_read_stays_english(of_kinds):
    for kind, result in of_kinds.items():
        english = json.dumps(result.to_json(), sort_keys=True), result.to_frame("pandas").to_json()
        with in_language("es"):
            assert (json.dumps(result.to_json(), sort_keys=True), result.to_frame("pandas").to_json()) == english, kind


def test_the_page_of_a_store_has_no_english_in_it(of_kinds, tmp_path):
    store = Store(tmp_path / "run")
    for result in of_kinds.values():
        store.keep(result)
    names = [name for result in of_kinds.values() for name in names_of(result)]
    texts = {}
    for lang in ("en", "es"):
        page = report(store, tmp_path / f"{lang}.html", lang=lang).read_text(encoding="utf-8")
        assert f'<html lang="{lang}">' in page
        body = re.sub(r"<(script|style|dl|code)\b.*?</\1>", " ", page.partition("<body>")[2], flags=re.DOTALL)
        body = re.sub(r"<summary>\w+", " ", body)  # the name of a command
        texts[lang] = [html.unescape(re.sub(r"<[^>]*>", " ", body))]
    assert current_language() == "en"
    left = words_in(texts["en"], names) & words_in(texts["es"], names)
    assert not left


def test_the_language_is_chosen_for_the_process_or_a_block_and_a_page_has_its_own():
    assert current_language() == "en"
    with ico.set_language("es"):
        assert say("row") == "fila" and term("probability") == "probabilidad"
        with in_language("en"):
            assert say("row") == "row"
    assert say("row") == "row"
    ico.set_language("es")
    try:
        assert current_language() == "es"
    finally:
        ico.set_language("en")
    with pytest.raises(ico.IconoscopeError, match="lang='fr' is not a choice"):
        ico.set_language("fr")


@pytest.mark.parametrize("name", ["patch A", "rice, some images", "tank images", "two steps"])
def test_a_name_that_is_written_like_a_term_is_left_alone(name):
    with in_language("es"):
        assert term(name) == name
        assert term("patch 24x24") == "parche de 24x24" and term("1,000 images") == "1.000 imágenes"
