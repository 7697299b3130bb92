"""What the explorer says of its own when something goes wrong can be read in Spanish."""

import ast
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SPANISH = json.loads((ROOT / "web/src/explorer/words/problems.json").read_text(encoding="utf-8"))
SAID_IN_THE_TERMINAL = {"comparison.py", "explore.py", "export.py", "serving.py"}
SOURCES = sorted((ROOT / "src/iconoscope/explorer").glob("*.py"))


def template(text):
    """A text in a source, with {0} and so on for its values; None where it is made otherwise."""
    if isinstance(text, ast.Constant) and isinstance(text.value, str):
        return text.value
    if isinstance(text, ast.JoinedStr):
        values = iter(range(9))
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else f"{{{next(values)}}}" for part in text.values
        )
    return None


def said(source):
    """The messages and hints of all errors that a file raises."""
    for call in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(call, ast.Call) and getattr(call.func, "id", "").endswith(("Error", "_refused")):
            hints = [keyword.value for keyword in call.keywords if keyword.arg == "hint"]
            yield from filter(None, map(template, [*call.args, *hints]))


@pytest.mark.parametrize("source", [source for source in SOURCES if source.name not in SAID_IN_THE_TERMINAL], ids=str)
def test_every_message_has_its_spanish(source):
    assert [text for text in said(source) if text not in SPANISH] == []


def test_values_of_a_message_are_in_its_spanish():
    for english, spanish in SPANISH.items():
        assert {part for part in "012" if f"{{{part}}}" in english} == {
            part for part in "012" if f"{{{part}}}" in spanish
        }
