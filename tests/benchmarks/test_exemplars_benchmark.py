"""The page of the benchmark of exemplars, from figures that are planted."""

import json

from benchmarks import exemplars
from benchmarks.exemplars import COMMAND, tables
from benchmarks.figures import put

HELD = {
    "machine": {"processor": "P", "cores": 2, "system": "Linux x86_64", "python": "3.11", "torch": "2.13"},
    "when": "2026-01-02",
    "recording": [
        {
            "name": "a net",
            "images": 10_000,
            "units": 698,
            "bare": [9.0, 10.0, 11.0],
            "parts": [8.0, 9.0, 10.0],
            "goal": 0.05,
            "ours": [10.0, 11.0, 12.0],
            "over": 0.1,
            "over_parts": 0.222,
        }
    ],
    "maps": [{"images": 10_000, "name": "iconoscope", "seconds": [19.0, 20.0, 24.0], "trustworthiness": 0.98765}],
    "som": [
        {
            "side": 20,
            "name": "iconoscope, 10 epochs",
            "epoch": [0.01],
            "times": 75.2,
            "quantisation": 2.3,
            "topographic": 0.05,
        },
        {
            "side": 20,
            "name": "MiniSom, 5 epochs",
            "epoch": [0.75],
            "times": 1.0,
            "quantisation": 2.4,
            "topographic": 0.08,
        },
    ],
    "search": [{"images": 10_000, "units": 336, "ours": [0.3], "loop": [90.0]}],
}


def test_figures_are_medians_and_goals_stand_beside(tmp_path):
    text = tables(HELD)
    assert "| a net | 10,000 | 698 | 10.0 | 9.0 | 11.0 | +10% (at most +5%) | +22% |" in text
    assert "| 10,000 | iconoscope | 20 | 0.9877 |" in text
    assert "| 20x20 | iconoscope, 10 epochs | 10 | 75 (15) | 2.3000 | 0.0500 |" in text
    assert "| 20x20 | MiniSom, 5 epochs | 750 | 1 | 2.4000 | 0.0800 |" in text
    assert "| 10,000 | 336 | 0.30 | 90 |" in text
    page = tmp_path / "page.md"
    page.write_text(f"before\n<!-- made by {COMMAND}: begin -->\nold\n<!-- made by {COMMAND}: end -->\nafter\n")
    put(page, COMMAND, text)
    assert page.read_text().startswith("before\n") and page.read_text().endswith("after\n")
    assert "old" not in page.read_text()


def test_the_recordings_rows_alone_leave_the_other_tables_as_they_are(tmp_path, monkeypatch):
    out, page = tmp_path / "exemplars.json", tmp_path / "page.md"
    out.write_text(json.dumps(HELD))
    page.write_text(f"<!-- made by {COMMAND}: begin -->\n<!-- made by {COMMAND}: end -->\n")
    monkeypatch.setattr(exemplars, "find_data", lambda: tmp_path)
    monkeypatch.setattr(exemplars, "machine", lambda *_: {})
    monkeypatch.setattr(exemplars, "recording_rows", lambda *_: ([{**HELD["recording"][0], "over": -0.2}], None))
    assert exemplars.main(["--only-recording", "--out", str(out), "--page", str(page)]) == 0
    text = page.read_text()
    assert (
        "| -20% (at most +5%) |" in text
        and "| 10,000 | iconoscope | 20 | 0.9877 |" in text
        and "2026-01-02 to " in text
    )
    held = json.loads(out.read_text())
    assert {name: held[name] for name in ("machine", "when", "maps", "som", "search")} == {
        name: HELD[name] for name in ("machine", "when", "maps", "som", "search")
    }
