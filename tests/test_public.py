"""The exported surface: what a user may rely on."""

import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import iconoscope as ico
from iconoscope.errors import IconoscopeError
from iconoscope.removed_names import REMOVED_COMMANDS, REMOVED_NAMES

LARGEST = 62
"""How many public names there may be at most: a new one takes the place of another, or a reason.

The activation atlas added two, the function and its result: no other technique looks at the whole space of a layer.
"""

STUB = Path(ico.__file__).with_suffix(".pyi")


def test_the_surface_is_what_the_stub_says_and_small():
    lines = re.findall(r"^from \.[\w.]* import (\w+) as (\w+)$", STUB.read_text(encoding="utf-8"), re.MULTILINE)
    names = [name for name, exported in lines if name == exported]
    assert sorted([*names, "__version__"]) == sorted(ico.__all__) == dir(ico)
    assert len(names) == len(set(names)) == len(lines) <= LARGEST
    for name in names:
        assert getattr(ico, name) is not None


@pytest.mark.parametrize(
    "name", [name for name in ico.__all__ if name not in ("CONDITIONS", "NUISANCES", "Unit", "__version__")]
)
def test_every_public_name_is_documented(name):
    value = getattr(ico, name)
    assert inspect.getdoc(value)
    if inspect.isfunction(value):
        documented = inspect.getdoc(value) or ""
        for parameter in inspect.signature(value).parameters:
            assert parameter in documented, parameter


def test_what_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="occlud"):
        ico.occlud  # noqa: B018  # pyright: ignore


@pytest.mark.parametrize("name", sorted(set(REMOVED_NAMES) - set(ico.__all__)))
def test_a_name_that_has_gone_says_what_to_use_now(name):
    with pytest.raises(ico.errors.RemovedNameError, match=name) as caught:
        getattr(ico, name)
    hint = caught.value.hint
    assert hint == REMOVED_NAMES[name]
    assert not hasattr(ico, name)
    for module in re.findall(r"import it from ([\w.]+)\.$", hint, re.IGNORECASE):
        assert hasattr(importlib.import_module(module), name)
    for successor in re.findall(r"^Use (\w+)", hint):
        assert successor == "prior" or hasattr(ico, successor)


def test_the_change_log_has_every_name_that_has_gone():
    text = (Path(__file__).parent.parent / "CHANGELOG.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([^`]+)` \| (.+) \|$", text, re.MULTILINE)
    commands = {f"iconoscope {command}": sentence for command, sentence in REMOVED_COMMANDS.items()}
    assert [(name, sentence.replace("`", "")) for name, sentence in rows] == [*(REMOVED_NAMES | commands).items()]


def run(code):
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()


def test_importing_the_package_imports_nothing_heavy():
    loaded = set(run("import sys, iconoscope; print(*sys.modules)"))
    assert not loaded & {"torch", "numpy", "matplotlib", "PIL", "pyarrow", "rich", "cyclopts", "jinja2"}


def test_the_techniques_are_there_without_torch_until_they_are_asked():
    loaded = set(
        run(
            "import sys, iconoscope as ico; ico.occlude, ico.faithfulness, ico.audit, ico.report; "
            "ico.load_network; "
            "print(*sys.modules)"
        )
    )
    assert not loaded & {"torch", "matplotlib", "pyarrow"}


def test_the_errors_are_one_tree():
    found = [value for value in vars(ico.errors).values() if inspect.isclass(value) and issubclass(value, Exception)]
    tree = inspect.getdoc(ico.errors) or ""
    for error in found:
        assert issubclass(error, ico.IconoscopeError | ico.IconoscopeWarning)
        assert error.__name__ in tree


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x cannot be read: this is not a parquet file..", "x cannot be read: this is not a parquet file."),
        ("It failed (not here).. Why", "It failed (not here). Why"),
        ("and so on ...", "and so on ..."),
        ("a, b... c", "a, b... c"),
        ("../cars and x/.. and a..b and {0..9}", "../cars and x/.. and a..b and {0..9}"),
    ],
)
def test_a_sentence_ends_in_one_full_stop(text, said):
    error = IconoscopeError(text, hint=text)
    assert (error.message, error.hint) == (said, said)
