"""The audit: all three techniques asked together, and one conclusion drawn, class by class."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from iconoscope.atomic_files import temporary_folder
from iconoscope.auditing.class_groups import group_classes
from iconoscope.auditing.donors import draw_donors
from iconoscope.auditing.hypotheses.examination import examine_hypotheses
from iconoscope.auditing.illustrations import illustrate, make_pictures
from iconoscope.auditing.interventions import intervene
from iconoscope.auditing.neighbourhoods import look_at_neighbourhoods
from iconoscope.auditing.nuisances import NUISANCES, Nuisance
from iconoscope.auditing.occlusion_evidence import occlude_sample
from iconoscope.auditing.sample import Sample, audited_images, load_sample, sampled_rows
from iconoscope.errors import AuditFailedError, ImagesError, QuestionError, check_choice, nearest, written
from iconoscope.exemplars import record
from iconoscope.exemplars.recorded_units import question_about
from iconoscope.language import check_language
from iconoscope.progress import advancing
from iconoscope.results import Audit, Question
from iconoscope.results.audit_conclusions import Conclusions
from iconoscope.results.audit_evidence import Donors, Hypotheses, Illustrations, Interventions
from iconoscope.results.decision_rule import ACCUSING, IMAGE_PARTS, LEAST_IMAGES, OBJECTS_KNOWN, UNJUDGED
from iconoscope.signatures import checked
from iconoscope.store import Recording, Store
from iconoscope.store.store import PartialAnswers
from iconoscope.subject.images import Images, load_images
from iconoscope.subject.network import Network
from iconoscope.subject.network.digest import digest_object

__all__ = ["audit", "conclude_from_evidence"]


class Effort(NamedTuple):
    """The thoroughness of an audit: how much is asked."""

    images: int  # that are audited
    covered: int  # that patches are slid over
    patches: tuple[float, ...]  # sides, shares of the shorter side of the network's input
    classes: int  # that have pictures
    steps: int | None  # of an optimised picture; as `optimize` chooses if None


THOROUGH = Effort(images=1600, covered=60, patches=(1 / 6, 1 / 3), classes=10, steps=None)
QUICK = Effort(images=320, covered=12, patches=(1 / 3,), classes=4, steps=48)
_LEAST_SIDE = 16  # pixels: in smaller pictures there is no border, no ring of background and no place beside a thing
_ALIKE = 1.05  # images whose original sizes differ by less are alike in them


@checked
def audit(
    network: Network,
    images: Images | Any,
    *,
    families: Sequence[Nuisance | str] | None = None,
    quick: bool = False,
    seed: int = 0,
    out: str | Path | None = None,
    lang: str | None = None,
    fail_on: Sequence[str] | None = None,
    allow: Sequence[str] | None = None,
    groups: str | Path | Mapping[str, str] | None = None,
    only: Sequence[str | int] | None = None,
    store: Store | str | Path | None = None,
) -> Audit:
    """Ask what decides a network's answers, class by class: the object, or something that comes with it.

    Nuisances, which are properties that may come with a class (the brightness of the background, a tag in the corner, a
    colour cast, blur, the place of the object and so on), are exchanged between images: an image gets what an image of another
    class has, and as a control what another image of its own class has. What changes the answers beyond the control, comes with
    them, and costs accuracy where it belongs to another class, the network relies on. Patches, maps of the last layer, units
    and optimised pictures are asked beside it. How often the conclusion is right has been measured: see docs/audit.md.

    Parameters
    ----------
    network
        The network.
    images
        A set of images that the network has not been trained on; labels and masks or boxes of the objects make the audit
        sharper. 30 or more of each answer, 150 are better.
    families
        The nuisances that are tried: names of `iconoscope.NUISANCES`, and in Python any `Nuisance` of your own. All that ship
        by default. With none, ``families=()``, whole objects and backgrounds alone are swapped between classes, which is
        quick: nothing is covered, and no picture is made.
    quick
        Ask fewer images, one patch, and rougher pictures: a first look, within a minute.
    seed
        Seed of the choice of images and donors, and of the pictures.
    out
        Where to write the report, one HTML page.
    lang
        The language of the report: en or es; if not given the language that `set_language` chose.
    fail_on
        Verdicts with which the audit fails, of the network or of any class: shortcut, mixed. What cannot be judged (undecided)
        and what is borderline fail too wherever this is given, see `allow`. On the command line the exit status is then 3; in
        Python `AuditFailedError` is raised, which carries the audit.
    allow
        Of undecided and borderline, with which an audit does not fail all the same.
    groups
        Coarser classes, where there are too many for so few images: a table with two columns, class and group, with or without
        a header; in Python also a dict. Classes are given by name or index. Answers and labels are then of groups; a class that
        is not in it is its own.
    only
        The classes that are asked about, by name or index; all by default. A name that two classes have wants the index, and is
        written with it: crane (134). Of many classes it is these that the images are then
        chosen for, half of them; the other classes give what is exchanged.
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
    >>> audited = ico.audit(ico.load_network("cars", device="cpu"), images, quick=True)
    >>> audited.word, audited.overall.names[0], audited.accused()
    ('shortcut', 'background brightness', ['lynx', 'bison'])
    """
    _check(_nuisances(families), lang, fail_on, allow)
    if network.channels == 4:
        raise QuestionError(
            f"{network.name} takes four channels, and an audit changes the colours of pictures that have three.",
            hint="Occlusion, optimisation and exemplars take them.",
        )
    if min(network.preprocessing.size) < _LEAST_SIDE:
        raise QuestionError(
            f"{network.name} takes pictures of {'x'.join(map(str, network.preprocessing.size))} pixels.",
            hint=f"An audit looks for small things and for backgrounds, and wants {_LEAST_SIDE} pixels or more each way.",
        )
    images = load_images(images)
    if groups is not None:
        network, images = group_classes(network, images, groups)
    names = network.names.distinct
    of_interest = tuple(names[index] for index in sorted({network.names.index(name) for name in only or ()}))
    if store is None:
        with temporary_folder("iconoscope-audit-") as folder:
            answer = _answer(network, images, families, of_interest, quick, seed, Store(folder / "run"))
    else:
        store = Store.at(store, witness=network.witness)
        answer = _answer(network, images, families, of_interest, quick, seed, store)
    if out is not None:
        answer.report(out, lang=lang)
    words = {*(fail_on or ()), *(("unnamed",) if "shortcut" in (fail_on or ()) else ())}
    words |= {*UNJUDGED} - {*(allow or ())} if fail_on else set()
    if words & {answer.word, *(finding.conclusion.word for finding in answer.classes.values())}:
        raise AuditFailedError(f"The audit failed: {network.name}: {answer.verdict}.", audit=answer)
    return answer


def _nuisances(families: Sequence[Nuisance | str] | None) -> tuple[Nuisance, ...]:
    if families is None:
        return tuple(NUISANCES.values())
    for family in families:
        if isinstance(family, str) and family not in NUISANCES:
            raise QuestionError(f"No nuisance is called {family!r}.", hint=nearest(family, NUISANCES))
    return tuple(NUISANCES[family] if isinstance(family, str) else family for family in families)


def _check(
    nuisances: tuple[Nuisance, ...], lang: str | None, fail_on: Sequence[str] | None, allow: Sequence[str] | None
) -> None:
    check_language(lang)
    failing = [word for word in (*ACCUSING, *UNJUDGED) if word != "unnamed"]
    for word in fail_on or ():
        check_choice("fail_on", word, failing)
    for word in allow or ():
        check_choice("allow", word, UNJUDGED)
    contradicted = {*(fail_on or ())} & {*(allow or ())}
    if contradicted or (allow and not fail_on):
        raise QuestionError(
            f"allow={written(allow)} and fail_on={written(fail_on)} do not go together.",
            hint="allow takes something from what fails beside fail_on: allow=['undecided'] with fail_on=['shortcut'].",
        )
    names = [nuisance.name for nuisance in nuisances]
    if len(set(names)) < len(names) or set(IMAGE_PARTS) & set(names):
        raise QuestionError(
            f"The families are called {', '.join(names)}.",
            hint="Every nuisance wants a name of its own; background and object are taken.",
        )


def _answer(
    network: Network,
    images: Images,
    families: Sequence[Nuisance | str] | None,
    of_interest: tuple[str, ...],
    quick: bool,
    seed: int,
    store: Store,
) -> Audit:
    nuisances = _nuisances(families)
    # Of a swap of object and background alone no layer's units are looked at.
    recording = record(network, images, None if nuisances else ["logits"], store=store)
    # One's own nuisances are functions: two of one name may be two things.
    digest = digest_object((nuisances, families is None))
    settings: dict[str, Any] = {"only": list(of_interest)} if of_interest else {}
    question = question_about(
        recording,
        "audit",
        families=digest.key if digest.unseen else digest.sha256[:16],
        masks=_masks_digest(images),
        assumed=network.preprocessing.assumed,
        quick=quick,
        seed=seed,
        **settings,
    )
    return store.answer(
        question,
        Audit,
        lambda: _ask(
            network,
            images,
            recording,
            nuisances,
            QUICK if quick else THOROUGH,
            question,
            store,
            chosen=families is not None,
        ),
    )


def _masks_digest(images: Images) -> str:
    """Tell masks and boxes apart by those of some of the images: reading all of a large set would take longer than asking."""
    digest = hashlib.sha256()
    source, rows = images.rows
    for index in np.unique(np.linspace(0, len(images) - 1, 32).round().astype(int)):
        digest.update(repr(source.boxes(int(rows[index]))).encode())
        try:
            mask = source.mask(int(rows[index]))
        except ImagesError as error:  # an image whose mask cannot be read is audited without
            digest.update(error.message.encode())
        else:
            digest.update(b"-" if mask is None else np.packbits(mask).tobytes())
    return digest.hexdigest()[:16]


def _ask(
    network: Network,
    images: Images,
    recording: Recording,
    nuisances: tuple[Nuisance, ...],
    effort: Effort,
    question: Question,
    store: Store,
    *,
    chosen: bool,
) -> Audit:
    """Gather the evidence stage by stage, what decides first; what else is looked at depends on which classes are accused."""
    seed, of_interest = int(question.settings["seed"]), tuple(question.settings.get("only", ()))
    rows = sampled_rows(network, recording, most=effort.images, seed=seed, of_interest=of_interest)
    counts = np.bincount(recording.predictions[rows], minlength=len(network.classes))
    counts_of_interest = [
        count
        for name, count in zip(network.names.distinct, counts, strict=True)
        if not of_interest or name in of_interest
    ]
    if max(counts_of_interest) < LEAST_IMAGES:  # nothing can be said of any class, whatever is counts_of_interest
        return _unasked(network, recording, rows, question)
    # What is answered on the way is kept beside the store for as long as the audit takes, so that it can go on where it was.
    aside = store.folder / f".audit-{question.key[:24]}"
    work, parts = Store(aside / "run"), PartialAnswers(aside / "parts")
    occlusion = neighbourhoods = optimized = None
    with advancing(f"auditing {network.name}", 6 if nuisances else 2) as advance:
        sample = load_sample(network, recording, images, most=effort.images, seed=seed, of_interest=of_interest)
        hypotheses = None
        if nuisances:
            advance(1, "(looking for what decides)")
            hypotheses = examine_hypotheses(network, sample, seed=seed, parts=PartialAnswers(aside / "hypotheses"))
        advance(1, "(exchanging properties)")
        conclusions = conclude_from_evidence(
            network, sample, nuisances, hypotheses, seed=seed, chosen=chosen, parts=parts
        )
        by_gravity = sorted(conclusions.answered, key=lambda index: conclusions.by_class[index].word not in ACCUSING)
        classes = tuple(by_gravity[: effort.classes])
        height, width = sample.pictures.shape
        rows, maps = np.arange(len(sample)), np.zeros((0, len(sample), height, width), np.float16)
        usable = tuple(nuisance for nuisance in nuisances if nuisance.name in conclusions.interventions.nuisances)
        if nuisances:
            advance(1, "(covering)")
            patches = tuple(max(1, round(share * min(height, width))) for share in effort.patches)
            occlusion, maps = occlude_sample(network, sample, classes, most=effort.covered, patches=patches, store=work)
            rows = occlusion.rows
            advance(1, "(neighbours and units)")
            neighbourhoods = look_at_neighbourhoods(recording, sample, conclusions, seed=seed, store=work)
            advance(1, "(making pictures)")
            optimized = make_pictures(
                network,
                usable,
                conclusions.interventions,
                classes,
                neighbourhoods.units,
                steps=effort.steps,
                seed=seed,
                store=work,
            )
        illustrations = illustrate(recording, sample, usable, conclusions, classes, rows=rows, maps=maps)
        advance(1)
    shutil.rmtree(aside, ignore_errors=True)
    return Audit(
        question=question,
        images=conclusions.images,
        interventions=conclusions.interventions,
        hypotheses=hypotheses,
        shown_classes=classes,
        occlusion=occlusion,
        neighbourhoods=neighbourhoods,
        illustrations=illustrations,
        optimized=optimized,
    )


def _unasked(network: Network, recording: Recording, rows: NDArray[np.int64], question: Question) -> Audit:
    """Give the audit of images that are too few of every class: what is answered, and nothing beside."""
    unknown, none = np.zeros(len(rows), np.bool_), np.zeros(0, np.int64)
    small = np.zeros((0, 1, 1, 3), np.uint8)
    return Audit(
        question=question,
        images=audited_images(
            network, recording, rows, object_known=unknown, object_given=unknown,
            of_interest=tuple(question.settings.get("only", ())),
        ),
        interventions=Interventions(
            nuisances=(), within=(), skipped=(), statistic_sizes=none, statistics=np.zeros((len(rows), 0), np.float32),
            trials=(), sources=(), pixel_change=np.zeros(0, np.float32), donors=Donors(none, none, none, none),
            answers=np.zeros((0, 2, 0), np.int64), answers_without=np.full((len(rows), 2), -1, np.int64),
        ),
        shown_classes=(),
        illustrations=Illustrations(
            rows=none, photographs=small, exchanged=small[:, None], trials=none, answers=np.zeros((0, 2), np.int64),
            drops=np.zeros((0, 0, 1, 1), np.float16), thumbnails=small, exemplars=small[:, None],
        ),
    )  # fmt: skip


def conclude_from_evidence(
    network: Network,
    sample: Sample,
    nuisances: tuple[Nuisance, ...],
    hypotheses: Hypotheses | None,
    *,
    seed: int,
    chosen: bool = False,
    parts: PartialAnswers | None = None,
) -> Conclusions:
    """Exchange properties between images and ask again; draw the conclusions from that and from the hypotheses.

    Where nobody knows the objects, properties name what hypotheses found, so that they are exchanged in the classes alone that
    these accuse; unless somebody chose the properties.
    """
    fails = _missing(sample)
    usable = tuple(nuisance for nuisance in nuisances if not fails[nuisance.needs])
    skipped = tuple((nuisance.name, fails[nuisance.needs]) for nuisance in nuisances if fails[nuisance.needs])
    predicted, target = sample.evidence.predicted, sample.evidence.target
    naming = hypotheses is not None and not chosen and fails["object"] != ""
    suspected = {index for index in np.unique(predicted).tolist() if sample.evidence.interests(index)}
    if hypotheses is not None and naming:
        suspected = {
            index
            for index in suspected
            if any(test.decision != "cleared" for test in hypotheses.of_class(index).values())
        }
    donors = draw_donors(
        predicted, target, seed=seed, suspected=suspected if naming or sample.evidence.of_interest else None
    )
    interventions = intervene(
        network, sample.pictures, predicted, usable, donors, target=target, skipped=skipped, parts=parts
    )
    return Conclusions(sample.evidence, interventions, hypotheses)


def _missing(sample: Sample) -> dict[str, str]:
    """Give for everything that a nuisance may need why the sample lacks it, as a key of `iconoscope.results.audit_text`."""
    sizes = sample.pictures.sizes
    return {
        "nothing": "",
        "object": "" if sample.pictures.object_known.mean() >= OBJECTS_KNOWN else "skipped objects",
        "native": "" if sample.native else "skipped resized",
        "sizes": "" if (sizes.max(0) / sizes.min(0)).max() >= _ALIKE else "skipped sizes",
    }
