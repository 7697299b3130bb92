"""Image sets of the library `datasets`: from the hub by name, from a folder that it reads, or that `save_to_disk` wrote.

The columns of images are taken with ``decode=False``: the bytes come here, and are decoded as all others are.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from iconoscope.errors import (
    IconoscopeError,
    ImageFileError,
    ImagesError,
    QuestionError,
    check_path,
    first_line,
    nearest,
)
from iconoscope.extras import import_extra
from iconoscope.reading import read_json
from iconoscope.subject.images.encoded_images import EncodedImages, named_labels
from iconoscope.subject.images.folder import SPLITS, missing_path
from iconoscope.subject.images.parquet import LABEL_COLUMNS, image_column, image_in_cell, path_field, unique_names
from iconoscope.subject.images.source import Label

__all__ = ["is_hub_set", "is_saved", "open_hub", "open_hub_set", "open_saved"]

FORM = "Written hf:name, hf:org/name, and after it as needed :configuration, @revision, /split and [:100]."
NAMED = re.compile(
    r"(?P<name>[\w.-]+(?:/[\w.-]+)??)(?::(?P<config>[\w.-]+))?(?:@(?P<revision>[\w.-]+))?"
    r"(?:/(?P<split>[\w.-]+))?(?:\[:(?P<count>\d{1,18})\])?"
)
# Where a file of the hub lies on this machine or at the hub, in front of its path in the set.
PLACES = re.compile(r"^.*?(?:/snapshots/[0-9a-f]{6,}/|/extracted/[0-9a-f]{6,}/|@[0-9a-f]{40}/)")
# Seconds for the first answer of the hub; `datasets` itself would go on trying for half a minute.
PATIENCE = 10
# Rows whose paths are read at a time.
PIECE = 1000


@dataclass(frozen=True)
class TableReader:
    """Images in a column of a `datasets.Dataset`, on disk, or of rows in memory."""

    table: Any = field(repr=False)
    column: str

    def __call__(self, row: int, id: str) -> bytes | Path:
        """Give the bytes, or the file that the row names."""
        try:
            cell = self.table[row][self.column]
        except Exception as error:  # whatever Arrow and the library raise on a damaged file
            raise ImageFileError(f"{id} cannot be read: {first_line(error, most=200)}") from error
        return image_in_cell(cell, id, Path())


def open_hub(address: str, limit: int | None = None) -> EncodedImages:
    """Load ``hf:...`` by `datasets.load_dataset`; only the first few rows are fetched where there is a limit.

    Raises
    ------
    ImagesError
        There is no such set, the hub cannot be reached, or the set holds no images.
    QuestionError
        It has several splits or configurations, and none is named.
    MissingExtraError
        `datasets` is not installed.
    """
    datasets = import_extra("datasets", "datasets", address)
    named = re.sub(r"^//+", "/", address.removeprefix("hf:"))
    if not named.strip("/"):
        raise QuestionError(f"{address} names no set of images.", hint=FORM)
    check_path("images", named)
    local = _local(named)
    if local is not None:
        path, split, count = local
        if is_saved(path / split):
            return open_saved(path / split, address)
        name, config, revision, online, streams, failure = str(path), None, None, False, True, ""
    else:
        parsed = NAMED.fullmatch(named)
        if not parsed:
            raise QuestionError(f"{address} names no set of images.", hint=FORM)
        name, config, revision, split, count = parsed.group("name", "config", "revision", "split", "count")
        if "/" not in name and split and split.lower() not in SPLITS and not (config or revision):
            name, split = f"{name}/{split}", None  # hf:org/name; hf:name/test is a split
        failure = _ask(name, revision, address)
        online = streams = not failure
    limit = min(number for number in (limit, int(count or 0)) if number) if limit or count else None
    set_address = address.partition("[:")[0]
    bars = local is None and sys.stderr.isatty()
    with _as_images_error(address, FORM if local is None else ""), _set_up(datasets, offline=not online, bars=bars):
        try:
            splits = datasets.get_dataset_split_names(name, config, revision=revision)
        except ConnectionError as error:
            raise ImagesError(
                f"{address}: the hub cannot be reached, and the set was not loaded on this machine before ({failure}).",
                hint="Check the connection; or load a folder of images, a .parquet file, or what save_to_disk wrote.",
            ) from error
        split = _chosen(split, splits, set_address)
        origin = set_address if set_address.endswith(f"/{split}") else f"{set_address}/{split}"
        if limit is not None and streams:
            stream = datasets.load_dataset(name, config, split=split, revision=revision, streaming=True)
            if stream.features:
                return _prefix(stream, limit, f"{origin}[:{limit}]", split, root=name)
        dataset = datasets.load_dataset(name, config, split=split, revision=revision)
        if limit is not None:
            dataset, origin = dataset.select(range(min(limit, len(dataset)))), f"{origin}[:{limit}]"
        return open_hub_set(dataset, origin, split=split, root=name)


def is_saved(folder: Path) -> bool:
    """Tell whether `save_to_disk` of `datasets` wrote the folder."""
    return (folder / "dataset_dict.json").is_file() or (
        (folder / "state.json").is_file() and (folder / "dataset_info.json").is_file()
    )


def open_saved(folder: Path, origin: str = "") -> EncodedImages:
    """Open what `save_to_disk` wrote. Raises `ImagesError`, and `QuestionError` where it holds several splits."""
    origin = origin or str(folder)
    datasets = import_extra("datasets", "datasets", origin)
    with _as_images_error(origin):
        split = folder.name
        if (folder / "dataset_dict.json").is_file():
            splits = read_json(folder / "dataset_dict.json", most=2**24)["splits"]
            split = _chosen("", splits, origin.rstrip("/"))
            folder = folder / split
        return open_hub_set(datasets.load_from_disk(str(folder)), origin, split=split, root=str(folder))


def is_hub_set(candidate: Any) -> bool:
    """Tell whether it is an object of the library `datasets`, which is not imported for that."""
    return type(candidate).__module__.partition(".")[0] == "datasets"


def open_hub_set(
    dataset: Any, origin: str = "", *, split: str = "", root: str = "", limit: int | None = None
) -> EncodedImages:
    """Take a `datasets.Dataset`; of an `IterableDataset` the first few. Raises `ImagesError`."""
    kind = type(dataset).__name__
    if isinstance(dataset, Mapping):
        raise QuestionError(
            f"The {kind} holds the splits {', '.join(map(str, dataset))}: which one is meant?",
            hint=f'Give one of them, as data["{next(iter(dataset), "train")}"].',
        )
    split = split or str(getattr(dataset, "split", None) or "row")
    if not hasattr(dataset, "__getitem__") or "Iterable" in kind:
        if limit is None:
            raise ImagesError(f"The {kind} has no end that is known.", hint="Say how many images: limit=100.")
        with _as_images_error(kind):
            return _prefix(dataset, limit, origin or f"the first {limit} of a {kind}", split, root=root)
    origin = origin or f"{kind} of {len(dataset)} rows"
    with _as_images_error(origin):
        dataset = dataset.with_format(None)
        column, label, names = _columns(dataset.features, origin)
        table = _undecoded(dataset.select_columns([column]), column)
        if not len(table):
            raise ImagesError(f"{origin} holds no rows.")
        values = None if label is None else list(dataset.select_columns([label])[:][label])
        return _images(origin, table, column, _names(table, column, root), split, values, names)


def _local(name: str) -> tuple[Path, str, str | None] | None:
    """Read a path, with the split and the count after it; None where it is a name of the hub."""
    folder, count = (
        (counted[1], counted[2]) if (counted := re.fullmatch(r"(.*)\[:(\d{1,18})\]", name)) else (name, None)
    )
    path = Path(folder).expanduser()
    if folder and path.is_dir():
        return path, "", count
    is_path = folder.startswith(("/", ".", "~"))
    # The last part may be a split; of what could be a name of the hub too, only where it is called as splits are.
    split = path.parent.is_dir() and path.parent.absolute() not in (Path.cwd(), Path("/")) and not path.exists()
    if split and (is_path or path.name.lower() in SPLITS):
        return path.parent, path.name, count
    if is_path:
        raise missing_path(path)
    return None


def _ask(name: str, revision: str | None, address: str) -> str:
    """Ask the hub once, with little patience, whether there is such a set; give why it could not be asked, or "".

    Raises `ImagesError` where there is none.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        HfApi().dataset_info(name, revision=revision, timeout=PATIENCE)
    except GatedRepoError as error:
        raise ImagesError(
            f"{address}: the set is open only to those whom its owners let in.",
            hint=f"Ask for access at huggingface.co/datasets/{name}, then: hf auth login",
        ) from error
    except RevisionNotFoundError as error:
        raise ImagesError(f"{address}: the set has no revision {revision}.", hint=FORM) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise ImagesError(
            f"{address}: the hub has no such set of images, or it is private.",
            hint=f"{FORM} For a private set: hf auth login",
        ) from error
    except Exception as error:  # noqa: BLE001 -- each of its HTTP libraries has errors of its own; the cache is asked
        return first_line(error, most=200)
    return ""


