"""WebDataset: shards of tar files, in which the files of one sample follow each other under one key.

The headers of the members are read once, by `tarfile`; an image is then read from its place in the file. The library
`webdataset` reads shards as streams: it gives no image by its number, and skips or ends at what is damaged. No index is
written beside the shards, since they may lie where nothing can be written, and headers are read at the speed of the disk.
"""

from __future__ import annotations

import re
import tarfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import ImageFileError, ImagesError, shortened
from iconoscope.reading import check_regular, parse_json
from iconoscope.remote_file import RemoteFile
from iconoscope.subject.images.decoding import SUFFIXES
from iconoscope.subject.images.encoded_images import EncodedImages
from iconoscope.subject.images.source import Label

__all__ = ["check_missing", "expand_shards", "numbered_shards", "open_webdataset"]

# The name of a member: its key ends at the first dot after the last slash, and the rest says what it is.
MEMBER = re.compile(r"(?P<key>(?:.*/)?[^/.]+)\.(?P<kind>[^/]+)")
LABEL_BYTES = 2**24
SHARDS = 1_000_000
"""Files that a pattern may name."""

LABEL_FIELDS = ("label", "cls", "class", "target")
COMPRESSED = {b"\x1f\x8b": "gzip", b"BZ": "bzip2", b"\xfd7": "xz", b"\x28\xb5": "zstd"}


@dataclass(frozen=True)
class TarReader:
    """Members of tar files, each read from its place: seeking once is as fast as a file of its own.

    Attributes
    ----------
    shards : sequence of Path or RemoteFile
        The tar files.
    places : ndarray
        (n, 3) int64: the shard, the first byte, and how many bytes.
    """

    shards: Sequence[Path | RemoteFile] = field(repr=False)
    places: NDArray[np.int64] = field(repr=False)

    def __call__(self, row: int, id: str) -> bytes:
        """Read the member from its place."""
        shard, start, size = self.places[row].tolist()
        try:
            tar = self.shards[shard]
            if isinstance(tar, RemoteFile):
                content = tar.range(start, size)
            else:
                with tar.open("rb") as file:
                    file.seek(start)
                    content = file.read(size)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ImageFileError(f"{id} cannot be read: {self.shards[shard]}: {reason}") from error
        if len(content) < size:
            raise ImageFileError(f"{id} cannot be read: {self.shards[shard]} ends before it does")
        return content


def expand_shards(pattern: str) -> list[Path]:
    """List the files of ``shard-{000000..000012}.tar`` or ``*.tar``. Raises `ImagesError` where one is missing."""
    if names := numbered_shards(pattern):
        paths = [Path(name).expanduser() for name in names]
        check_missing(pattern, [path.name for path in paths if not path.is_file()], len(paths))
        return paths
    path = Path(pattern).expanduser()
    if not (paths := sorted(path.parent.glob(path.name))):
        raise ImagesError(f"No file is named {pattern}.")
    return paths


def numbered_shards(pattern: str) -> list[str]:
    """Give the names that ``{000000..000012}`` stands for; none where there is no range. Raises `ImagesError`."""
    braces = re.search(r"\{(\d+)\.\.(\d+)\}", pattern)
    if not braces:
        return []
    first, last = braces[1], braces[2]
    if max(len(first), len(last)) > 18 or int(last) - int(first) >= SHARDS:
        raise ImagesError(
            f"{shortened([pattern])} names more than {SHARDS:,} shards.", hint="Give the range that is there."
        )
    return [
        f"{pattern[: braces.start()]}{number:0{len(first)}d}{pattern[braces.end() :]}"
        for number in range(int(first), int(last) + 1)
    ]


def check_missing(pattern: str, missing: Sequence[str], count: int) -> None:
    """Say which of the shards that a range names are not there. Raises `ImagesError`."""
    if missing:
        raise ImagesError(
            f"{pattern}: {len(missing)} of {count} shards are not there: {shortened(missing)}.",
            hint="Give the range that is there, as {000..012}, or * for all there are.",
        )


