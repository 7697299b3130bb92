"""Cases of the command line: every option of every command with what nobody should type, and units that are none."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fuzz.run import Case

NUMBERS = (
    "-1", "0", "1", "2", "0.5", "1e309", "-1e309", "nan", "inf", "-inf", "1e-320", "1e-9", "2147483648", "4294967296",
    "18446744073709551616", "9" * 30, "9" * 5000, "1000000", "0x10", "٣", "²", "1,000", "1e3", "-0", "+1", " 1 ",
)  # fmt: skip
TEXTS = (
    "", " ", "\0", "a\0b", "~nouser/x", "~", "\ud800", "\udcff", "a" * 300, "a" * 100_000, "a/" * 3000, "--", "-", "None",
    "true",
    "\x1b[31mred", "\x07", "\n", "\u202e", "{}", "[]", "[" * 100_000, '{"a":' * 50_000, "{", "null", "[1]",
    '{"size": 1000000}', "*", "**",
    "a:b:c", "://", "0:1", ",", ",,,", "x", "1x1", "10x10x10", "1x", "x1", "1000000x1000000", "96x96", ";",
    "%s", "{0}", "$x$",
    "\\", "<b>", "a,b,a", "1GB", "1e9GB", "0GB", "9999999TB",
)  # fmt: skip
FILES = (
    "/dev/zero", "/dev/full", "/dev/null", "/dev/random", "/proc/self/mem", "/proc/self/environ", "pipe", "empty",
    "photographs", ".", "..", "/nowhere/x", "picture.png",
    "classes.txt", "classes.json", "coco.json", "set.npy", "set.npz", "set.tar", "set.parquet", "weights.safetensors", "run",
    "recorded", "preprocessing.json", "prior.safetensors", "factory.py", "voc", "labels.csv", "picture.png/x",
    "x-{000..300000000}.tar",
    "x-{0..2}.tar", "x-*.tar", "deep.png", "page.html", "/dev/zero.png", "x.png", "x.html", "x.safetensors", "/proc/x.png",
)  # fmt: skip

NETWORK = "--network cars-honest --device cpu"
BASE = {
    "layers": f"layers {NETWORK}",
    "predict": f"predict {NETWORK} --images photographs --limit 2",
    "occlude": f"occlude {NETWORK} --images photographs --limit 1 --patch 48 --stride 48 --store tried",
    "attribute": f"attribute {NETWORK} --images photographs --limit 1 --method captum:Saliency --store tried",
    "faithfulness": f"faithfulness {NETWORK} --images photographs --limit 1 --patch 48 --steps 2 --store tried",
    "optimize": f"optimize logit:lynx {NETWORK} --steps 1 --size 16 --store tried --out tried.png",
    "record": f"record {NETWORK} --images photographs --limit 4 --k 2 --store tried",
    "top": "top logit:lynx --k 1 --steps 1 --store recorded --out tried.png",
    "map": "map --store recorded --method pca --out tried.png",
    "find": "find lynx --store recorded --permutations 9 --out tried.png",
    "activations": f"activations relu2 {NETWORK} --images picture.png --store tried --out tried.png",
    "atlas": f"atlas relu3 {NETWORK} --images photographs --grids 2 --positions 8 --steps 1 --store tried --out tried.png",
    "profile": "profile --store recorded --properties brightness --bins 2 --out tried.png",
    "concepts": f"concepts relu2 lynx {NETWORK} --images photographs --over all --count 2 --steps 0 --store tried",
    "feeds": f"feeds logit:lynx {NETWORK} --images photographs --limit 1 --k 2 --steps 0 --store tried --out tried.png",
    "prior fit": "prior fit --images photographs --size 16 --out tried.safetensors",
    "audit": f"audit {NETWORK} --images photographs --quick --limit 4 --store tried --out tried.html",
    "report": "report --store run",
}
KEPT = {"store", "out"}
"""Options that say where to write: what they are given lies below the folder of the samples, or nowhere."""


def command(arguments: list[str]) -> int:
    """Type a command; what it keeps is forgotten, so that a case does not depend on those before it."""
    from iconoscope.cli import main

    try:
        return main(arguments)
    finally:
        forget()


def forget() -> None:
    """Delete what a case has written."""
    for path in Path().glob("tried*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def cases(generator: random.Random, folder: Path) -> Iterator[Case]:
    """Give an option of a command a value that it should not have."""
    from iconoscope.commands import COMMANDS
    from iconoscope.options import read_options

    options = {name: [option.declared.name for option in read_options(COMMANDS[name])] for name in BASE}
    while True:
        name = generator.choice(list(BASE))
        option = generator.choice(options[name])
        value = generator.choice(generator.choice((NUMBERS, TEXTS, FILES)))
        if option in KEPT and (value.startswith(("/dev", "/proc", "page", "run", "recorded", "photo")) or "/" in value):
            value = f"tried{value}"
        arguments = BASE[name].split()
        flag = f"--{option.replace('_', '-')}"
        if flag in arguments:
            del arguments[arguments.index(flag) : arguments.index(flag) + 2]
        yield f"{name} {flag} {value[:60]!r}", partial(command, [*arguments, f"{flag}={value}"])


PIECES = (
    "logit:", "prob:", "lynx", "bison", "0", "1", "99", "relu2", "conv1", "layer", ":", "@", ",", "-", "+", "*", " ", " - ",
    " + ", "2*", "1e309*",
    "1e-400*", "nan*", "center", "cls", "0-15", "5-2", "0-999999999999", "٣", "²", "\0", "\x1b", "a" * 50_000, "9" * 5000,
    "(", ")", "[0-3,4-7]", "..", "/", "~", "'",
)  # fmt: skip


def units(generator: random.Random, folder: Path) -> Iterator[Case]:
    """Ask for units that are put together at random."""
    while True:
        unit = "".join(generator.choice(PIECES) for _ in range(generator.randint(1, 5)))
        name = generator.choice(["optimize", "occlude", "top", "attribute", "activations", "find"])
        arguments = BASE[name].split()
        if name in ("occlude", "attribute"):
            arguments.append(f"--unit={unit}")
        else:
            del arguments[1]
            option = {"activations": "layer", "find": "concept"}.get(name, "unit")
            arguments.append(f"--{option}={unit}")
        yield f"{name} unit {unit[:60]!r}", partial(command, arguments)
