"""The page of the benchmark of attribution maps, from figures that are planted."""

import numpy as np

from benchmarks.attribution import COMMAND, interval, tables
from benchmarks.figures import put

HELD = {
    "machine": {
        "processor": "P",
        "cores": 2,
        "system": "Linux x86_64",
        "python": "3.11",
        "torch": "2.13",
        "captum": "0.9",
    },
    "when": "2026-01-02",
    "images": 3,
    "steps": 16,
    "clean": [0.5, 0.6, 0.7],
    "maps": [
        {
            "name": "captum:Saliency",
            "told": "captum:Saliency",
            "deletion": [0.1, 0.2, 0.3],
            "deletion_elsewhere": [0.4, 0.4, 0.4],
            "insertion": [0.5, 0.5, 0.5],
            "insertion_elsewhere": [0.3, 0.2, 0.1],
        }
    ],
}


def test_the_table(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n<!-- made by {COMMAND}: begin -->\nold\n<!-- made by {COMMAND}: end -->\nafter\n")
    put(page, COMMAND, tables(HELD))
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text
    assert "3 ImageNet photographs" in text and "(mean 0.600)" in text
    line = next(line for line in text.splitlines() if line.startswith("| Saliency |"))
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[1].startswith("0.200 (0.1") and cells[2:] == ["0.400", "0.500 (0.500 to 0.500)", "0.200"]


def test_an_interval_holds_the_mean_as_often_as_it_says():
    generator = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        text = interval(generator.normal(5, 1, 25).tolist())
        low, high = (float(part) for part in text.partition("(")[2].rstrip(")").split(" to "))
        held += low < 5 < high
    assert 0.87 < held / 200 < 0.98
