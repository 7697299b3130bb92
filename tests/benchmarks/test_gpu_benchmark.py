"""The benchmark of graphics cards, small and on a processor, and what it says where there is no card."""

import json

import pytest
import torch

from benchmarks.gpu import COMMAND, MODES, main


@pytest.mark.slow  # some seconds
def test_it_runs_to_its_end_on_a_processor(tmp_path):
    page, out = tmp_path / "page.md", tmp_path / "gpu.json"
    page.write_text(f"<!-- made by {COMMAND}: begin -->\n<!-- made by {COMMAND}: end -->\n")
    options = ["--device", "cpu", "--small", "--no-tests", "--repeats", "1", "--out", str(out), "--page", str(page)]
    assert main(options) == 0
    rows = json.loads(out.read_text())["measurements"]
    assert [row["mode"] for row in rows] == [*MODES] * 4
    assert all(row["difference"] < (0.1 if row["mode"] == "bfloat16" else 1e-4) for row in rows)
    assert any(row["difference"] > 0 for row in rows if row["mode"] == "bfloat16")
    assert all(len(row["seconds"]) == 1 and row["seconds"][0] > 0 for row in rows)
    assert page.read_text().count("| cifar10 |") == 4 and "On the processor alone." in page.read_text()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a graphics card")
def test_without_a_card_it_says_so(tmp_path, capsys):
    assert main(["--out", str(tmp_path / "gpu.json")]) == 1
    assert "There is no graphics card" in capsys.readouterr().err and not any(tmp_path.iterdir())
