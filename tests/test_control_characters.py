"""No byte of a name, a class or a title steers a terminal, a browser or the letters of a figure; and nothing warns."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import iconoscope as ico
from iconoscope.cli import main
from iconoscope.errors import IconoscopeError
from iconoscope.results.figure import bare_figure, encoded
from iconoscope.show import report
from iconoscope.store import Store
from specimens import attributed, averaged, curved, occlusion, visualized

TESTS = Path(__file__).parent
ESCAPE = "\x1b[31mred\x07\u202e\x9b"


def no_controls(text):
    return not [
        sign for sign in text if sign != "\n" and not sign.isprintable() and sign not in "\xad\u200b\xa0\t\u2009\u202f"
    ]


def test_pages_hold_no_control_character(tmp_path):
    store = Store(tmp_path / "run")
    for make in (occlusion, attributed, curved, averaged, visualized):
        of = make()
        named = {"names": (ESCAPE, ESCAPE, "c")} if hasattr(of, "names") else {}
        store.keep(replace(of, question=replace(of.question, subject=ESCAPE, network=ESCAPE, unit=ESCAPE), **named))
    page = report(store, tmp_path / "report.html", title=ESCAPE, lead=f"{ESCAPE}\udcff").read_text(encoding="utf-8")
    assert "\\x1b[31mred" in page and no_controls(page)


@pytest.mark.parametrize("form", ["png", "svg", "pdf"])
def test_figures_hold_no_control_character(form):
    of = occlusion()
    named = replace(of, question=replace(of.question, subject=f"{ESCAPE} $x$ \\$"), names=(ESCAPE, ESCAPE, "$\\bad{$"))
    content = named._figure(form)
    assert form != "svg" or no_controls(content.decode())


def test_any_text_of_a_figure_is_written_out():
    figure = bare_figure(2, 2)
    figure.suptitle(ESCAPE)
    assert no_controls(encoded(figure, "svg").decode())


def test_errors_and_the_terminal_hold_no_control_character(capsys, tmp_path):
    error = IconoscopeError(f"There is no {ESCAPE}.", hint=ESCAPE)
    assert no_controls(str(error)) and "\\x1b[31mred" in str(error)
    folder = tmp_path / ESCAPE
    folder.mkdir()
    from PIL import Image

    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / f"{ESCAPE}.png")
    classes = json.dumps([ESCAPE, "b"])
    assert main(["predict", "--network", "cars", "--images", str(folder), "--classes", classes]) == 0
    assert main(["predict", "--network", "cars", "--images", str(folder), "--classes", classes, "--json"]) == 0
    assert (
        main(["occlude", "--network", "cars", "--images", str(folder / "nothing"), "--store", str(tmp_path / "run")])
        == 1
    )
    out, err = capsys.readouterr()
    assert no_controls(out + err) and "\\x1b[31mred" in out


def test_nothing_warns_and_no_file_is_left_open(tmp_path):
    """Every command once, in a process in which a warning that is not ours is an error, also of what is never closed."""
    code = """
import sys
from pathlib import Path
from fuzz.samples import make_samples
unraisable = []
sys.unraisablehook = unraisable.append
make_samples(Path(sys.argv[1]))
assert not unraisable, unraisable
"""
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path / "samples")]
    environment = {**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent / 'src'}", "OMP_NUM_THREADS": "1"}
    child = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr[-3000:]


def test_a_grey_is_a_fill():
    network, image = ico.load_network("cars-honest", device="cpu"), ico.demo_images(2, seed=1)[0]
    grey = np.full((96, 96, 3), 0.5, np.float32)
    asked: dict[str, Any] = {"patch": 48, "stride": 48, "method": "dense"}
    answered = ico.occlude(network, image, fill=0.5, **asked)
    by_function = ico.occlude(network, image, fill=lambda picture: grey, **asked)
    assert np.array_equal(answered.occluded, by_function.occluded) and answered.question.settings["fill"] == "grey 0.5"
    number: Any = np.float32(0.5)
    assert ico.occlude(network, image, fill=number, **asked).question.settings["fill"] == "grey 0.5"
    assert ico.occlude(network, image, fill="0.5", **asked).question.settings["fill"] == "grey 0.5"
    for wrong in (1.5, -0.5, 128.0, True):
        with pytest.raises(IconoscopeError):
            ico.occlude(network, image, fill=wrong, **asked)
