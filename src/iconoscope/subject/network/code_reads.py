"""Names that a function's bytecode reads: globals, attributes, imports and variables of the environment."""

from __future__ import annotations

import dis
import functools
import importlib.machinery
import importlib.util
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["CodeReads", "codes", "import_names", "reads_of", "source_of"]

_GLOBAL = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
_COMPUTED = ("getattr", "vars", "__dict__", "__getattribute__", "attrgetter")
_ENVIRONMENT = ("environ", "environb", "getenv", "getenvb")
_TO_THE_KEY = ("LOAD_METHOD", "LOAD_ATTR", "PUSH_NULL", "PRECALL", "CACHE")


@dataclass(frozen=True)
class CodeReads:
    """Reads of one function and of the functions within it.

    Attributes
    ----------
    globals : tuple of str
        Names of globals.
    attributes : frozenset of str
        Names of attributes, of whatever object.
    imports : tuple of (int, str, tuple of str)
        Modules imported when the function runs: how many dots, the name, and what is taken out of them.
    environment : frozenset of str or None
        Variables of the environment; None stands for those whose names the code does not state.
    computed : bool
        Whether it may read attributes whose names it does not state.
    """

    globals: tuple[str, ...]
    attributes: frozenset[str]
    imports: tuple[tuple[int, str, tuple[str, ...]], ...]
    environment: frozenset[str | None]
    computed: bool


def codes(code: types.CodeType) -> list[types.CodeType]:
    """Give a function's code and that of the functions within it."""
    within = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return [code, *(inner for constant in within for inner in codes(constant))]


@functools.lru_cache(4096)
def reads_of(code: types.CodeType) -> CodeReads:
    """Give what a function reads.

    >>> import os
    >>> reads = reads_of((lambda batch: batch.relu() * GAIN * float(os.environ["SCALE"])).__code__)
    >>> reads.globals, sorted(reads.attributes), reads.environment
    (('GAIN', 'float', 'os'), ['environ', 'relu'], frozenset({'SCALE'}))
    """
    names: set[str] = set()
    attributes: set[str] = set()
    imports: list[tuple[int, str, tuple[str, ...]]] = []
    environment: set[str | None] = set()
    for inner in codes(code):
        instructions = [step for step in dis.get_instructions(inner) if step.opname not in ("CACHE", "EXTENDED_ARG")]
        for number, step in enumerate(instructions):
            if step.opname == "IMPORT_NAME":
                level, taken = (instructions[number - back].argval for back in (2, 1))
                imports.append((level, step.argval, taken or ()))
            elif step.opname in _GLOBAL:
                names.add(step.argval)
            elif "NAME" in step.opname or "GLOBAL" in step.opname or step.argval not in inner.co_names:
                continue  # stores of globals
            elif not step.opname.startswith(("STORE", "DELETE", "LOAD_CONST")):
                attributes.add(step.argval)
            if step.argval in _ENVIRONMENT and step.opname != "IMPORT_FROM":
                environment.add(_key_after(instructions[number + 1 :]))
    computed = bool((names | attributes) & set(_COMPUTED))
    return CodeReads(tuple(sorted(names)), frozenset(attributes), tuple(imports), frozenset(environment), computed)


def _key_after(instructions: list[dis.Instruction]) -> str | None:
    """Give the constant that the environment is asked for; None if it is none."""
    following = next((step for step in instructions if step.opname not in _TO_THE_KEY), None)
    key = following.argval if following is not None and following.opname == "LOAD_CONST" else None
    return key.decode(errors="replace") if isinstance(key, bytes) else key if isinstance(key, str) else None


def import_names(package: str, reads: CodeReads) -> Iterator[str]:
    """Give the full names of the modules that a function in a package imports, and of what may be modules in them."""
    for level, name, taken in reads.imports:
        try:
            full = importlib.util.resolve_name("." * level + name, package or None)
        except ImportError:  # too many dots: the function fails too
            continue
        parts = full.split(".")
        yield from (".".join(parts[: last + 1]) for last in range(len(parts)))
        yield from (f"{full}.{inner}" for inner in taken if inner != "*")


def source_of(name: str) -> Path | None:
    """Give the file of a module that is not imported yet, without importing anything; None if there is none."""
    folders, spec = None, None
    for part in name.split("."):
        spec = importlib.machinery.PathFinder.find_spec(part, folders)
        if spec is None:
            return None
        folders = spec.submodule_search_locations or []
    return Path(spec.origin) if spec is not None and spec.origin and Path(spec.origin).is_file() else None
