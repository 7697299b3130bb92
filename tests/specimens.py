"""Results made by hand, for the tests of what keeps and shows results."""

from dataclasses import replace

import numpy as np

from iconoscope.results import (
    Attribution,
    Audit,
    Curves,
    MeanMap,
    Occlusion,
    Question,
    Visualization,
)
from iconoscope.results.audit_evidence import AuditedImages, Donors, Illustrations, Interventions, OcclusionEvidence


def occlusion(seed=0, subject="<b>a.jpg</b>"):
    generator = np.random.default_rng(seed)
    occluded = generator.dirichlet((1, 2, 3), (4, 5)).astype(np.float32)
    return Occlusion(
        question=Question(
            technique="occlude",
            network="planted",
            weights="w" * 64,
            subject=subject,
            pixels=str(seed),
            unit="prob:b",
            settings={"patch": (3, 4), "fill": "zero", "rate": 0.1},
            version="0.1.0",
        ),
        top=np.arange(0, 8, 2),
        left=np.arange(0, 10, 2),
        patch=(3, 4),
        clean=generator.dirichlet((1, 2, 3)).astype(np.float32),
        occluded=occluded,
        target=1,
        target_origin="label",
        names=("a", "b", "c & d"),
        measure="probability",
        picture=generator.integers(0, 256, (9, 12, 3), dtype=np.uint8),
        method="dense",
        plan="dense",
    )


def attributed(seed=0, subject="<b>a.jpg</b>", signed=True):
    generator = np.random.default_rng(seed)
    of = occlusion(seed, subject)
    return Attribution(
        question=replace(of.question, technique="attribute", settings={"method": "captum:IntegratedGradients"}),
        values=generator.normal(size=(9, 12, 3)).astype(np.float32),
        signed=signed,
        clean=of.clean,
        target=1,
        target_origin="label",
        names=of.names,
        measure="probability",
        picture=of.picture,
        method="captum:IntegratedGradients",
        baseline="zero",
        baseline_answer=0.125,
        convergence=0.01,
        layer="",
        steps=50,
    )


def curved(seed=0, subject="<b>a.jpg</b>"):
    generator = np.random.default_rng(seed)
    share = np.array([0, 0.2, 0.5, 1])
    return Curves(
        question=Question(
            technique="curves",
            network="planted",
            weights="w" * 64,
            subject=subject,
            pixels=str(seed),
            unit="prob:b",
            settings={"map": "m", "fill": "mean", "start": "blur", "steps": 5, "seed": 0},
            version="0.1.0",
        ),
        share=share,
        deletion=generator.dirichlet((1, 2, 3), 4).astype(np.float32),
        insertion=generator.dirichlet((1, 2, 3), 4).astype(np.float32),
        null_deletion=generator.random((5, 4), np.float32),
        null_insertion=generator.random((5, 4), np.float32),
        target=1,
        target_origin="label",
        names=("a", "b", "c & d"),
        measure="probability",
        attribution=generator.normal(size=(9, 12)).astype(np.float32),
        full_red=2.0,
        ranked_by="a map from $x$.npy",
        picture=generator.integers(0, 256, (9, 12, 3), dtype=np.uint8),
        fill="mean",
        start="blur",
    )


