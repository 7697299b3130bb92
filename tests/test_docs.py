"""The documentation: links lead somewhere, commands can be typed, every public name has its page.

The site itself is built by ``make check``.
"""

import itertools
import re
import shlex
from collections import Counter
from pathlib import Path

import pytest

import iconoscope as ico
from iconoscope.cli import build_app
from iconoscope.commands import COMMANDS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
LINK = re.compile(r"(?<!`)\[(?:[^\[\]]|\[[^\]]*\]\([^)]*\))*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^( *)```+ *(\w*).*?$(.*?)^\1```+ *$", re.MULTILINE | re.DOTALL)


def named(page):
    return str(page.relative_to(ROOT))


def anchors(page):
    """The anchors of a page, as code hosts and the site make them of its headings."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)) for heading in headings]
    return {heading.strip().lower().replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_and_pictures_are_there(page):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    links = [*LINK.findall(text), *re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", text)]
    for link in links:
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_levels_of_headings_are_not_skipped(page):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    levels = [len(marks) for marks in re.findall(r"^(#+) ", text, re.MULTILINE)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels)), levels


def commands():
    for page in PAGES:
        for _, language, block in FENCE.findall(page.read_text(encoding="utf-8")):
            if language == "sh":
                for line in block.splitlines():
                    words = shlex.split(line, comments=True)
                    if words and words[0].removeprefix(".venv/bin/") == "iconoscope":
                        yield named(page), words[1:]


@pytest.mark.parametrize(
    ("page", "words"), [*commands()], ids=lambda value: value if isinstance(value, str) else value[0]
)
def test_commands_can_be_typed_as_they_are_written(page, words):
    name = next(name for length in (2, 1) if (name := " ".join(words[:length])) in COMMANDS)
    app = build_app((name,))
    app.parse_args(words, exit_on_error=False, print_error=False)


def test_every_promise_names_a_test_that_is_there():
    tests = ROOT / "tests"
    for paragraph in (DOCS / "trust.md").read_text(encoding="utf-8").split("\n\n"):
        if not paragraph.startswith("**"):
            continue
        words = re.findall(r"`((?:[\w/]+/)?test_\w+(?:\.py)?)`", paragraph)
        assert words, paragraph
        file = None
        for word in words:
            if word.endswith(".py"):
                file = (tests / word).read_text(encoding="utf-8")
            else:
                assert file is not None and f"def {word}(" in file, word


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_no_page_shows_a_key(page):
    """Keys change with the weights, the settings and the version: what a page showed would soon be another's."""
    assert not re.search(r"\b(?=\w*\d)(?=\w*[a-f])[0-9a-f]{24}\b", page.read_text(encoding="utf-8"))


def test_first_steps_are_the_same_steps_in_both_languages():
    def steps(page):
        blocks = FENCE.findall((DOCS / page).read_text(encoding="utf-8"))
        return [re.sub(r" --lang es|, lang=\"es\"|# .*", "", block).strip() for _, _, block in blocks]

    assert steps("first-steps.md") == steps("first-steps.es.md")


def test_every_public_name_is_on_one_page():
    pages = [page.read_text(encoding="utf-8") for page in (DOCS / "api").glob("*.md")]
    found = Counter(name for page in pages for name in re.findall(r"^::: iconoscope\.(\w+)$", page, re.MULTILINE))
    assert found == Counter(ico.__all__)


def test_figures_on_the_first_page_are_those_that_were_measured():
    measured = (DOCS / "performance.md").read_text(encoding="utf-8")
    table = (DOCS / "index.md").read_text(encoding="utf-8").partition("## How fast")[2].partition("##")[0]
    figures = re.findall(r"\| (?:[a-zA-Z ]*? )?([\d.]+) (?:s|ms) (?=\|)", table)
    assert len(figures) == 13
    for figure in figures:
        assert re.search(rf"(?<![\d.]){re.escape(figure)}(?![\d.]\d)", measured), figure
