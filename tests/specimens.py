"""Results made by hand, for the tests of what keeps and shows results."""

import numpy as np

from iconoscope.results import CONDITIONS, Exchange, MeanMap, Occlusion, Question


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
