"""Files that are read whole, up to a size, and JSON, up to a depth; what is wrong is an `OSError` or a `ValueError`.

Of a table of two columns, which somebody wrote for us, it is said in words.
"""

from __future__ import annotations

import csv
import errno
import io
import json
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from iconoscope.errors import QuestionError

__all__ = ["check_regular", "parse_json", "read_bytes", "read_json", "read_pairs", "read_text"]

MOST = 2**30
"""Bytes of a table or of annotations: those of COCO's 118,000 training images take 450 MB."""

_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def check_regular(path: Path, *, most: int | None = MOST) -> None:
    """Refuse what is no regular file, before it is opened: a pipe would wait for ever, and a device has no end.

    Raises
    ------
    OSError
        If it is a folder, a pipe or a device, or is not there.
    ValueError
        If it has more bytes than `most`.
    """
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "It is a folder", str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "It is no regular file", str(path))
    if most is not None and status.st_size > most:
        raise ValueError(f"it has {status.st_size:,} bytes, and {most:,} are the most that are read")


def read_bytes(path: Path, *, most: int = MOST) -> bytes:
    """Read a file whole. Raises `OSError` and `ValueError`, as `check_regular`."""
    check_regular(path, most=most)
    with path.open("rb") as file:
        content = file.read(most + 1)  # it may grow meanwhile, and files of /proc say that they are empty
    if len(content) > most:
        raise ValueError(f"it has no end within {most:,} bytes")
    return content


def read_text(path: Path, *, most: int = MOST) -> str:
    """Read a text file in UTF-8. Raises `OSError` and `ValueError`, as `check_regular` and for what is no text."""
    return read_bytes(path, most=most).decode("utf-8-sig")


def read_pairs(path: Path, *, called: str, hint: str) -> list[tuple[str, str]]:
    """Read a table of two columns, its header with the rest; between them stands a comma, a semicolon or a tab.

    Parameters
    ----------
    path
        The file.
    called
        What it holds, for a message: groups.
    hint
        What a message says besides.

    Raises
    ------
    QuestionError
        If it cannot be read, or a row has not two cells.
    """
    try:
        text = read_text(path)
        separator = max(",;\t", key=text.partition("\n")[0].count)
        rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text), delimiter=separator)]
    except (OSError, ValueError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise QuestionError(f"The {called} in {path} cannot be read: {reason}.", hint=hint) from error
    rows = [row for row in rows if any(row)]
    if wrong := next((row for row in rows if len(row) != 2 or not all(row)), None):
        raise QuestionError(f"The {called} in {path} have a row {wrong}.", hint=hint)
    return [(first, second) for first, second in rows]


def read_json(path: Path, *, most: int = MOST, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """Read a file of JSON. Raises `OSError` and `ValueError`, as `read_text` and `parse_json`."""
    return parse_json(read_text(path, most=most), pairs=pairs)


def parse_json(text: str | bytes, *, pairs: Callable[[list[tuple[str, Any]]], Any] | None = None) -> Any:
    """Read JSON; `pairs` makes something else than a dict of an object's pairs.

    Raises
    ------
    ValueError
        If it is no JSON, nested deeper than Python can read, or a text in it holds half a character.

    Examples
    --------
    >>> parse_json("[" * 100_000)
    Traceback (most recent call last):
    ValueError: it is nested too deeply
    """
    written = text if isinstance(text, str) else text.decode("utf-8-sig")
    try:
        value = json.loads(written, object_pairs_hook=pairs)
        if _HALF.search(written):
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except UnicodeEncodeError:
        raise ValueError("a text in it holds half a character") from None
    return value
