"""The built front end: it is what the sources build, it is small, and it fits what the server answers. Without a browser."""

import gzip
import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import iconoscope
from iconoscope.occlusion import FILLS
from iconoscope.optimization.style import STYLES
from iconoscope.results.decision_rule import AUDIT_WORDS

WEB = Path(__file__).parents[2] / "web"
SITE = Path(iconoscope.__file__).parent / "explorer" / "site"
MOST = 200_000  # bytes of all files compressed
WORDS = {
    lang: json.loads((WEB / f"src/explorer/words/{lang}.json").read_text(encoding="utf-8")) for lang in ("en", "es")
}


def digest(*folders):
    """The digest of the files in folders, as web/build.mjs makes it."""
    made = hashlib.sha256()
    for folder in folders:
        for source in sorted(path for path in (WEB / folder).iterdir() if path.is_file()):
            made.update(f"{source.name}\0".encode() + source.read_bytes())
    return made.hexdigest()


@pytest.mark.parametrize(
    ("built", "folders"),
    [
        ("explorer/site/app.js", ("src", "src/map", "src/atlas", "src/explorer", "src/explorer/words")),
        ("explorer/site/app.css", ("src/explorer/style",)),
        ("show/templates/map.js", ("src/map",)),
        ("show/templates/atlas.js", ("src/map", "src/atlas")),
    ],
)
def test_what_ships_is_what_the_sources_build(built, folders):
    first = (SITE.parents[1] / built).read_text(encoding="utf-8").splitlines()[0]
    assert first.split("Sources ")[1].split()[0] == digest(*folders), "run make web"


@pytest.mark.parametrize("name", ["index.html", "icon.svg"])
def test_what_is_not_built_is_copied(name):
    assert (SITE / name).read_bytes() == (WEB / "src/explorer/style" / name).read_bytes()


def test_the_types_are_those_of_the_messages():
    subprocess.run([sys.executable, WEB / "make_schema.py", "--check"], check=True)


def test_all_files_together_are_small():
    files = sorted(SITE.iterdir())
    assert {path.name for path in files} == {"index.html", "app.js", "app.css", "icon.svg"}
    assert sum(len(gzip.compress(path.read_bytes(), 9)) for path in files) <= MOST


def test_the_page_has_no_script_or_style_of_its_own_and_asks_nobody():
    page = (SITE / "index.html").read_text(encoding="utf-8")
    assert "<style" not in page and "style=" not in page
    assert re.findall(r"<script[^>]*>[^<]*</script>", page) == ['<script src="app.js"></script>']
    for path in SITE.iterdir():
        # The names of the three vocabularies that browsers read are no addresses that anybody asks.
        strangers = set(re.findall(r"https?://[\w./-]+", path.read_text(encoding="utf-8")))
        assert strangers <= {
            "http://www.w3.org/2000/svg",
            "http://www.w3.org/1999/xhtml",
            "http://www.w3.org/1998/Math/MathML",
        }


def test_every_word_is_in_both_languages_with_the_same_values():
    assert WORDS["en"].keys() == WORDS["es"].keys()
    for word, text in WORDS["en"].items():
        fields = [set(re.findall(r"\{(\w+)\}", each)) for each in (text, WORDS["es"][word])]
        assert fields[0] == fields[1], word


def test_every_word_is_said_somewhere():
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (WEB / "src/explorer").glob("*.ts*"))
    # Those of a group are put together from its name and what the server calls its members.
    groups = ("copy", "fill", "verdict", "style", "prior", "order", "tool", "drawn", "colour", "page", "image")
    # What is said of one thing, and of what is shown of images, is put together too.
    said = {word: word.removesuffix(" one") for word in WORDS["en"] if not word.startswith("most note ")}
    unsaid = [word for word, whole in said.items() if f'"{whole}"' not in sources and word.split(" ")[0] not in groups]
    assert unsaid == []


@pytest.mark.skipif(not (WEB / "node_modules").is_dir() or shutil.which("node") is None, reason="npm ci was not run")
def test_the_built_files_are_built_anew_to_the_byte(tmp_path):
    copy = tmp_path / "web"
    shutil.copytree(WEB, copy, symlinks=True, ignore=shutil.ignore_patterns("node_modules"))
    (copy / "node_modules").symlink_to((WEB / "node_modules").resolve())
    (tmp_path / "src/iconoscope/explorer/site").mkdir(parents=True)
    subprocess.run(["node", "build.mjs"], cwd=copy, check=True, capture_output=True)
    for path in (*SITE.iterdir(), SITE.parents[1] / "show/templates/map.js"):
        assert (tmp_path / "src/iconoscope" / path.relative_to(SITE.parents[1])).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("group", "names"),
    [("style", STYLES), ("fill", [name for name, fill in FILLS.items() if not fill.drops]), ("verdict", AUDIT_WORDS)],
)
@pytest.mark.parametrize("lang", ["en", "es"])
def test_what_the_server_names_has_words_on_the_pages(group, names, lang):
    assert [name for name in names if f"{group} {name}" not in WORDS[lang]] == []
