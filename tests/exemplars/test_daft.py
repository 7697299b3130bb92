"""The recipe for another engine in docs/scale.md, run as it stands."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import iconoscope as ico
from iconoscope.demo.photographs import keep_photographs

PAGE = Path(__file__).parents[2] / "docs" / "scale.md"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_recipe_for_daft_comes_to_the_same_rankings(tmp_path, monkeypatch):
    pytest.importorskip("daft")
    recipe = re.search(r"```python\n(import functools.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert recipe is not None
    keep_photographs(ico.demo_images(100, seed=1), tmp_path)
    monkeypatch.chdir(tmp_path)
    made: dict[str, Any] = {"__name__": "recipe"}
    exec(compile(recipe[1], "recipe", "exec"), made)
    network = ico.load_network("cars", device="cpu")
    recording = ico.record(network, "photographs", store="run", k=9, batch=16, shard=32, workers=0)
    for name, values in made["tally"].to_columns().items():
        assert np.array_equal(recording.rankings[name], values), name
