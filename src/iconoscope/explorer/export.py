"""The explorer as a folder that opens without a server: what the store has, answered once and written down.

Pages that are opened from a folder may not fetch files, but may load scripts. So every answer stands in a script, which hands
it over with the address at which the server would give it. Pictures are files where their addresses say.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from fastapi import FastAPI

from iconoscope.atomic_files import writing_folder_whole
from iconoscope.errors import IconoscopeError, StoreError
from iconoscope.exemplars import map_images
from iconoscope.explorer.concepts_page import concept_addresses
from iconoscope.explorer.messages import DamagedRecord
from iconoscope.explorer.security import AccessRules
from iconoscope.explorer.server import SITE, create_app
from iconoscope.explorer.session import Session
from iconoscope.explorer.subject import Subject
from iconoscope.explorer.unit_table import LOGITS, recorded_layers
from iconoscope.progress import Advance, advancing
from iconoscope.results.folders import without_paths
from iconoscope.show.activation_atlas_page import picture_sheets

__all__ = ["Export", "plan_export"]

_SAMPLE = 12  # answers of a kind by which its size is estimated
_LONGEST = 100  # letters of a file's name
_ALL = 10**6  # entries of a list: all of them
_SEARCHED = 20  # classes at most whose units are tested: it takes seconds for each
_HUNDRED = 100  # images whose answers stand in one file


@dataclass(frozen=True)
class _Kind:
    """Addresses that are answered alike.

    Attributes
    ----------
    addresses
        Below ``/api/``, as the pages ask for them.
    as_file
        Whether each answer is a file of its own, of that name; else it stands in a script.
    ending
        Put behind a file's name.
    changes
        What an export says otherwise than the server.
    """

    addresses: tuple[str, ...]
    as_file: bool = False
    ending: str = ""
    changes: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Export:
    """All that will be written.

    Attributes
    ----------
    files
        How many files.
    megabytes
        About how many.
    without_map
        Why there will be no map in it; empty where there will be one.
    damaged
        Records of the store that cannot be read, and are left out.
    """

    session: Session
    kinds: tuple[_Kind, ...]
    files: int
    megabytes: float
    without_map: str
    damaged: tuple[str, ...]

    def summary(self) -> str:
        """Say how much it will be, and what will not be in it."""
        missing = f", without a map: {self.without_map}" if self.without_map else "."
        damaged = f" What is damaged is left out: {'; '.join(self.damaged)}." if self.damaged else ""
        return f"{self.files:,} files, about {self.megabytes:,.1f} MB{missing}{damaged}"

    def write(self, folder: str | Path) -> Path:
        """Write it into a new or empty folder.

        Raises
        ------
        StoreError
            If there is something in the folder, or it cannot be written.
        """
        folder = Path(folder).expanduser()
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise StoreError(f"{folder} has something in it.", hint="Name a new or an empty folder.")
        if not (SITE / "index.html").is_file():
            raise StoreError("The pages of the explorer are not in this installation.", hint="In a clone: make web")
        with (
            writing_folder_whole(folder, lambda _: False, replace=False) as site,
            _Answers(self.session) as answers,
        ):
            for path in SITE.iterdir():
                content = path.read_bytes()
                _write(
                    site / path.name,
                    content.replace(b"<html", b"<html data-export", 1) if path.suffix == ".html" else content,
                )
            with advancing("writing answers", sum(len(kind.addresses) for kind in self.kinds)) as advance:
                for kind in self.kinds:
                    if kind.as_file:
                        _write_files(site, kind, answers, advance)
                    else:
                        _write_scripts(site / "data", kind, answers, advance)
        return folder


class _Answers:
    """The server's own answers, asked for without a network between."""

    def __init__(self, session: Session) -> None:
        rules = AccessRules("127.0.0.1", 0)
        self._app: FastAPI = create_app(session, rules)
        # In a thread of its own: where a notebook calls, an event loop runs already.
        self._thread = ThreadPoolExecutor(1)
        self._runner = asyncio.Runner()
        self._headers = [(b"host", b"127.0.0.1:0"), (b"cookie", f"{rules.cookie}={rules.token}".encode())]

    def __call__(self, address: str) -> tuple[int, bytes]:
        """Give status and body of an answer."""
        return self._thread.submit(lambda: self._runner.run(self._ask(address))).result()

    def __enter__(self) -> _Answers:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.submit(self._runner.close).result()
        self._thread.shutdown()

    async def _ask(self, address: str) -> tuple[int, bytes]:
        path, _, query = address.partition("?")
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": unquote(f"/api/{path}"),
            "raw_path": f"/api/{path}".encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": self._headers,
            "server": ("127.0.0.1", 0),
            "client": ("127.0.0.1", 0),
        }
        status, parts = 0, []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                parts.append(message.get("body", b""))

        await self._app(scope, receive, send)  # pyright: ignore[reportArgumentType]
        return status, b"".join(parts)