def audited(follows="background", network="planted"):
    """Sixty images of two classes, of which one part was swapped and decides; and twenty of them covered."""
    generator = np.random.default_rng(2)
    count = 60
    predicted = np.arange(count) % 2
    rows = np.repeat(np.arange(count), 5)
    other, same = (rows + 1) % count, (rows + 2) % count
    answers = np.repeat(predicted[rows][None, None], 2, 0).repeat(2, 1)
    answers[("background", "object").index(follows), 0] = predicted[other]
    picture = {"dtype": np.uint8, "size": (2, 9, 12, 3)}
    return Audit(
        question=Question(
            technique="audit",
            network=network,
            weights=network,
            subject=f"{count} images",
            pixels="p",
            settings={"recording": network, "quick": True, "seed": 0},
        ),
        images=AuditedImages(
            class_names=("x", "<b>y</b>"),
            ids=np.array([f"{row}.jpg" for row in range(count)]),
            target=predicted,
            predicted=predicted,
            object_known=np.ones(count, bool),
            object_given=np.ones(count, bool),
            set_size=count,
            confusion=np.array([[0, 0, count // 2], [1, 1, count // 2]]),
            preprocessing="both sides resized to 9x12; from the call",
            preprocessing_assumed=False,
            date="2026-11-29",
        ),
        interventions=Interventions(
            nuisances=(),
            within=(),
            skipped=(),
            statistic_sizes=np.zeros(0, np.int64),
            statistics=np.zeros((count, 0), np.float32),
            trials=("background", "object"),
            sources=("donor", "donor"),
            pixel_change=np.array([0.2, 0.1], np.float32),
            donors=Donors(rows, other, same, predicted[other]),
            answers=answers,
            answers_without=np.full((count, 2), -1),
        ),
        shown_classes=(0, 1),
        occlusion=OcclusionEvidence(
            patches=(4,),
            rows=np.arange(20),
            border_share=np.full((1, 20), 0.2, np.float32),
            object_share=np.tile(np.array([0.4, 0.4, 0.6, 0.6], np.float32), 5)[None],
            largest_drop=np.full((1, 20), 0.5, np.float32),
            pointing=(np.arange(20) % 5 > 0).astype(np.float32)[None],
            border_area=0.3,
            object_area=np.full(20, 0.2, np.float32),
            mean_drops=np.zeros((1, 2, 9, 12), np.float16),
        ),
        illustrations=Illustrations(
            rows=np.array([0, 1]),
            photographs=generator.integers(0, 256, **picture),
            exchanged=generator.integers(0, 256, (2, 2, 9, 12, 3), dtype=np.uint8),
            trials=np.array([0, 0]),
            answers=np.array([[1, 0], [0, 1]]),
            drops=np.zeros((1, 2, 9, 12), np.float16),
            thumbnails=np.zeros((count, 4, 4, 3), np.uint8),
            exemplars=np.zeros((2, 1, 4, 4, 3), np.uint8),
        ),
    )


def averaged(classes=("x", "<b>y</b>")):
    generator = np.random.default_rng(2)
    groups = 1 + len(classes)
    count = np.arange(2, 2 + groups)
    count[0] = count[1:].sum()
    return MeanMap(
        question=Question(
            technique="mean_map",
            network="planted",
            weights="w" * 64,
            subject="7 images from photographs/",
            pixels="p",
            settings={"patch": (3, 4), "fill": "zero"},
        ),
        top=np.arange(0, 8, 2),
        left=np.arange(0, 10, 2),
        patch=(3, 4),
        size=(9, 12),
        classes=tuple(classes),
        count=count,
        unlabelled=2,
        clean=generator.random(groups),
        changed=generator.random(groups),
        mean=generator.normal(0, 0.2, (groups, 4, 5)),
        deviation=generator.random((groups, 4, 5)),
        minima=generator.integers(0, 3, (groups, 4, 5)),
    )


def visualized(seed=0, count=2, size=(9, 12), channels=3, frames=4):
    generator = np.random.default_rng(seed)
    return Visualization(
        question=Question(
            technique="optimize",
            network="planted",
            weights="w" * 64,
            subject="noise",
            pixels="",
            unit="; ".join(f"conv:{channel}" for channel in range(count)),
            settings={"style": {"limits": "sigmoid"}, "seed": seed},
            version="0.1.0",
        ),
        images=generator.random((count, *size, channels), np.float32),
        units=tuple(f"conv:{channel}" for channel in range(count)),
        objective=generator.normal(size=(count, 6)).astype(np.float32),
        last_gradient=generator.normal(size=(count, *size, channels)).astype(np.float32),
        frames=generator.integers(0, 256, (count, frames, *size, channels), dtype=np.uint8),
        activation=generator.random(count, np.float32),
        moved_activation=generator.random(count, np.float32),
        natural_activation=np.full(count, np.nan, np.float32),
        dead=np.arange(count) == 1,
        start="noise",
        style="Fourier; not moved; 6 steps",
    )
