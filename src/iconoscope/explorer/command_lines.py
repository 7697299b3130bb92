"""The lines of Python and of the shell that make a figure again: what the explorer shows can be had without it.

Folders of this disk are left out of them, as out of all that is answered: they are for where network and images lie. What
only Python can name, as an image of a table or a network from memory, has no line of the shell.
"""

from __future__ import annotations

import inspect
import json
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from iconoscope.exemplars.load_recording import find_recordings
from iconoscope.explorer.messages import Commands
from iconoscope.explorer.session import Session
from iconoscope.explorer.subject import Subject
from iconoscope.results.folders import without_folders
from iconoscope.subject.builtin import BUILTIN
from iconoscope.subject.network import Preprocessing

__all__ = ["asking", "growing", "of_images", "of_recording", "of_set", "on_image", "unusual"]

_ADDRESS = re.compile(r"[a-z][a-z0-9]*:\S+")
"""A set that lies elsewhere, as hf:name/split."""


def asking(subject: Subject, function: str, *positional: Any, command: str = "", **settings: Any) -> Commands:
    """Give the lines that ask the network: `function` of Python, and `command` of the shell if that has another name."""
    python = _python(subject, _call(function, "net", positional, settings))
    return Commands(python, _shell(subject, command or function, [*map(str, positional), *_options(settings)]))


def on_image(
    session: Session, subject: Subject, name: str, function: str, *positional: Any, command: str = "", **settings: Any
) -> Commands:
    """Give the lines that ask the network about one image.

    The shell's name it by its path where it is a file; where it is not, there are none.
    """
    images, variable, path = _image(session, name)
    python = _python(subject, _call(function, f"net, {variable}", positional, settings), images)
    # A layer is typed without its name, a unit with it.
    unit = [*map(str, positional)] if command else ["--unit", *map(str, positional)] if positional else []
    shell = _shell(subject, command or function, [*unit, "--images", path, *_options(settings)]) if path else ""
    return Commands(python, shell)


def growing(session: Session, subject: Subject, unit: str, start: str, **settings: Any) -> Commands:
    """Give the lines that make the picture of a unit from an image; the shell's where that is a file."""
    images, variable, path = _image(session, start)
    python = _python(subject, _call("optimize", f"net, {unit!r}, start={variable}", (), settings), images)
    shell = _shell(subject, "optimize", [unit, "--start", path, *_options(settings)]) if path else ""
    return Commands(python, shell)


def of_images(session: Session, subject: Subject, numbers: list[int], function: str, **settings: Any) -> Commands:
    """Give the lines that ask the network about some images; the shell cannot name them."""
    rows = [_row(session, number) for number in numbers]
    call = _call(function, f"net, images[{rows!r}]", (), settings)
    return Commands(_python(subject, call, _images(session)), "")


def of_set(
    session: Session, subject: Subject, function: str, *positional: Any, command: str, **settings: Any
) -> Commands:
    """Give the lines that ask the network about all images; the shell's where these lie in files or elsewhere."""
    images = _images(session)
    call = _call(function, "net, images", positional, settings)
    named = "..." not in images
    words = [*map(str, positional), "--images", session.source, *_options(settings)]
    return Commands(_python(subject, call, images), _shell(subject, command, words) if named else "")


def of_recording(subject: Subject, function: str, *positional: Any, command: str, **settings: Any) -> Commands:
    """Give the lines that ask what was recorded; where the store has a later recording, they name this one's folder."""
    recording, store = subject.recorded, subject.store.folder.name
    latest = next(find_recordings(subject.store.folder, None), None)
    is_latest = latest is not None and latest.folder == recording.folder
    folder = store if is_latest else f"{store}/{recording.folder.parent.name}/{recording.folder.name}"
    python = [
        "import iconoscope as ico",
        f"recording = ico.load_recording({folder!r})",
        _call(function, "recording", positional, settings),
    ]
    named = [] if is_latest else ["--recording", folder]
    shell = ["iconoscope", command, *map(str, positional), *named, "--store", store, *_options(settings)]
    is_typed = all(isinstance(argument, str) for argument in positional)  # a list of ids is not
    return Commands("\n".join(python), shlex.join(shell) if is_typed else "")


