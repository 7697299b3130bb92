"""A page to look at while what it will hold is being made: what is there already, and what is still to come."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from iconoscope.show.template import write_page

__all__ = ["GrowingPage", "Step"]

SECONDS = 2
"""After which a browser asks for the page again, until it is whole."""


@dataclass(frozen=True)
class Step:
    """A step of what is being made.

    Attributes
    ----------
    text : str
        What is done in it.
    address : str
        Of the page beside this one that it writes; empty if it writes none.
    finding : str
        What it gave, in a sentence, once it is done.
    """

    text: str
    address: str = ""
    finding: str = ""


class GrowingPage(AbstractContextManager["GrowingPage"]):
    """A page that is written anew after every step, at the place of the page that comes in the end.

    A browser that shows it asks for it again every few seconds, and so shows the final page once it is there. As a context
    manager it says so where its block ends in an error or an interrupt, and is asked for no more.

    Parameters
    ----------
    path
        Where the final page will be.
    title, lead
        As of the final page.
    steps
        All that is to be done, in its order.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = GrowingPage(Path(folder) / "report.html", title="Cars", lead="", steps=[Step("ask"), Step("write")])
    ...     page.done("All answers are right.")
    ...     "All answers are right." in page.path.read_text()
    True
    """

    def __init__(self, path: Path, *, title: str, lead: str, steps: Sequence[Step]) -> None:
        self.path = path
        self._heading = {"title": title, "lead": lead}
        self._steps = list(steps)
        self._finished = 0
        self._rows: list[tuple[str, list[NDArray[np.uint8]]]] = []

    def done(self, finding: str = "", *, caption: str = "", pictures: Sequence[NDArray[np.uint8]] = ()) -> None:
        """Note that the next step is done and write the page.

        Parameters
        ----------
        finding
            What it gave.
        caption, pictures
            What pictures (height, width, 3) show; they are a row below those that are there.
        """
        self._steps[self._finished] = replace(self._steps[self._finished], finding=finding)
        self._finished += 1
        if pictures:
            self._rows.append((caption, list(pictures)))
        self._write()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self._finished:
            self._write(stopped=True)

    def _write(self, *, stopped: bool = False) -> None:
        write_page(
            self.path,
            "growing.html.j2",
            **self._heading,
            seconds=None if stopped else SECONDS,
            steps=self._steps,
            finished=self._finished,
            rows=self._rows,
        )
