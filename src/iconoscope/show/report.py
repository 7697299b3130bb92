"""The one writer of pages: of a store, of audits, of a map, of an atlas, of occlusions."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from iconoscope.errors import QuestionError
from iconoscope.language import in_language
from iconoscope.results import ActivationAtlas, Audit, ImageMap, Occlusion, OcclusionSeries
from iconoscope.show.activation_atlas_page import activation_atlas_page
from iconoscope.show.audit_page import audit_page
from iconoscope.show.map_page import map_page
from iconoscope.show.occlusion_page import occlusion_page
from iconoscope.show.store_page import store_page
from iconoscope.signatures import checked
from iconoscope.store import Store

__all__ = ["report"]


@checked
def report(
    subject: Store
    | str
    | Path
    | ImageMap
    | ActivationAtlas
    | Audit
    | Occlusion
    | OcclusionSeries
    | Iterable[Audit | Occlusion | OcclusionSeries],
    out: str | Path = "report.html",
    *,
    title: str = "",
    lead: str = "",
    links: Iterable[tuple[str, str]] = (),
    lang: str | None = None,
    most: int = 24,
) -> Path:
    """Write a self-contained HTML page of what a store holds, of audits, of a map of images, of an atlas, or of occlusions.

    It needs no network connection, fits a phone, and follows the reader's choice of light or dark. In the page of a store
    networks that were asked the same about the same image stand side by side; in that of a map one moves, zooms and points
    at images, which takes a browser with WebGL2 (60,000 images of 32 pixels make about 29 MB). A map of more than 100,000
    images, and one that is written to a name without an ending, is a folder: its page fetches what is looked at, which takes
    any web server (``python -m http.server``); how many files and megabytes it will be is said before. Where there are
    occlusions a patch follows mouse, finger or arrow keys over the photograph, beside the answers under it.

    Parameters
    ----------
    subject
        A store or its folder; what `audit` gave, of one network or of several in a list; what `map_images` or
        `activation_atlas` gave; or what `occlude` gave, of one image or of several in a list.
    out
        Where to write the page; of a map also the name of a folder.
    title
        Its heading; one is made if none is given.
    lead
        A sentence or two under the heading, for readers who do not know what was asked.
    links
        Of audits: texts and addresses of pages beside it.
    lang
        en or es; if not given the language that `set_language` chose.
    most
        Of a store: how many images are shown at the most; the page says how many there are.

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    QuestionError
        If there is no such language, or the subject is none of these.
    StoreError
        If the store holds nothing, or the page cannot be written.

    Examples
    --------
    >>> import iconoscope as ico
    >>> audits = [ico.audit(net, images) for net in networks]  # doctest: +SKIP
    >>> ico.report(audits, "audit.html", lang="es")  # doctest: +SKIP
    >>> ico.report("iconoscope-run", "report.html")  # doctest: +SKIP
    """
    with in_language(lang):
        return _written(subject, Path(out), title=title, lead=lead, links=links, most=most)


def _written(subject: Any, out: Path, *, title: str, lead: str, links: Iterable[tuple[str, str]], most: int) -> Path:
    """Write the page of a subject."""
    if isinstance(subject, Store | str | Path):
        return store_page(subject, out, title=title, lead=lead, most=most)
    if isinstance(subject, ImageMap):
        return map_page(subject, out, title=title, lead=lead)
    if isinstance(subject, ActivationAtlas):
        return activation_atlas_page(subject, out, title=title, lead=lead)
    subjects = [subject] if isinstance(subject, Audit | Occlusion | OcclusionSeries) else list(subject)
    audits = [result for result in subjects if isinstance(result, Audit)]
    occlusions = [result for result in subjects if isinstance(result, Occlusion | OcclusionSeries)]
    if occlusions and len(occlusions) == len(subjects):
        return occlusion_page(occlusions, out, title=title, lead=lead)
    if not audits or len(audits) < len(subjects):
        raise QuestionError(
            f"There is no page of {type(subject).__name__}.",
            hint="Give a store, what audit or occlude gave (one or several), or what map_images or activation_atlas gave.",
        )
    return audit_page(audits, out, title=title, lead=lead, links=links)
