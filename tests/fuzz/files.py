"""Cases of files: a valid one of each kind with bits flipped, cut off, or with values of another type or size."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fuzz.options import NETWORK, command

if TYPE_CHECKING:
    from fuzz.run import Case

PREDICT = f"predict {NETWORK} --images"
SAID = "--images picture.png --classes a,b --preprocessing preprocessing.json"
OWN = "factory.py:car_network --classes a,b --preprocessing preprocessing.json"
WEIGHED = f"predict --network {OWN} --images photographs --limit 1"
READERS = {
    **{f"picture.{suffix}": f"{PREDICT} CHANGED" for suffix in ("png", "jpg", "gif", "bmp", "tif", "webp", "ppm")},
    "deep.png": f"{PREDICT} CHANGED",
    "set.npy": f"{PREDICT} CHANGED",
    "set.npz": f"{PREDICT} CHANGED",
    "set.tar": f"{PREDICT} CHANGED",
    "set.parquet": f"{PREDICT} CHANGED",
    "list.csv": f"{PREDICT} CHANGED",
    "list.jsonl": f"{PREDICT} CHANGED",
    "labels.csv": f"{PREDICT} photographs --limit 1 --labels CHANGED",
    "labels.json": f"{PREDICT} photographs --limit 1 --labels CHANGED",
    "boxes.csv": f"occlude {NETWORK} --patch 48 --limit 1 --store tried --images photographs --boxes CHANGED",
    "boxes.json": f"occlude {NETWORK} --patch 48 --limit 1 --store tried --images photographs --boxes CHANGED",
    "masks.npy": f"occlude {NETWORK} --patch 48 --limit 1 --store tried --images photographs --masks CHANGED",
    "coco.json": f"occlude {NETWORK} --patch 48 --limit 1 --store tried --images photographs --masks CHANGED --labels CHANGED",
    "maps.npy": f"faithfulness {NETWORK} --images photographs --steps 2 --store tried --maps CHANGED",
    "voc/Annotations/a.xml": f"predict {NETWORK} --images tried-voc",
    "voc/ImageSets/Main/all.txt": f"predict {NETWORK} --images tried-voc/ImageSets/Main/all.txt",
    "preprocessing.json": "predict --network cars --images picture.png --preprocessing CHANGED",
    "classes.json": "predict --network cars --images picture.png --classes CHANGED",
    "classes.txt": "predict --network cars --images picture.png --classes CHANGED",
    "concept.txt": "find --concept CHANGED --store recorded --permutations 9 --out tried.png",
    "weights.safetensors": "predict --network cars --images picture.png --checkpoint CHANGED",
    "weights.pt": f"{WEIGHED} --checkpoint CHANGED",
    "script.pt": f"predict --network CHANGED {SAID} --trust-code",
    "model.pt2": f"predict --network CHANGED {SAID} --trust-code",
    "script.pt ": f"predict --network CHANGED {SAID}",
    "model.pt2 ": f"predict --network CHANGED {SAID}",
    "factory.py": "layers --network CHANGED:car_network --classes a,b --preprocessing preprocessing.json",
    "prior.safetensors": f"optimize logit:lynx {NETWORK} --steps 1 --store tried --out tried.png --prior CHANGED",
    "run": "report --store tried-run --path tried.html",
    "recorded": "top logit:lynx --k 1 --steps 1 --store tried-run --out tried.png",
    "picture.png ": f"optimize logit:lynx {NETWORK} --steps 1 --store tried --out tried.png --start CHANGED",
    "picture.jpg ": f"occlude {NETWORK} --patch 48 --limit 1 --store tried --images photographs --fill CHANGED",
}
VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 7, 10**6, 2**31, 2**63, 10**400, 1e308, float("nan"), float("inf"), -0.5, "", "x", "\0", "\ud800",
    "\x1b[31m",
    "a" * 100_000, [], {}, [[[[1]]]], [None], {"a": {}}, ["x"] * 1000,
)  # fmt: skip


def flipped(generator: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(generator.choice((1, 1, 3, 30))):
        # The head of a file says how large it is: half of the changes are there.
        most = len(changed) if generator.random() < 0.5 else min(len(changed), 200)
        changed[generator.randrange(most)] = generator.choice((0, 255, 127, 128, 1, generator.randrange(256)))
    return bytes(changed)


def cut(generator: random.Random, content: bytes) -> bytes:
    return content[: generator.randrange(len(content))]


def longer(generator: random.Random, content: bytes) -> bytes:
    place = generator.randrange(len(content))
    filling = generator.choice(
        (b"\0" * 1000, b"[" * 100_000, b"\xff" * 9, b"\x1b[31m", b"9" * 5000, b'"', b"\n\n", content)
    )
    return content[:place] + filling + content[place:]


def _npy(shape: str) -> bytes:
    return (
        b"\x93NUMPY\x01\x00v\x00"
        + f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode()
        + b"\n"
    )


OTHERS = (
    *(
        b"",
        b"\0",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"null",
        b"{}",
        b"[]",
        b"7",
        b'"x"',
        b"\xff\xfe",
        b"PK\x03\x04",
        b"\x80\x04",
    ),
    *(
        _npy("(-1, 9, 9, 3)"),
        _npy("(9999999, 99999, 9, 3)"),
        b"\x93NUMPY",
        b"P6 1000000 1000000 255\n",
        b"P5 1 1 65535\n",
    ),
    *(b"\xff" * 8 + b"{}", b"\x02\0\0\0\0\0\0\0{}", b"a\nb\nc\n" * 3),
)


def other(generator: random.Random, content: bytes) -> bytes:
    return generator.choice(OTHERS)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from _places(value[key], (*path, key))


def retyped(generator: random.Random, content: bytes) -> bytes:
    """Put another value into one place of JSON."""
    value = json.loads(content)
    path = generator.choice(list(_places(value)))
    new = generator.choice(VALUES)
    if not path:
        return json.dumps(new).encode()
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    if isinstance(inner, dict) and generator.random() < 0.2:
        del inner[path[-1]]
    else:
        inner[path[-1]] = new
    return json.dumps(value).encode()


def _retyped_metadata(generator: random.Random, content: bytes) -> bytes:
    """Put another value into the JSON in the metadata, or into the header, of a safetensors file."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    if generator.random() < 0.7:
        name = generator.choice(list(header["__metadata__"]))
        try:
            header["__metadata__"][name] = retyped(generator, header["__metadata__"][name].encode()).decode()
        except ValueError:
            header["__metadata__"][name] = "["
        written = json.dumps(header).encode()
    else:
        written = retyped(generator, json.dumps(header).encode())
    return len(written).to_bytes(8, "little") + written + content[8 + length :]


