"""The audit: all three techniques asked together, and one conclusion drawn, class by class."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from iconoscope.auditing.illustrations import illustrate, make_pictures
from iconoscope.auditing.interventions import draw_donors, hide, run_trials
from iconoscope.auditing.neighbourhoods import followers, lay_out_sample, neighbourhoods
from iconoscope.auditing.nuisances import FAMILIES, Family
from iconoscope.auditing.occlusion_evidence import cover, near_border
from iconoscope.auditing.sample import Sample, load_sample
from iconoscope.errors import AuditFailedError, ImagesError, QuestionError, nearest
from iconoscope.exemplars import record
from iconoscope.exemplars.recorded_units import derived
from iconoscope.progress import advancing
from iconoscope.results import Audit, Question
from iconoscope.results.decision_rule import ACCUSING, AUDIT_WORDS, KNOWN, PARTS
from iconoscope.store import Recording, Store
from iconoscope.store.partial_answers import PartialAnswers
from iconoscope.subject.images import Images, load_images
from iconoscope.subject.network import Network
from iconoscope.vocabulary.labels import match_labels

__all__ = ["audit", "weigh"]


class Effort(NamedTuple):
    """How much is asked: the thoroughness of an audit."""

    images: int  # that are audited
    covered: int  # that patches are slid over
    patches: tuple[float, ...]  # sides, shares of the shorter side of the network's input
    classes: int  # that have pictures
    steps: int | None  # of an optimised picture; as `optimize` chooses if None


THOROUGH = Effort(images=1600, covered=60, patches=(1 / 6, 1 / 3), classes=10, steps=None)
QUICK = Effort(images=320, covered=12, patches=(1 / 3,), classes=4, steps=48)
_STAGES = 5
_SIZES = 1.05  # images whose original sizes differ by less are alike in them


def audit(
    network: Network,
    images: Images | Any,
    *,
    families: Sequence[Family | str] | None = None,
    quick: bool = False,
    seed: int = 0,
    out: str | Path | None = None,
    lang: str = "en",
    fail_on: Sequence[str] | None = None,
    store: Store | str | Path | None = None,
) -> Audit:
    """Ask what decides a network's answers, class by class: the object, or something that comes with it.

    Properties that may come with a class (the brightness of the background, a tag in the corner, a colour cast, blur, the
    place of the object and so on) are exchanged between images: an image gets what an image of another class has, and as a
    control what another image of its own class has. What changes the answers beyond the control, comes with them, and costs
    accuracy where it belongs to another class, the network relies on. Patches, maps of the last layer, units and optimised
    pictures are asked beside it. How often the conclusion is right has been measured: see docs/audit.md.

    Parameters
    ----------
    network
        The network.
    images
        A set of images that the network has not been trained on; labels and masks or boxes of the objects make the audit
        sharper. 30 or more of each answer, 150 are better.
    families
        The properties that are tried: names of `iconoscope.FAMILIES`, and in Python any `Family` of your own. All that ship
        by default.
    quick
        Ask fewer images, one patch, and rougher pictures: a first look, within a minute.
    seed
        Seed of the choice of images and donors, and of the pictures.
    out
        Where to write the report, one HTML page.
    lang
        The language of the report: en or es.
    fail_on
        Verdicts with which the audit fails: shortcut, mixed, undecided. On the command line the exit status is then 3; in
        Python `AuditFailedError` is raised, which carries the audit.
    store
        Folder where answers are looked for first, and kept: an audit that was ended goes on where it was.

    Returns
    -------
    Audit
        Verdicts, evidence and advice; ``.report("audit.html")`` writes it as a page.

    Raises
    ------
    QuestionError
        If a setting is no choice.
    ImagesError
        If no image can be read.
    AuditFailedError
        As `fail_on` says.

    Examples
    --------
    >>> import iconoscope as ico
    >>> images = ico.demo_images(80, backgrounds="telling", seed=1)
    >>> found = ico.audit(ico.load_network("cars", device="cpu"), images, quick=True)
    >>> found.word, found.overall.names[0], found.accused()
    ('shortcut', 'background brightness', ['lynx', 'bison'])
    """
    tried = _chosen(families)
    _check(tried, seed, lang, fail_on)
    if network.channels == 4:
        raise QuestionError(
            f"{network.name} takes four channels, and an audit changes the colours of pictures that have three.",
            hint="Occlusion, optimisation and exemplars take them.",
        )
    images = load_images(images)
    if store is None:
        with tempfile.TemporaryDirectory(prefix="iconoscope-audit-") as folder:
            found = _audit(network, images, tried, quick, seed, Store(Path(folder) / "run"))
    else:
        found = _audit(network, images, tried, quick, seed, Store.at(store))
    if out is not None:
        found.report(out, lang=lang)
    failing = {"shortcut": ("shortcut", "unnamed")}
    words = [word for each in fail_on or () for word in failing.get(each, (each,))]
    if found.word in words or any(each.word in words for each in found.conclusions.values()):
        raise AuditFailedError(f"The audit failed: {found.summary()}.", audit=found)
    return found


def _chosen(families: Sequence[Family | str] | None) -> tuple[Family, ...]:
    if families is None:
        return tuple(FAMILIES.values())
    for each in families:
        if isinstance(each, str) and each not in FAMILIES:
            raise QuestionError(f"No family is called {each!r}.", hint=nearest(each, FAMILIES))
    return tuple(FAMILIES[each] if isinstance(each, str) else each for each in families)


def _check(families: tuple[Family, ...], seed: int, lang: str, fail_on: Sequence[str] | None) -> None:
    Audit.told(lang)
    if seed < 0:
        raise QuestionError(f"seed={seed} must be at least 0.")
    choices = [word for word in AUDIT_WORDS if word not in ("object", "unnamed")]
    for word in fail_on or ():
        if word not in choices:
            raise QuestionError(f"fail_on={word!r} is not a choice.", hint=nearest(word, choices))
    names = [family.name for family in families]
    if len(set(names)) < len(names) or set(PARTS) & set(names):
        raise QuestionError(
            f"The families are called {', '.join(names)}.",
            hint="Every family wants a name of its own; background and object are taken.",
        )


def _audit(
    network: Network, images: Images, families: tuple[Family, ...], quick: bool, seed: int, store: Store
) -> Audit:
    recording = record(network, images, store=store)
    told = "\n".join(f"{each.name} {each.by} {each.needs} {each.within} {each.edit.__qualname__}" for each in families)
    question = derived(
        recording,
        "audit",
        families=hashlib.sha256(told.encode()).hexdigest()[:16],
        masks=_masks_digest(images),
        quick=quick,
        seed=seed,
    )
    return store.answer(
        question,
        Audit,
        lambda: _ask(network, images, recording, families, QUICK if quick else THOROUGH, question, store),
    )


def _masks_digest(images: Images) -> str:
    """Tell masks and boxes apart by those of some of the images: reading all of a large set would take longer than asking."""
    digest = hashlib.sha256()
    for row in np.unique(np.linspace(0, len(images) - 1, 32).round().astype(int)):
        source, rows = images.rows
        digest.update(repr(source.boxes(int(rows[row]))).encode())
        try:
            mask = source.mask(int(rows[row]))
        except ImagesError as error:  # an image whose mask cannot be read is audited without
            digest.update(error.message.encode())
        else:
            digest.update(b"-" if mask is None else np.packbits(mask).tobytes())
    return digest.hexdigest()[:16]


def _ask(
    network: Network,
    images: Images,
    recording: Recording,
    families: tuple[Family, ...],
    effort: Effort,
    question: Question,
    store: Store,
) -> Audit:
    seed = int(question.settings["seed"])
    # What is answered on the way is kept beside the store for as long as the audit takes, so that it can go on where it was.
    aside = store.folder / f".audit-{question.key[:24]}"
    work, parts = Store(aside / "run"), PartialAnswers(aside / "parts")
    with advancing(f"auditing {network.name}", _STAGES) as advance:
        sample = load_sample(network, recording, images, most=effort.images, seed=seed)
        advance(1, "(exchanging properties)")
        found = weigh(network, recording, sample, families, question, parts)
        with network.questioned():
            found = replace(found, hidden=hide(network, sample.pictures))
        advance(1, "(covering)")
        found = _covered(network, sample, found, effort, work)
        advance(1, "(neighbours and units)")
        found = _placed(recording, sample, found, seed)
        following = followers(found, recording, work, seed=seed)
        found = replace(
            found,
            units=following.units,
            unit_families=following.families,
            unit_area=np.array(following.areas, np.float32),
        )
        advance(1, "(making pictures)")
        usable = tuple(family for family in families if family.name in found.families)
        found = illustrate(network, recording, sample, usable, found)
        found = make_pictures(network, usable, found, steps=effort.steps, seed=seed, store=work)
        advance(1)
    shutil.rmtree(aside, ignore_errors=True)
    return found


def _usable(families: tuple[Family, ...], sample: Sample) -> tuple[tuple[Family, ...], tuple[tuple[str, str], ...]]:
    """Give the families that can be tried, and of the others why they cannot, as keys of `iconoscope.results.audit_text`."""
    sizes = sample.pictures.sizes
    spread = sizes.max(0) / sizes.min(0)
    fails = {
        "nothing": "",
        "object": "" if sample.pictures.known.mean() >= KNOWN else "skipped objects",
        "native": "" if sample.native else "skipped resized",
        "sizes": "" if spread.max() >= _SIZES else "skipped sizes",
    }
    usable = tuple(family for family in families if not fails[family.needs])
    return usable, tuple((family.name, fails[family.needs]) for family in families if fails[family.needs])


def weigh(
    network: Network,
    recording: Recording,
    sample: Sample,
    families: tuple[Family, ...],
    question: Question,
    parts: PartialAnswers | None = None,
) -> Audit:
    """Measure, exchange, ask again: an audit with the evidence that decides, and nothing else yet."""
    families, skipped = _usable(families, sample)
    predicted = recording.predictions[sample.rows]
    pictures = sample.pictures
    donors = draw_donors(predicted, repeats=max(1, round(300 / len(sample))), seed=int(question.settings["seed"]))
    with network.questioned():
        trials = run_trials(network, pictures, predicted, families, donors, kept=parts)
    measured = list(trials.values.values())
    return Audit(
        question=question,
        names=network.classes,
        ids=np.array([recording.ids[row] for row in sample.rows]),
        target=match_labels(network.names, sample.images.labels),
        predicted=predicted,
        certainty=recording.vectors("probabilities")[sample.rows].max(1),
        known=pictures.known,
        given=sample.given,
        seen=len(recording),
        families=tuple(family.name for family in families),
        within=tuple(family.within for family in families),
        skipped=skipped,
        numbers=np.array([values.shape[1] for values in measured], np.int64),
        values=np.concatenate(measured, 1) if measured else np.zeros((len(sample), 0), np.float32),
        trials=trials.names,
        ways=trials.ways,
        change=trials.change,
        rows=donors.rows,
        other=donors.other,
        same=donors.same,
        answers=trials.answers,
        **_nothing_yet(pictures.shape, len(families)),
    )


def _nothing_yet(shape: tuple[int, int], families: int) -> dict[str, Any]:
    """Give the fields of what decides nothing, empty."""
    height, width = shape
    none = np.zeros(0, np.int64)
    return {
        "hidden": np.zeros((0, 2), np.int64),
        "patches": (),
        "occluded": none,
        "drops": np.zeros((0, 0, 0, 0), np.float16),
        "border": np.zeros((0, 0), np.float32),
        "on_object": np.zeros((0, 0), np.float32),
        "largest": np.zeros((0, 0), np.float32),
        "border_area": float(near_border(shape).mean()),
        "object_area": np.zeros(0, np.float32),
        "shown_classes": (),
        "shown": none,
        "photographs": np.zeros((0, height, width, 3), np.uint8),
        "changed": np.zeros((0, 2, height, width, 3), np.uint8),
        "changed_by": none,
        "changed_answers": np.zeros((0, 2), np.int64),
        "shown_drops": np.zeros((0, 0, 0, 0), np.float16),
        "thumbnails": np.zeros((0, 1, 1, 3), np.uint8),
        "points": np.zeros((0, 2), np.float32),
        "neighbours": np.full((1 + families, 2), np.nan, np.float32),
        "units": (),
        "unit_families": (),
        "unit_area": np.zeros(0, np.float32),
        "exemplars": np.zeros((0, 0, 1, 1, 3), np.uint8),
        "made": np.zeros((0, height, width, 3), np.uint8),
        "made_units": (),
        "made_values": np.zeros((0, 0), np.float32),
    }


def _covered(network: Network, sample: Sample, found: Audit, effort: Effort, store: Store) -> Audit:
    """Slide patches over some images of every class that is shown: those that are accused before others."""
    conclusions = found.conclusions
    shown = tuple(sorted(found.answered, key=lambda each: conclusions[each].word not in ACCUSING)[: effort.classes])
    each = max(2, effort.covered // len(shown))
    wrong = (found.target >= 0) & (found.target != found.predicted)
    candidates = [np.flatnonzero(found.predicted == of_class) for of_class in shown]
    rows = np.concatenate([mine[np.argsort(wrong[mine], kind="stable")][:each] for mine in candidates])
    height, width = sample.pictures.shape
    patches = tuple(max(1, round(share * min(height, width))) for share in effort.patches)
    covered = cover(network, sample, found.predicted, rows, patches, store)
    means = [
        covered.maps[:, found.predicted[rows] == of_class].astype(np.float32).mean(1).astype(np.float16)
        for of_class in shown
    ]
    known = sample.pictures.known[rows]
    return replace(
        found,
        patches=patches,
        occluded=rows,
        drops=np.stack(means, 1),
        border=covered.border,
        on_object=covered.on_object,
        largest=covered.largest,
        object_area=np.where(known, sample.pictures.object[rows].mean((1, 2)), np.nan).astype(np.float32),
        shown_classes=shown,
        shown_drops=covered.maps,
    )


def _placed(recording: Recording, sample: Sample, found: Audit, seed: int) -> Audit:
    """Look at the neighbourhoods in the last layer's space."""
    vectors = np.nan_to_num(np.array(recording.vectors("penultimate")[sample.rows], np.float32))
    sides: list[NDArray[np.bool_]] = []
    for family in found.families:
        values = found.strongest_number(family)
        sides.append(values > np.median(values))
    return replace(
        found,
        points=lay_out_sample(vectors, seed=seed),
        neighbours=neighbourhoods(vectors, found.predicted, sides),
    )