def open_webdataset(shards: Sequence[Path | RemoteFile], origin: str) -> EncodedImages:
    """Read where the members of the shards lie, and their labels. Raises `ImagesError` for what is no whole tar."""
    places: list[tuple[int, int, int]] = []
    keys: list[tuple[str, str]] = []
    labels: list[Label] = []
    kinds: Counter[str] = Counter()
    for number, path in enumerate(shards):
        samples = _samples(path)
        with _opened(path) as shard:
            for key, files in samples:
                kinds.update(files.keys())
                if (kind := _image_kind(files)) is None:
                    continue
                places.append((number, *files[kind]))
                keys.append((path.stem, key))
                labels.append(_label(shard, f"{path}: {key}", files))
    if not places:
        content = f"the members end in {shortened(f'.{kind}' for kind in kinds)}" if kinds else "there are no members"
        raise ImagesError(
            f"{origin} holds no images: {content}.", hint="A sample is key.jpg (png, webp ...) and key.cls or key.json."
        )
    counts = Counter(key for _, key in keys)
    ids = [key if counts[key] == 1 else f"{shard}#{key}" for shard, key in keys]
    if twice := [id for id, count in Counter(ids).items() if count > 1]:
        raise ImagesError(
            f"{origin} holds samples of the same key: {shortened(twice)}.", hint="A key is there once in a shard."
        )
    return EncodedImages(origin, ids, labels, TarReader(list(shards), np.array(places, np.int64)))


def _samples(path: Path | RemoteFile) -> list[tuple[str, dict[str, tuple[int, int]]]]:
    """Group the members of one shard: for every sample its key, and where its files lie, by what they are."""
    samples: list[tuple[str, dict[str, tuple[int, int]]]] = []
    try:
        if isinstance(path, Path):
            check_regular(path, most=None)
        with _opened(path) as file:
            magic = file.read(2)
        if magic in COMPRESSED:
            raise ImagesError(
                f"{path} is compressed ({COMPRESSED[magic]}), and its members cannot be read one by one.",
                hint="Unpack it once to a plain .tar: images in it are compressed already.",
            )
        with _opened(path) as file, tarfile.open(fileobj=file, mode="r:") as archive:
            for member in archive:
                name = MEMBER.fullmatch(member.name.removeprefix("./"))
                if not member.isreg() or not name or name["key"].rpartition("/")[2].startswith("."):
                    continue
                key, kind = name["key"], name["kind"].lower()
                if not samples or samples[-1][0] != key or kind in samples[-1][1]:
                    samples.append((key, {}))
                samples[-1][1][kind] = (member.offset_data, member.size)
                archive.members = []  # type: ignore[assignment] -- tarfile keeps them all
    except (tarfile.TarError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ImagesError(
            f"{path} cannot be read as a tar file: {reason}.",
            hint="It may be empty, cut off, or something else; fetch it again.",
        ) from error
    return samples


def _opened(path: Path | RemoteFile) -> BinaryIO:
    return BufferedReader(path.open(ahead=True)) if isinstance(path, RemoteFile) else path.open("rb")


def _image_kind(files: dict[str, Any]) -> str | None:
    kinds = [kind for kind in files if f".{kind}" in SUFFIXES]
    kinds += [kind for kind in files if f".{kind.rpartition('.')[2]}" in SUFFIXES]
    return kinds[0] if kinds else None


def _label(shard: BinaryIO, name: str, files: dict[str, tuple[int, int]]) -> Label:
    kind = next((kind for kind in ("cls", "json") if kind in files), None)
    if kind is None:
        return None
    start, size = files[kind]
    shard.seek(start)
    text = shard.read(min(size, LABEL_BYTES + 1))
    try:
        if size > LABEL_BYTES:
            raise ValueError(f"it has {size:,} bytes")
        if kind == "cls":
            label = text.decode().strip()
            return int(label) if re.fullmatch(r"-?\d{1,18}", label) else label or None
        fields = parse_json(text)
    except ValueError as error:
        raise ImagesError(f"{name}.{kind} cannot be read: {error}.", hint="A .cls is a number or a name.") from error
    value = next((fields[name] for name in LABEL_FIELDS if name in fields), None) if isinstance(fields, dict) else None
    return value if isinstance(value, str | int) and not isinstance(value, bool) else None