@contextmanager
def _set_up(datasets: Any, *, offline: bool, bars: bool) -> Iterator[None]:
    """Let the library ask its cache alone, and show its bars only to somebody who waits for a download.

    Without the hub it would retry for half a minute, and then ask its cache too.
    """
    was_offline, hidden = datasets.config.HF_HUB_OFFLINE, datasets.utils.are_progress_bars_disabled()
    datasets.config.HF_HUB_OFFLINE = was_offline or offline
    if not bars:
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE = was_offline
        if not hidden:
            datasets.enable_progress_bars()


@contextmanager
def _as_images_error(origin: str, hint: str = "") -> Iterator[None]:
    try:
        yield
    except IconoscopeError:
        raise
    # The library answers with errors of its own, of its builders, of Arrow and of the connection.
    except Exception as error:
        raise ImagesError(f"{origin} cannot be loaded: {first_line(error, most=200)}", hint=hint) from error


def _chosen(split: str | None, splits: Sequence[str], address: str) -> str:
    if split and split not in splits:
        raise QuestionError(f"{address}: there is no split {split}.", hint=nearest(split, splits))
    if not split and len(splits) > 1:
        raise QuestionError(
            f"{address} holds the splits {', '.join(splits)}: which one is meant?",
            hint=f"Give one of them: {', '.join(f'{address}/{name}' for name in splits)}.",
        )
    return split or splits[0]