def unusual(function: Callable[..., Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Give the settings of a question that a function has to be told, since they are not its usual ones."""
    signature = inspect.signature(function)
    usual = {
        name: parameter.default
        for name, parameter in signature.parameters.items()
        if parameter.default is not parameter.empty
    }
    written = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    return {
        name: value for name, value in written.items() if value is not None and name in usual and value != usual[name]
    }


def _row(session: Session, number: int) -> int:
    """Give the place of an image in the set that it came from: a recording lacks what could not be used."""
    if session.images is not None:
        return int(session.images.rows[1][number])
    return number if session.recording is None else int(session.recording.numbers[number])


def _image(session: Session, name: str) -> tuple[str, str, str]:
    """Give the line that loads the images, how one of them is named in Python, and its path if it is a file."""
    number = session.number(name)
    if number is None:
        return "images = ico.load_images('photograph.jpg')", "images[0]", "photograph.jpg"
    row = _row(session, number)
    origin = Path(session.origin).expanduser()
    identity = session.recording.ids[number] if session.recording else session.image(name).id
    path = ""
    if origin.is_dir() and (origin / identity).is_file():
        path = f"{session.source}/{identity}"
    elif origin.is_file() and session.images is not None and len(session.images.rows[0]) == 1:
        path = session.source
    return _images(session), f"images[{row}]", path


def _images(session: Session) -> str:
    """Give the line that loads the images; those that came from memory, whoever copies it puts there."""
    if _ADDRESS.fullmatch(session.origin) or Path(session.origin).expanduser().exists():
        return f"images = ico.load_images({session.source!r})"
    return f"images = ...  # {session.source}"


def _python(subject: Subject, call: str, images: str = "") -> str:
    return "\n".join(filter(None, ["import iconoscope as ico", _loading(subject), images, call]))


def _loading(subject: Subject) -> str:
    """Give the line that loads the network; one that came from memory, whoever copies it puts there."""
    typed = _typed(subject)
    if typed is None:
        return f"net = ...  # {subject.loaded_as}"
    settings = [f"{name}={value!r}" for name, value in typed.items() if name != "network"]
    return f"net = ico.load_network({', '.join([repr(typed['network']), *settings])})"


def _typed(subject: Subject) -> dict[str, Any] | None:
    """Give what `load_network` is given to load the network, without folders; None where that is not known."""
    if subject.network is None:
        return {"network": subject.loaded_as} if subject.loaded_as in BUILTIN else None
    return {name: _plain(value) for name, value in subject.network.loaded_by.items()} or None


def _plain(value: Any) -> Any:
    """Give an argument as it is written down: a path without its folders, of a preprocessing what is not usual."""
    if isinstance(value, str | Path):
        return without_folders(str(value))
    if isinstance(value, Preprocessing):
        usual = {part.name: part.default for part in fields(value)}
        return {name: setting for name, setting in value.to_json().items() if setting != usual[name]}
    return value


def _shell(subject: Subject, command: str, words: list[str]) -> str:
    typed = _typed(subject)
    if typed is None:
        return ""
    # What is asked stands first: iconoscope optimize logit:frog --network ...
    unit = [word for word in words[:1] if not word.startswith("--")]
    written = {name: value if isinstance(value, str | bool) else json.dumps(value) for name, value in typed.items()}
    in_order = {"network": written.pop("network"), **written}
    return shlex.join(["iconoscope", command, *unit, *_options(in_order), *words[len(unit) :]])


def _call(function: str, first: str, positional: tuple[Any, ...], settings: dict[str, Any]) -> str:
    arguments = [first, *map(repr, positional), *(f"{name}={value!r}" for name, value in settings.items())]
    return f"ico.{function}({', '.join(arguments)})"


def _options(settings: dict[str, Any]) -> list[str]:
    words: list[str] = []
    for name, value in settings.items():
        flag = f"--{name.replace('_', '-')}"
        sign = {tuple: "x", list: ","}.get(type(value))  # a size, and a list
        words += [flag] if value is True else [flag, sign.join(map(str, value)) if sign else str(value)]
    return words