CHANGES: tuple[Callable[[random.Random, bytes], bytes], ...] = (flipped, flipped, cut, longer, other)


def _changed(generator: random.Random, path: Path, content: bytes) -> tuple[str, bytes]:
    own = {".json": retyped, ".safetensors": _retyped_metadata}.get(path.suffix)
    change = generator.choice(CHANGES if own is None else (*CHANGES, own, own, own, own))
    return change.__name__.strip("_"), change(generator, content)


def _ask(arguments: list[str], place: Path, content: bytes, around: Path | None, tree: Path | None) -> int:
    if around is not None and tree is not None:
        shutil.copytree(around, tree)
    place.write_bytes(content)
    return command(arguments)  # which deletes it


def cases(generator: random.Random, folder: Path) -> Iterator[Case]:
    """Change a file of every kind."""
    while True:
        name, reader = generator.choice(list(READERS.items()))
        name, around, tree = name.strip(), None, None
        if name.startswith(("run", "recorded", "voc")):  # a file within a folder
            around = Path(name).parts[0] if "/" in name else name
            around, tree = Path(around), Path("tried-voc" if name.startswith("voc") else "tried-run")
            path = (
                Path(name)
                if "/" in name
                else generator.choice(sorted(file for file in around.rglob("*") if file.is_file()))
            )
            place = tree / path.relative_to(around)
        else:
            path = Path(name)
            place = Path(f"tried-file{path.suffix}")
        how, content = _changed(generator, path, path.read_bytes() or b"x")
        arguments = reader.replace("CHANGED", str(place)).split()
        yield f"{path} {how}: {arguments[0]}", partial(_ask, arguments, place, content, around, tree)
