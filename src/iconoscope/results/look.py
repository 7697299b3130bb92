"""What was found when it was asked whether a network looks at the object: evidence and verdicts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import shortened
from iconoscope.results.figure import as_text
from iconoscope.results.rendering import outlined, overlay, to_png
from iconoscope.results.result import Result
from iconoscope.results.verdict import (
    MATTERS,
    MIN_IMAGES,
    VERDICTS,
    Estimate,
    Verdict,
    bootstrap,
    by_exchange,
    by_maps,
    image_by_exchange,
    image_by_maps,
    pooled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["EVIDENCE", "STANDINGS", "Finding", "Look"]

STANDINGS = {
    "judged": "answered rightly and surely enough",
    "wrong": "answered wrongly",
    "unsure": "answered rightly, but not surely enough",
    "unlabelled": "without a label: whether the answer is right is not known",
    "no object": "without a mask or box that could be used",
}

# What a finding estimates, in the order in which it is shown. The first lot is of the maps, the second of the exchange.
EVIDENCE = {
    "hit": "the patch that costs most has its centre on the object",
    "share": "share of the drop that lies on the object",
    "area": "the object's share of the picture",
    "beside": "share of the drop under patches that do not touch the object",
    "beside positions": "share of the patches that do not touch the object",
    "object excess": "answers that another class's object changes, less what its own class's does",
    "background excess": "answers that another class's background changes, less what its own class's does",
}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The evidence of some of the images, and what it amounts to.

    Attributes
    ----------
    group : str
        The class, or ``"all"``.
    images, judged, mattering, exchanged : int
        How many there are; how many of them count; before how many of these a patch matters; how many were exchanged.
    standings : dict of str to int
        How many there are of each of `STANDINGS`.
    evidence : dict of str to Estimate
        Means with their intervals, by the keys of `EVIDENCE`.
    probabilities : dict of str to Estimate
        Mean probability of the right class, by the keys of `CONDITIONS`; empty without an exchange.
    p_object, p_context : float
        Pooled over the images before which a patch matters: that random positions of the object would have as much, or as
        little, of the drop.
    verdict : Verdict
        The word, and the reason.
    maps : str
        The word that the maps alone would give.
    """

    group: str
    images: int
    judged: int
    mattering: int
    exchanged: int
    standings: dict[str, int]
    evidence: dict[str, Estimate]
    probabilities: dict[str, Estimate]
    p_object: float
    p_context: float
    verdict: Verdict
    maps: str

    def to_json(self) -> dict[str, Any]:
        """Give everything as plain JSON values."""
        return {
            "group": self.group,
            "verdict": self.verdict.word,
            "reason": self.verdict.reason,
            "maps_alone": self.maps,
            "images": self.images,
            "judged": self.judged,
            "a_patch_matters": self.mattering,
            "exchanged": self.exchanged,
            "standings": self.standings,
            "p_object": _finite(self.p_object),
            "p_context": _finite(self.p_context),
            "evidence": {name: _interval(found) for name, found in self.evidence.items()},
            "probabilities": {name: _interval(found) for name, found in self.probabilities.items()},
        }


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Look(Result):
    """Whether a network looks at the object: per image, per class and in all, evidence and a verdict.

    Attributes
    ----------
    ids : tuple of str
        The images.
    classes : tuple of str
        The network's classes.
    standings : tuple of str
        For every image a key of `STANDINGS`. Only the judged ones count.
    target : ndarray of int64, (images,)
        The right class; of an unlabelled image the one that was asked about.
    clean : ndarray of float32, (images,)
        Its probability with nothing touched.
    largest, hit, share, area, beside, beside_positions, p_object, p_context : ndarray of float64, (images,)
        What the map says; see `iconoscope.looks_at_object`. NaN where no patch costs anything, or there is no object.
    conditions : tuple of str
        Keys of `CONDITIONS`; none without an exchange.
    answers : ndarray of int64, (images, conditions)
        The predicted class; -1 where the image was not exchanged.
    probabilities : ndarray of float32, (images, conditions)
        The probability of the right class; NaN likewise.
    confidence : float
        The probability from which an answer is sure enough to be judged.
    resamples, seed : int
        Of the bootstrap.
    shown : ndarray of int64, (shown,)
        A few judged images, to be looked at: their positions among `ids`.
    pictures_shown : ndarray of uint8, (shown, height, width, 3)
        As the network saw them.
    objects_shown : ndarray of bool, (shown, height, width)
        Where the object is.
    drops_shown : ndarray of float32, (shown, height, width)
        The mean drop over the patches that covered each pixel.
    """

    kind: ClassVar[str] = "look"

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    standings: tuple[str, ...]
    target: NDArray[np.int64]
    clean: NDArray[np.float32]
    largest: NDArray[np.float64]
    hit: NDArray[np.float64]
    share: NDArray[np.float64]
    area: NDArray[np.float64]
    beside: NDArray[np.float64]
    beside_positions: NDArray[np.float64]
    p_object: NDArray[np.float64]
    p_context: NDArray[np.float64]
    conditions: tuple[str, ...]
    answers: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    confidence: float
    resamples: int
    seed: int
    shown: NDArray[np.int64]
    pictures_shown: NDArray[np.uint8]
    objects_shown: NDArray[np.bool_]
    drops_shown: NDArray[np.float32]

    @cached_property
    def judged(self) -> NDArray[np.bool_]:
        """Which images count (images,)."""
        return np.array([standing == "judged" for standing in self.standings], np.bool_)

    @cached_property
    def matters(self) -> NDArray[np.bool_]:
        """Before which images a single patch costs at least `MATTERS` of the probability (images,)."""
        return np.greater_equal(self.largest, MATTERS)  # NaN is not

    @cached_property
    def exchanged(self) -> NDArray[np.bool_]:
        """Which images took part in the exchange (images,)."""
        return np.asarray((self.answers >= 0).all(1) & bool(self.conditions))

    @cached_property
    def findings(self) -> dict[str, Finding]:
        """By class, for all classes that are the right one of some image."""
        present = np.unique(self.target)
        return {
            self._name(int(index)): self._finding(self._name(int(index)), self.target == index) for index in present
        }

    @cached_property
    def overall(self) -> Finding:
        """Of all images together; where a class's own verdict contradicts that of the whole, the whole is ``"spread"``."""
        found = self._finding("all", np.ones(len(self.ids), np.bool_))
        # By maps alone "spread" is what is left where nothing is clear, and contradicts nobody.
        against = {"object": {"context", "spread"} if found.exchanged else {"context"}, "context": {"object"}}
        differ = [
            f"{name} ({single.verdict.word})"
            for name, single in self.findings.items()
            if single.verdict.word in against.get(found.verdict.word, ())
        ]
        if not differ:
            return found
        told = f"Taken together the images say {found.verdict.word}, but not in the class {shortened(differ)}."
        return replace(found, verdict=Verdict("spread", f"{told} {found.verdict.reason}"))

    @property
    def verdict(self) -> str:
        """The word for all images together, a key of `VERDICTS`."""
        return self.overall.verdict.word

    @property
    def reason(self) -> str:
        """Why, in one sentence with the numbers that decided."""
        return self.overall.verdict.reason

    @cached_property
    def verdicts(self) -> tuple[Verdict, ...]:
        """For every image: a word and a reason.

        An image has one donor of each kind, so its verdict is one draw, and one map a weak test: read the classes' instead.
        """
        return tuple(self._verdict(place) for place in range(len(self.ids)))

    def _name(self, index: int) -> str:
        name = self.classes[index]
        return name if self.classes.count(name) == 1 else f"{name} [{index}]"

    def _verdict(self, place: int) -> Verdict:
        standing = self.standings[place]
        if standing != "judged":
            return Verdict("undecided", f"The image is {STANDINGS[standing]}.")
        if self.exchanged[place]:
            return image_by_exchange([bool(changed) for changed in self._changed[place]])
        return image_by_maps(
            largest=float(self.largest[place]),
            share=float(self.share[place]),
            area=float(self.area[place]),
            beside=float(self.beside[place]),
            room=float(self.beside_positions[place]),
            p_object=float(self.p_object[place]),
            p_context=float(self.p_context[place]),
        )

    @cached_property
    def _changed(self) -> NDArray[np.bool_]:
        """Whether the answer changes (images, 4): object other, background other, object own, background own."""
        wanted = ("object other", "background other", "object own", "background own")
        chosen = self.answers[:, [self.conditions.index(condition) for condition in wanted]]
        return chosen != self.target[:, None]

    def _finding(self, group: str, chosen: NDArray[np.bool_]) -> Finding:
        judged = chosen & self.judged
        matters, exchanged = judged & self.matters, judged & self.exchanged
        draw = {"resamples": self.resamples, "seed": self.seed}
        columns = (self.hit, self.share, self.area, self.beside, self.beside_positions)
        found = bootstrap(np.stack(columns, 1)[matters], **draw)
        if self.conditions:
            changed = self._changed.astype(np.float64)
            found += bootstrap((changed[:, :2] - changed[:, 2:])[exchanged], **draw)
        evidence = dict(zip(EVIDENCE, found, strict=False))
        probabilities = bootstrap(self.probabilities[exchanged].astype(np.float64), **draw)
        count = int(judged.sum())
        # A rank counts half of what is alike, so that its mean is a half without a relation.
        ranks = (1 - self.p_object[matters] + self.p_context[matters]) / 2
        p_object, p_context = pooled(ranks), pooled(1 - ranks)
        maps = by_maps(
            images=count,
            matter=int(matters.sum()),
            share=evidence["share"],
            area=evidence["area"],
            beside=evidence["beside"],
            room=evidence["beside positions"],
            p_object=p_object,
            p_context=p_context,
        )
        verdict = maps
        if count < MIN_IMAGES:
            verdict = maps = self._too_few(count, int(chosen.sum()))
        elif exchanged.sum() >= MIN_IMAGES:
            verdict = by_exchange(evidence["object excess"], evidence["background excess"])
            if maps.word not in (verdict.word, "undecided"):
                verdict = Verdict(verdict.word, f"{verdict.reason} (The maps alone would say: {maps.word}.)")
        return Finding(
            group=group,
            images=int(chosen.sum()),
            judged=count,
            mattering=int(matters.sum()),
            exchanged=int(exchanged.sum()),
            standings=dict(Counter(np.array(self.standings, object)[chosen].tolist())),
            evidence=evidence,
            probabilities=dict(zip(self.conditions, probabilities, strict=True)),
            p_object=p_object,
            p_context=p_context,
            verdict=verdict,
            maps=maps.word,
        )

    def _too_few(self, judged: int, images: int) -> Verdict:
        return Verdict(
            "undecided",
            f"Of {images} images only {judged} are answered rightly with a probability of {self.confidence:g} or more; a "
            f"verdict wants {MIN_IMAGES}.",
        )

    def summary(self) -> str:
        """Say the verdict in one sentence, the reason in another, and how many images count."""
        found = self.overall
        return f"{self.question.network} {VERDICTS[found.verdict.word]}. {found.verdict.reason} {self.counted()}"

    def counted(self) -> str:
        """Say how many images count, and why the others do not."""
        counts = self.overall.standings
        left = "; ".join(f"{count} {STANDINGS[name]}" for name, count in counts.items() if name != "judged")
        which = f"answered rightly with a probability of {self.confidence:g} or more"
        count = f"{self.overall.judged} of {len(self.ids)} images count, {which}"
        return f"{count} ({left})." if left else f"{count}."

    def to_json(self) -> dict[str, Any]:
        """Give verdict, reason and evidence for all images, for every class and for every image."""
        per_image = ("clean", "largest", "hit", "share", "area", "beside", "beside_positions", "p_object", "p_context")
        return {
            "kind": self.kind,
            "key": self.question.key,
            "question": self.question.to_json(),
            "verdict": self.verdict,
            "reason": self.reason,
            "confidence": self.confidence,
            "all": self.overall.to_json(),
            "classes": [found.to_json() for found in self.findings.values()],
            "images": [
                {
                    "id": identity,
                    "class": self.classes[int(self.target[place])],
                    "standing": self.standings[place],
                    "verdict": self.verdicts[place].word,
                    "reason": self.verdicts[place].reason,
                    **{name: _finite(float(getattr(self, name)[place])) for name in per_image},
                    "probabilities": {
                        condition: _finite(float(self.probabilities[place, index]))
                        for index, condition in enumerate(self.conditions)
                    },
                }
                for place, identity in enumerate(self.ids)
            ],
        }

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw what decides, with intervals, for all images and for the classes with the most.

        With an exchange: the answers that another class's object and background change, beyond the control. Without one: the
        object's share of the drop beside its share of the picture, and the drop beside the object.
        """
        return self._shown() if ax is None else self._intervals(ax)

    @cached_property
    def _rows(self) -> list[Finding]:
        """All, and the classes with the most judged images."""
        most = sorted(self.findings.values(), key=lambda found: -found.judged)
        return [self.overall, *most[:11]]

    @property
    def _extent(self) -> tuple[float, float]:
        return 7, 1.6 + 0.5 * len(self._rows)

    def _on(self, figure: Figure) -> Axes:
        return self._intervals(figure.subplots())

    def _intervals(self, axes: Axes) -> Axes:
        drawn = {"object excess": ("another class's object", "#1d6f56", "o"),
                 "background excess": ("another class's background", "#b3341f", "s")}  # fmt: skip
        label = "share of the answers that change, less the control's"
        if not self.overall.exchanged:
            drawn = {"share": ("the object's share of the drop", "#1d6f56", "o"),
                     "beside": ("drop under patches beside it", "#b3341f", "s"),
                     "area": ("the object's share of the picture", "#7b8492", "|")}  # fmt: skip
            label = "share, over the images before which a patch matters"
        for offset, (name, (told, colour, marker)) in zip((-0.12, 0.12, 0), drawn.items(), strict=False):
            found = [row.evidence[name] for row in self._rows]
            places = np.arange(len(found)) + offset
            axes.hlines(places, [each.low for each in found], [each.high for each in found], color=colour, linewidth=2)
            axes.plot([each.value for each in found], places, marker, color=colour, label=told, markersize=7, ls="none")
        names = [f"{as_text(row.group)} ({row.judged}): {row.verdict.word}" for row in self._rows]
        axes.set_yticks(range(len(names)), names, fontsize=8)
        axes.set_xlim(min(-0.05, *(axes.get_xlim()[:1])), 1.05)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.grid(axis="x", color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.set_xlabel(f"{label} (95% intervals)", fontsize=8)
        axes.tick_params(axis="x", labelsize=8)
        axes.legend(
            fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.55 / self._extent[1]), ncols=3, frameon=False
        )
        axes.set_title(as_text(f"{self.question.network} {VERDICTS[self.verdict]}"), fontsize=9)
        return axes

    def outline(self, place: int) -> NDArray[np.uint8]:
        """Give a shown picture (height, width, 3) with the object outlined."""
        return outlined(self.pictures_shown[place], self.objects_shown[place])

    def overlaid(self, place: int) -> NDArray[np.uint8]:
        """Give a shown picture under its drop, as `Occlusion.overlaid` does, with the object outlined."""
        full = max(float(self.clean[self.shown[place]]), 1e-6)
        laid = overlay(self.pictures_shown[place], self.drops_shown[place] / full)
        return outlined(laid, self.objects_shown[place])

    def pictures(self) -> dict[str, bytes]:
        """Give the shown images as one sheet (outlined, and under the drop), and the figure."""
        sheets: dict[str, bytes] = {}
        if len(self.shown):
            rows = [[draw(place) for place in range(len(self.shown))] for draw in (self.outline, self.overlaid)]
            sheets["examples.png"] = to_png(np.concatenate([np.concatenate(row, axis=1) for row in rows]))
        return {**sheets, **super().pictures()}


def _interval(found: Estimate) -> list[float | None]:
    return [_finite(number) for number in found]


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