def plan_export(session: Session) -> Export:
    """List what will be written, and estimate its size by some of each kind; a map that could be made is made first."""
    without_map, *_ = [_making_map(session, subject) for subject in session.subjects]
    kinds = tuple(kind for kind in _kinds(session) if kind.addresses)
    total = float(sum(path.stat().st_size for path in SITE.glob("*")))
    files = sum(1 for _ in SITE.glob("*"))
    scripts: set[str] = set()
    with _Answers(session) as answers:
        for kind in kinds:
            step = max(1, len(kind.addresses) // _SAMPLE)
            sizes = [_size(kind, address, answers) for address in kind.addresses[::step]]
            total += sum(sizes) / len(sizes) * len(kind.addresses)
            files += len(kind.addresses) if kind.as_file else 0
            scripts |= set() if kind.as_file else {script_name(_key(address)) for address in kind.addresses}
    damaged = [record.record for subject in session.subjects for record in _damaged(subject)]
    return Export(session, kinds, files + len(scripts), total / 1e6, without_map, tuple(dict.fromkeys(damaged)))


def _damaged(subject: Subject) -> list[DamagedRecord]:
    """Name the records that cannot be read, of occlusions too, which nobody has read yet."""
    for identity, folders in subject.occluded.items():
        for folder in folders:
            subject.optional.is_readable(folder, identity)
    return subject.optional.damaged()


def _making_map(session: Session, subject: Subject) -> str:
    """Make the map that the explorer would make as soon as somebody looked for it; say why where there can be none."""
    if subject.image_map is not None:
        return ""
    try:
        image_map = map_images(subject.recorded, store=None if session.read_only else subject.store)
    except IconoscopeError as error:
        return without_paths(error.message, session.folders)
    subject.keep_map(image_map)
    return ""


def _size(kind: _Kind, address: str, answers: Callable[[str], tuple[int, bytes]]) -> int:
    """Give how many bytes an answer takes where it is written; none where it is not."""
    status, content = answers(address)
    if status != 200:
        return 0
    return len(content) if kind.as_file else len(_line(kind, address, content).encode())


def _kinds(session: Session) -> Iterator[_Kind]:
    has_map = session.subjects[0].image_map is not None
    has_atlas = bool(session.subjects[0].atlas_folders)
    yield _Kind(("session",), changes={"asks": False, "read_only": True, "map": has_map, "atlas": has_atlas})
    for subject in session.subjects:
        yield from _kinds_of(session, subject)
    first = session.subjects[0]
    if session.images is not None or first.image_map is not None:
        numbers = range(session.count) if session.images is not None else first.map_rows.tolist()
        yield _Kind(tuple(f"images/{number}/picture.png" for number in numbers), as_file=True)


def _kinds_of(session: Session, subject: Subject) -> Iterator[_Kind]:
    """List the addresses that are about one network."""

    def of_network(*addresses: str) -> tuple[str, ...]:
        if not subject.number:
            return addresses
        return tuple(f"{address}{'&' if '?' in address else '?'}network={subject.number}" for address in addresses)

    yield _Kind(of_network(*(f"network/{subject.number}?lang={lang}" for lang in ("en", "es"))))
    yield _Kind(of_network(*(f"layers/{_written(layer.name)}" for layer in subject.layers), f"layers/{LOGITS}"))
    if subject.audit is not None:
        yield _Kind((f"audit/{subject.number}",), as_file=True, ending=".html")
    yield from (_Kind(of_network(*addresses)) for addresses in _atlas_addresses(subject))
    concept_pictures = concept_addresses(subject)
    layers = [*(layer.name for layer in subject.layers), LOGITS]
    yield _Kind(of_network(*(f"concepts?layer={_written(layer)}" for layer in layers)))
    if concept_pictures:
        yield _Kind(of_network(*concept_pictures), as_file=True)
    recording = subject.recording
    if recording is None:
        return
    units = [unit for layer in recorded_layers(recording) for unit in subject.units(layer).units]
    yield _Kind(of_network(*(f"units/{_written(unit)}" for unit in units)))
    search = "" if len(subject.classes) <= _SEARCHED else "&test=false"
    yield _Kind(of_network(*(f"find?class={_written(name)}{search}&limit={_ALL}" for name in subject.classes)))
    yield _Kind(of_network(*(f"images/{number}" for number in range(len(recording)))))
    occluded = [number for number, identity in enumerate(recording.ids) if identity in subject.occluded]
    yield _Kind(of_network(*(f"images/{number}/heat" for number in occluded)))
    pictures = {address for addresses in subject.pictures.addresses().values() for address in addresses}
    yield _Kind(of_network(*sorted(pictures)), as_file=True)
    if subject.number == 0:
        yield _Kind((f"search?limit={_ALL}",))
    if subject.image_map is not None:
        yield _Kind(of_network("map", "map/points", "map/neighbours"))
        yield _Kind(of_network(*(f"atlas/{page}" for page in range(len(subject.image_map.pages)))))


def _atlas_addresses(subject: Subject) -> Iterator[tuple[str, ...]]:
    """List the addresses of all activation atlases that the store has: of what is said of them, and of their sheets."""
    folders = subject.atlas_folders
    if folders:
        yield ("activation-atlas", *(f"activation-atlas?layer={_written(layer)}" for layer in folders))
    for layer, folder in folders.items():
        atlas = subject.atlas(folder)
        kinds = {"pictures": len(picture_sheets(atlas)), "crops": len(atlas.crop_pages)}
        for kind, count in kinds.items():
            yield tuple(f"activation-atlas/{kind}/{sheet}?layer={_written(layer)}" for sheet in range(count))


def _written(name: str) -> str:
    """Write a name as a browser's `encodeURIComponent` does."""
    return quote(name, safe="!*'()")


def script_name(address: str) -> str:
    """Give the name of the script that has an answer: of a hundred images together, and whatever a disk makes of capitals.

    >>> script_name("images/1234?network=1"), script_name("units/logit%3ATruck")
    ('images_12_network_1.js', 'units_logit_3atruck.js')
    """
    together = re.sub(r"^images/(\d+)", lambda match: f"images/{int(match[1]) // _HUNDRED}", address)
    return re.sub(r"[^a-z0-9.-]", "_", together.lower())[:_LONGEST] + ".js"


def _write(hidden: Path, content: bytes) -> None:
    """Write a file of the folder, which is hidden until it is whole."""
    hidden.parent.mkdir(parents=True, exist_ok=True)
    hidden.write_bytes(content)


def _write_files(folder: Path, kind: _Kind, answers: Callable[[str], tuple[int, bytes]], advance: Advance) -> None:
    for address in kind.addresses:
        status, content = answers(address)
        if status == 200:
            _write(folder / "api" / f"{address.partition('?')[0]}{kind.ending}", content)
        advance(1)


def _write_scripts(folder: Path, kind: _Kind, answers: Callable[[str], tuple[int, bytes]], advance: Advance) -> None:
    for name, addresses in _together(kind.addresses).items():
        path = folder / name
        script = path.read_text(encoding="utf-8") if path.is_file() else ""
        for address in addresses:
            status, content = answers(address)
            if status == 200:
                script += _line(kind, address, content)
        _write(path, script.encode())
        advance(len(addresses))


def _together(addresses: tuple[str, ...]) -> dict[str, list[str]]:
    """Sort addresses by the script that has their answers."""
    scripts: dict[str, list[str]] = {}
    for address in addresses:
        scripts.setdefault(script_name(_key(address)), []).append(address)
    return scripts


def _key(address: str) -> str:
    """Give the address by which the pages look for an answer: what is a list is whole, and they cut it."""
    return re.sub(rf"&test=false|[?&]limit={_ALL}", "", address)


def _line(kind: _Kind, address: str, content: bytes) -> str:
    """Give the line of a script that hands an answer over."""
    return f"iconoscopeData({json.dumps(_key(address))}, {_value(kind, address, content)});\n"


def _value(kind: _Kind, address: str, content: bytes) -> str:
    """Give an answer as a script has it; what is not JSON as base64."""
    path = address.partition("?")[0]
    if path.startswith(("map/", "atlas/", "activation-atlas/")):
        return json.dumps(base64.b64encode(content).decode())
    return json.dumps({**json.loads(content), **kind.changes}) if kind.changes else content.decode()
