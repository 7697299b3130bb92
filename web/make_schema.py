"""Write the types of the explorer's messages for the front end, from the dataclasses that the server answers with.

No server is needed, and a test holds the written file against the classes: ``python web/make_schema.py [--check]``.
"""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from pathlib import Path

from iconoscope.explorer import messages

SCHEMA = Path(__file__).parent / "src" / "explorer" / "schema.ts"

_HEAD = "// The messages between server and front end: written by web/make_schema.py from explorer/messages/, not by hand.\n"
_PLAIN = {str: "string", int: "number", float: "number", bool: "boolean", types.NoneType: "null"}


def type_name(annotation: object) -> str:
    """Give the TypeScript for the type of a field."""
    if annotation in _PLAIN:
        return _PLAIN[typing.cast(type, annotation)]
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        return annotation.__name__
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is list:
        item = type_name(arguments[0])
        return f"({item})[]" if "|" in item else f"{item}[]"
    if origin is dict:
        return f"Record<{type_name(arguments[0])}, {type_name(arguments[1])}>"
    if origin is typing.Literal:
        return " | ".join(f'"{choice}"' for choice in arguments)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(type_name(argument) for argument in arguments)
    raise TypeError(f"The schema has no TypeScript for {annotation!r}; add it to type_name in {Path(__file__).name}.")


def schema() -> str:
    """Give the whole file."""
    interfaces: list[str] = []
    for name, message in vars(messages).items():
        if not (isinstance(message, type) and dataclasses.is_dataclass(message)):
            continue
        hints = typing.get_type_hints(message)
        lines = [f"  {each.name}: {type_name(hints[each.name])};" for each in dataclasses.fields(message)]
        interfaces.append("\n".join([f"export interface {name} {{", *lines, "}\n"]))
    return "\n".join([_HEAD, *interfaces])


def main() -> None:
    """Write the file, or say that it is stale."""
    if "--check" in sys.argv:
        if SCHEMA.read_text(encoding="utf-8") != schema():
            sys.exit(f"{SCHEMA} is not what the messages are; `make web` writes it again.")
        return
    SCHEMA.write_text(schema(), encoding="utf-8")


if __name__ == "__main__":
    main()
