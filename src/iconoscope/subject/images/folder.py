"""Image files: a folder with or without class folders, one file, or a list of files. Nothing is opened to list them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from iconoscope.columns import CodedColumn, text_column
from iconoscope.errors import ImagesError, QuestionError, nearest, shortened, warn
from iconoscope.subject.images.decoding import SUFFIXES
from iconoscope.subject.images.encoded_images import EncodedImages, FileReader

__all__ = ["DEBRIS", "SPLITS", "class_folders", "list_files", "missing_path", "open_files", "open_folder"]

SPLITS = ("train", "training", "val", "valid", "validation", "test", "testing")
# What archives and servers leave behind beside the images.
NAMES = 100
"""Names of one folder, by links, below another: more would have no end."""

DEBRIS = frozenset({"__MACOSX", "@eaDir", "$RECYCLE.BIN"})


def open_folder(folder: Path) -> EncodedImages:
    """List the images below a folder; the first folder level is the label.

    Raises `ImagesError` where there are none, `QuestionError` where it holds several splits.
    """
    paths = list_files(folder, SUFFIXES)
    if not paths:
        raise ImagesError(
            f"There are no images in {folder}.",
            hint=f"Looked at all depths for the suffixes {', '.join(sorted(SUFFIXES))} (hidden files left out), "
            "in the folder and its data/ for .parquet, and in the folder for .tar.",
        )
    ids = [_printable(path) for path in paths]
    labels, names = class_folders(ids, str(folder))
    kept_paths = text_column(paths)
    kept_ids = kept_paths if ids == paths else text_column(ids)
    reader = FileReader(folder, kept_paths)
    return EncodedImages(str(folder), kept_ids, CodedColumn.of(labels), reader, label_names=names)


def class_folders(paths: Sequence[str], folder: str) -> tuple[list[str | None], tuple[str, ...]]:
    """Read the classes from paths relative to a folder: the first level, or the second below a lone split.

    Gives the class of every path, None where it has none, and all classes, sorted. Raises `QuestionError` where there are
    several splits.
    """
    tops = {path.partition("/")[0] for path in paths if "/" in path}
    level = 0
    if all("/" in path for path in paths) and all(top.lower() in SPLITS for top in tops):
        if len(tops) > 1:
            choices = (f"{folder.rstrip('/')}/{top}" for top in sorted(tops))
            raise QuestionError(
                f"{folder} holds the splits {', '.join(sorted(tops))}: which one is meant?",
                hint=f"Give one of them: {', '.join(choices)}.",
            )
        level = 1
    labels = [path.split("/", level + 1)[level] if path.count("/") > level else None for path in paths]
    return labels, tuple(sorted({label for label in labels if label is not None}))


def open_files(files: Sequence[str | os.PathLike[str]]) -> EncodedImages:
    """Take a list of image files; the id is the file's name, or the path as given where names repeat."""
    paths = [Path(path).expanduser() for path in files]
    for path in paths:
        if not path.exists() and not path.is_symlink():
            raise missing_path(path)
    counts = Counter(path.name for path in paths)
    ids = [_printable(path.name if counts[path.name] == 1 else path.as_posix()) for path in paths]
    if repeated := [id for id, count in Counter(ids).items() if count > 1]:
        raise ImagesError(f"Files given more than once: {shortened(repeated)}.", hint="Give every file once.")
    origin = str(paths[0]) if len(paths) == 1 else f"{len(paths)} files"
    return EncodedImages(origin, ids, None, FileReader(Path(), [str(path) for path in paths]))


def list_files(root: Path, suffixes: Collection[str], *, depth: int | None = None) -> list[str]:
    """List the files below ``root`` with one of the suffixes, sorted, as paths relative to it with forward slashes.

    Hidden files and folders are left out. A link back to a folder above it ends there. ``depth`` is how many levels of
    folders to go down; None is all.
    """
    files: list[str] = []
    closed: list[str] = []
    pending: list[tuple[str, int, frozenset[tuple[int, int]]]] = [("", 0, frozenset())]
    entered: Counter[tuple[int, int]] = Counter()
    while pending:
        prefix, level, above = pending.pop()
        path = os.path.join(root, prefix)  # noqa: PTH118 -- a million Path objects take seconds
        try:
            status = os.stat(path)  # noqa: PTH116
            if (inode := (status.st_dev, status.st_ino)) in above:
                continue
            entered[inode] += 1
            if entered[inode] > NAMES:  # folders linked to each other have as many names as there are ways through them
                raise ImagesError(
                    f"Links in {root} lead to the folder {prefix.rstrip('/') or root} in over {NAMES} ways.",
                    hint="Give a folder whose folders are not linked to each other.",
                )
            with os.scandir(path) as entries:
                for entry in entries:
                    name = entry.name
                    if name[0] == "." or name in DEBRIS:
                        continue
                    if _is_folder(entry):
                        if depth is None or level < depth:
                            pending.append((f"{prefix}{name}/", level + 1, above | {inode}))
                    elif os.path.splitext(name)[1].lower() in suffixes:  # noqa: PTH122
                        files.append(prefix + name)
        except OSError as error:
            if not prefix:
                raise ImagesError(f"{root} cannot be listed: {(error.strerror or str(error)).lower()}.") from error
            closed.append(prefix.rstrip("/"))
    if closed:
        warn(f"{len(closed)} folders in {root} could not be opened and were left out: {shortened(sorted(closed))}.")
    return sorted(files)


def missing_path(path: Path) -> ImagesError:
    """Say that there is no such path, and what comes nearest to the part that is missing."""
    missing = path
    while missing.parent != missing and not missing.parent.exists():
        missing = missing.parent
    try:
        siblings = sorted(entry.name for entry in os.scandir(missing.parent) if entry.name[0] != ".")
    except OSError:
        siblings = []
    reason = "" if missing == path else f": there is no {missing}"
    return ImagesError(f"There is no {path}{reason}.", hint=nearest(missing.name, siblings))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _printable(path: str) -> str:
    # A name that is not UTF-8 comes with surrogates in it, which no JSON or HTML could be written with.
    return path if path.isascii() else path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
