"""Results made by hand, for the tests of what keeps and shows results."""

from dataclasses import replace

import numpy as np

from iconoscope.results import (
    CONDITIONS,
    Attribution,
    Curves,
    Exchange,
    Look,
    MeanMap,
    Occlusion,
    Question,
    Visualization,
)


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


def exchanged():
    generator = np.random.default_rng(1)
    return Exchange(
        question=Question(technique="exchange", network="planted", weights="w", subject="12 images", pixels="p"),
        conditions=tuple(CONDITIONS),
        ids=tuple("abcdefghijkl"),
        classes=("x", "y"),
        target=np.arange(12) % 2,
        other=1 - np.arange(12) % 2,
        probabilities=generator.dirichlet((1, 1), (len(CONDITIONS), 12)).astype(np.float32),
        examples=generator.integers(0, 256, (len(CONDITIONS), 2, 9, 9, 3), dtype=np.uint8),
        shown=np.array([0, 11]),
        fill="black",
    )


def looked(count=80, alone=False):
    """A network that follows the object in all but a few of the images; without the exchange if alone."""
    generator = np.random.default_rng(2)
    target = np.arange(count) % 2
    conditions = () if alone else tuple(CONDITIONS)
    answers = np.repeat(target[:, None], len(conditions), 1)
    for index, condition in enumerate(conditions):
        if condition == "object other":
            answers[3:, index] = 1 - target[3:]
    by_image = {name: generator.uniform(0.5, 0.9, count) for name in ("largest", "share")}
    by_image |= {name: generator.uniform(0.01, 0.1, count) for name in ("beside", "p_object")}
    return Look(
        question=Question(
            technique="look",
            network="planted",
            weights="w",
            subject=f"{count} images",
            pixels="p",
            settings={"patch": [3, 4], "top": [0], "left": [0], "fill": "mean", "exchange": exchanged().question.key},
        ),
        ids=tuple(f"{place}.jpg" for place in range(count)),
        classes=("x", "y"),
        standings=("wrong", *["judged"] * (count - 1)),
        target=target,
        clean=generator.uniform(0.6, 1, count).astype(np.float32),
        hit=np.arange(count) % 4 / 3 // 1,
        area=np.full(count, 0.2),
        beside_positions=np.full(count, 0.6),
        p_context=1 - by_image["p_object"],
        **by_image,
        conditions=conditions,
        answers=answers,
        probabilities=generator.random((count, len(conditions))).astype(np.float32),
        confidence=0.5,
        resamples=100,
        seed=0,
        shown=np.array([1, 2]),
        pictures_shown=generator.integers(0, 256, (2, 9, 12, 3), dtype=np.uint8),
        objects_shown=np.arange(9)[:, None].repeat(12, 1)[None].repeat(2, 0) > 4,
        drops_shown=generator.random((2, 9, 12)).astype(np.float32),
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
