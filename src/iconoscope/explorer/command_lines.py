"""The lines of Python and of the shell that make a figure again: what the explorer shows can be had without it.

Folders of this disk are left out of them, as out of all that is answered.
"""

from __future__ import annotations

import shlex
from typing import Any

from iconoscope.explorer.messages import Commands
from iconoscope.explorer.session import Session
from iconoscope.explorer.subject import Subject

__all__ = ["asking", "of_images", "of_recording", "on_image"]


def asking(subject: Subject, function: str, *positional: Any, command: str = "", **settings: Any) -> Commands:
    """Give the lines that ask the network: `function` of Python, and `command` of the shell if that has another name."""
    loading = f"net = {_loading(subject)}"
    python = ["import iconoscope as ico", loading, _call(function, "net", positional, settings)]
    shell = ["iconoscope", command or function, *map(str, positional), *_network(subject), *_options(settings)]
    return Commands(python="\n".join(python), shell=shlex.join(shell))


def on_image(
    session: Session, subject: Subject, name: str, function: str, *positional: Any, command: str = "", **settings: Any
) -> Commands:
    """Give the lines that ask the network about one image.

    The shell's name it by its path where the images lie in a folder; where they do not, there are none.
    """
    number = session.number(name)
    if number is None:
        images, which, path = "photograph.jpg", "images[0]", "photograph.jpg"
    else:
        images, which = session.source, f"images[{number}]"
        identity = session.recording.ids[number] if session.recording else session.image(name).id
        path = f"{images}/{identity}" if "." in identity and "#" not in identity else ""
    python = [
        "import iconoscope as ico",
        f"net, images = {_loading(subject)}, ico.load_images({images!r})",
        _call(function, f"net, {which}", positional, settings),
    ]
    # A layer is typed without its name, a unit with it.
    unit = [*map(str, positional)] if command else ["--unit", *map(str, positional)] if positional else []
    shell = ["iconoscope", command or function, *unit, *_network(subject), "--images", path, *_options(settings)]
    return Commands(python="\n".join(python), shell=shlex.join(shell) if path else "")


def of_images(session: Session, subject: Subject, numbers: list[int], function: str, **settings: Any) -> Commands:
    """Give the lines that ask the network about some images; the shell cannot name them."""
    python = [
        "import iconoscope as ico",
        f"net, images = {_loading(subject)}, ico.load_images({session.source!r})",
        _call(function, f"net, images[{numbers!r}]", (), settings),
    ]
    return Commands(python="\n".join(python), shell="")


def of_recording(subject: Subject, function: str, *positional: Any, command: str, **settings: Any) -> Commands:
    """Give the lines that ask what was recorded."""
    store = subject.store.folder.name
    python = [
        "import iconoscope as ico",
        f"recording = ico.load_recording({store!r})",
        _call(function, "recording", positional, settings),
    ]
    shell = ["iconoscope", command, *map(str, positional), "--store", store, *_options(settings)]
    return Commands(python="\n".join(python), shell=shlex.join(shell))


def _loading(subject: Subject) -> str:
    checkpoint = f", checkpoint={subject.checkpoint!r}" if subject.checkpoint else ""
    return f"ico.load_network({subject.loaded_as!r}{checkpoint})"


def _network(subject: Subject) -> list[str]:
    checkpoint = ["--checkpoint", subject.checkpoint] if subject.checkpoint else []
    return ["--network", subject.loaded_as, *checkpoint]


def _call(function: str, first: str, positional: tuple[Any, ...], settings: dict[str, Any]) -> str:
    arguments = [first, *map(repr, positional), *(f"{name}={value!r}" for name, value in settings.items())]
    return f"ico.{function}({', '.join(arguments)})"


def _options(settings: dict[str, Any]) -> list[str]:
    words: list[str] = []
    for name, value in settings.items():
        flag = f"--{name.replace('_', '-')}"
        words += [flag] if value is True else [flag, str(value)]
    return words
