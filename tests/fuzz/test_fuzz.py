"""Bad input of every kind is answered in our own words, in time and in the memory that there is; a slow test draws more."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent


def faults(folder, seed, count):
    """Run cases in a process of bounded memory; one that dies is begun again behind the case at which it died."""
    paths = os.pathsep.join([str(TESTS), str(TESTS.parent / "src"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    wrong, done, first = [], 0, 0
    while first < count:
        arguments = [seed, count, folder / f"from-{first}", first]
        command = [sys.executable, "-m", "fuzz.run", *map(str, arguments)]
        child = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        lines = [json.loads(line) for line in child.stdout.splitlines()]
        assert lines, child.stderr
        outcomes = [line for line in lines if "wrong" in line]
        done += len(outcomes)
        wrong += [(line["number"], line["name"], line["wrong"]) for line in outcomes if line["wrong"]]
        first = lines[-1]["number"] + 1
        if "begins" in lines[-1]:
            wrong.append((lines[-1]["number"], lines[-1]["begins"], f"the process ended: {child.stderr[-1000:]}"))
            done += 1
    assert done == count
    return wrong


def test_bad_input_is_refused_in_our_own_words(tmp_path):
    assert faults(tmp_path, seed=1, count=640) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 7))
def test_much_bad_input_is_refused_in_our_own_words(tmp_path, seed):
    assert faults(tmp_path, seed=seed, count=1000) == []
