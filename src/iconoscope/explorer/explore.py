"""The question that a person asks by moving about: the explorer, started."""

from __future__ import annotations

import asyncio
import sys
import threading
import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iconoscope.errors import warn
from iconoscope.exemplars.load_recording import find_recordings
from iconoscope.extras import import_extra
from iconoscope.reading import read_pairs
from iconoscope.results.folders import without_folders
from iconoscope.signatures import checked
from iconoscope.store import Store
from iconoscope.subject.images import Images, load_images
from iconoscope.subject.network import Network
from iconoscope.vocabulary.resolver import Names

if TYPE_CHECKING:
    from iconoscope.explorer.session import Session
    from iconoscope.explorer.subject import Subject

__all__ = ["explore", "open_session", "read_titles"]

_TABLE = "It is a table with two columns, class and title, as frog,rana."
_HEADERS = ("class", "clase")
"""How a header begins. What else is no class is misspelt."""


@checked
def explore(
    network: Network | None = None,
    images: Images | Any = None,
    *,
    store: Store | str | Path = "iconoscope-run",
    compare: Network | str | None = None,
    titles: str | Path | None = None,
    export: str | Path | None = None,
    host: str = "127.0.0.1",
    port: int | None = None,
    read_only: bool = False,
    browser: bool = True,
) -> None:
    """Move about in a network: its layers, units and images, a patch that follows the mouse, pictures that grow.

    A server on this machine answers the browser, from what the store has of the network, and asks the network the rest. It
    goes on until Ctrl-C, in a notebook in the background until that ends. Without a network it shows what the store has.
    Nothing leaves the machine, and nobody else is let in: the address that is printed has a token in it.

    Parameters
    ----------
    network
        The network; without it the one that was recorded last in the store is shown.
    images
        A set of images, or what makes one; by default those that were recorded, where they still are.
    store
        Folder where answers are looked for, and kept.
    compare
        A second network beside the first: NAME=SPEC, where SPEC is a file of weights for the same network (before and after a
        fine-tuning), a network by its name, or the store that has what was recorded of it; NAME= may be left out. In Python
        also a `Network`.
    titles
        Translations of the classes' names: a table with two columns, class and title; a first row that begins with the word
        class, or clase, is its header. Where the page is in Spanish, these are shown.
    export
        Write what the store has into this folder, which opens without a server, and end. How much it will be is said first.
    host
        The address to listen at. Any but that of this machine alone lets others on the network in, if they have the address
        with its token; 0.0.0.0 listens at all.
    port
        The port; if not given, 8424 or the next that is free.
    read_only
        Keep nothing.
    browser
        Open the browser.

    Raises
    ------
    MissingExtraError
        If fastapi and uvicorn are not installed: pip install 'iconoscope[explore]'.
    StoreError
        If there is neither a network nor a recording.
    QuestionError
        If the port is taken.

    Examples
    --------
    >>> import iconoscope as ico
    >>> ico.explore(ico.load_network("cars"), ico.demo_images(200))  # doctest: +SKIP
    """
    for module in ("fastapi", "uvicorn"):
        import_extra(module, "explore", "explore")
    from iconoscope.explorer.security import AccessRules
    from iconoscope.explorer.serving import Server, listen

    session = open_session(network, images, store=store, compare=compare, titles=titles, read_only=read_only)
    if export is not None:
        _export(session, export)
        return
    listener = listen(host, port)
    rules = AccessRules(host, listener.getsockname()[1])
    server = Server(session, rules)
    _say(f"The explorer is at {rules.address}")
    if browser:
        webbrowser.open(rules.address)
    if _is_in_event_loop():  # of a notebook, which goes on
        threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True).start()
        return
    with listener, suppress(KeyboardInterrupt):  # how it is ended
        server.run(sockets=[listener])


def _is_in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _export(session: Session, folder: str | Path) -> None:
    """Write what the store has into a folder, and say before how much it will be."""
    from iconoscope.explorer.export import plan_export

    try:
        plan = plan_export(session)
        _say(f"The export will be {plan.summary()}")
        page = plan.write(folder).resolve() / "index.html"
        _say(f"Open {page}")
    finally:
        session.close()


def _say(line: str) -> None:
    """Write a line now, while what is said of goes on."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def open_session(
    network: Network | None = None,
    images: Images | Any = None,
    *,
    store: Store | str | Path = "iconoscope-run",
    compare: Network | str | None = None,
    titles: str | Path | None = None,
    read_only: bool = False,
) -> Session:
    """Put together what is explored; the arguments are those of `explore`."""
    from iconoscope.explorer.comparison import find_second, ids_to_compare
    from iconoscope.explorer.session import Session
    from iconoscope.explorer.subject import find_subject

    image_set = None if images is None else load_images(images)
    store = Store.at(store)
    subject = find_subject(0, "", network, image_set, store, beside=ids_to_compare(compare))
    _say_of_whom(subject, read_only=read_only)
    _say_how_many(subject, image_set)
    recorded = None if subject.recording is None else subject.recording.images
    subjects = (subject,) if compare is None else (subject, find_second(compare, subject, image_set))
    translated = {} if titles is None else {"en": list(subject.classes), "es": read_titles(titles, subject.classes)}
    return Session(
        subjects,
        recorded if recorded is not None else image_set,
        store,
        read_only=read_only,
        class_titles=translated,
        given=0 if image_set is None else len(image_set),
    )


def _say_of_whom(subject: Subject, *, read_only: bool) -> None:
    """Warn where a store has recordings of other networks alone."""
    if subject.recording is not None:
        return
    recordings = list(find_recordings(subject.store.folder, None))
    if not recordings or any(recording.question.weights == subject.weights for recording in recordings):
        return
    names = dict.fromkeys(without_folders(recording.question.network) for recording in recordings)
    end = ", and nothing can be: the explorer only reads." if read_only else "."
    warn(f"This store has {', '.join(names)}; of {subject.name} nothing is recorded{end}")


def _say_how_many(subject: Subject, image_set: Images | None) -> None:
    """Warn where other images are shown than may be thought: fewer than were given, or than were recorded once."""
    recording = subject.recording
    if recording is None:
        return
    count = len(recording) + len(recording.failed)
    if image_set is not None and count < len(image_set):
        warn(
            f"Of the {len(image_set):,} images {count:,} were recorded: these are shown. For all of them: iconoscope record "
            "with the same images and the same store."
        )
    if image_set is None:
        others = find_recordings(subject.store.folder, recording.question.weights)
        largest = max(map(len, others), default=0)
        if largest > len(recording):
            warn(
                f"The {len(recording):,} images are shown that were recorded last. The store has a recording of {largest:,}, "
                "too: name these with --images."
            )


def read_titles(titles: str | Path, classes: tuple[str, ...]) -> list[str]:
    """Read the title of every class from a table (class, title); a class without a row keeps its name.

    Raises
    ------
    QuestionError
        If the table cannot be read, or names a class that there is not.
    """
    path = Path(titles).expanduser()
    rows = read_pairs(path, called="titles", hint=_TABLE)
    names = Names(classes, path.name)
    titled = list(classes)
    headed = bool(rows) and rows[0][0].lower() in _HEADERS and rows[0][0] not in names
    for class_name, title in rows[headed:]:
        titled[names.index(class_name)] = title
    return titled
