"""Run the notebooks of examples/ and keep what they show: ``python docs/make_notebooks.py [name ...]``.

The outputs are kept in the files, since the documentation and GitHub show them as they are. Nothing of the machine or of the
time is kept with them, so that running them again changes only what has changed.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parent.parent / "examples"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def executed(notebook: nbformat.NotebookNode, folder: str) -> nbformat.NotebookNode:
    """Run all cells in a folder, and leave nothing but the cells and what they show."""
    NotebookClient(notebook, timeout=300, record_timing=False, resources={"metadata": {"path": folder}}).execute()
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})
        for output in cell.get("outputs", []):
            if output.output_type == "stream" and output.name == "stderr":
                raise SystemExit(f"A cell warns: {output.text}")
    return notebook


def main() -> None:
    """Run those that are named, or all."""
    for path in sorted(EXAMPLES.glob("*.ipynb")):
        if sys.argv[1:] and path.stem not in sys.argv[1:]:
            continue
        with tempfile.TemporaryDirectory() as folder:
            notebook = executed(nbformat.read(path, as_version=4), folder)
        nbformat.write(notebook, path)


if __name__ == "__main__":
    main()