def _columns(features: Mapping[str, Any], origin: str) -> tuple[str, str | None, tuple[str, ...]]:
    """Find the column of images, that of labels, and the names of the classes."""
    column = image_column(
        {name: type(feature).__name__ for name, feature in features.items()},
        [name for name, feature in features.items() if _holds_images(feature)],
        origin,
        "Wanted is a column image or img of the type Image, or any one column of that type.",
    )
    classes = [name for name, feature in features.items() if type(feature).__name__ == "ClassLabel"]
    plain = [name for name in LABEL_COLUMNS if name in features and _holds_labels(features[name])]
    label = next(iter(plain), classes[0] if len(classes) == 1 else None)
    names = getattr(features[label], "names", None) if label else None
    return column, label, tuple(map(str, names or ()))


def _holds_images(feature: Any) -> bool:
    if isinstance(feature, Mapping):
        return "bytes" in feature
    return type(feature).__name__ == "Image" or getattr(feature, "dtype", "") in ("binary", "large_binary")


def _holds_labels(feature: Any) -> bool:
    return type(feature).__name__ == "ClassLabel" or (
        type(feature).__name__ == "Value" and re.match("u?int|string|large_string", feature.dtype) is not None
    )


def _undecoded(table: Any, column: str) -> Any:
    if type(table.features[column]).__name__ != "Image":
        return table
    import datasets

    return table.cast_column(column, datasets.Image(decode=False))


def _names(table: Any, column: str, root: str) -> list[str | None] | None:
    rows, names = table.with_format("arrow"), []
    for start in range(0, len(table), PIECE):
        cells = rows[start : start + PIECE].column(column)
        field_index = path_field(cells.type)
        if field_index < 0:
            return None
        names += cells.flatten()[field_index].to_pylist()
    return unique_names([_path(name, root) for name in names])


def _path(name: str | None, root: str) -> str | None:
    """Give the path within the set, whether it lies at the hub, in the cache, in an archive or in a folder."""
    if not name:
        return None
    name = PLACES.sub("", re.sub(r"^\w+://", "", name.partition("::")[0]))
    if root and Path(name).is_absolute() and Path(name).is_relative_to(Path(root).absolute()):
        return Path(name).relative_to(Path(root).absolute()).as_posix()
    return Path(name).name if Path(name).is_absolute() else name


def _prefix(stream: Any, limit: int, origin: str, split: str, *, root: str) -> EncodedImages:
    """Fetch the first rows of a stream, and keep their bytes as they are."""
    column, label, names = _columns(stream.features or {}, origin)
    columns = [column] if label is None else [column, label]
    rows = list(islice(_undecoded(stream.select_columns(columns), column), limit))
    if not rows:
        raise ImagesError(f"{origin} holds no rows.")
    cells = [row[column] for row in rows]
    paths = [_path(cell.get("path"), root) if isinstance(cell, Mapping) else None for cell in cells]
    values = None if label is None else [row[label] for row in rows]
    table = [{column: _fetched(cell)} for cell in cells]
    return _images(origin, table, column, unique_names(paths), split, values, names)


def _images(
    origin: str, table: Any, column: str, paths: Sequence[str | None] | None, split: str,
    values: Sequence[Label] | None, names: tuple[str, ...],
) -> EncodedImages:  # fmt: skip
    ids = [path or f"{split}#{row}" for row, path in enumerate(paths or [None] * len(table))]
    labels = None if values is None else named_labels(values, names)
    return EncodedImages(origin, ids, labels, TableReader(table, column), label_names=names)


def _fetched(cell: Any) -> Any:
    """Give the bytes of a cell that names a file elsewhere."""
    if not isinstance(cell, Mapping) or cell.get("bytes") or not cell.get("path") or Path(cell["path"]).is_file():
        return cell
    import fsspec

    with fsspec.open(cell["path"], "rb") as file:
        return {"bytes": file.read(), "path": cell["path"]}  # pyright: ignore[reportAttributeAccessIssue]
