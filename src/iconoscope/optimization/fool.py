"""Fooling pictures: how little it takes until a network answers something else, and what is left of that on another look."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from iconoscope import __version__
from iconoscope.errors import QuestionError, check_counts
from iconoscope.optimization.objective import unit
from iconoscope.optimization.optimize import optimize
from iconoscope.optimization.regularizers import Frequency, blurred
from iconoscope.optimization.style import LARGE, Style
from iconoscope.optimization.transforms import Transforms
from iconoscope.results import FoolingPictures, Question
from iconoscope.results.rendering import as_bytes
from iconoscope.results.result import check_figure_name
from iconoscope.signatures import checked
from iconoscope.store import Store
from iconoscope.store.store import answered
from iconoscope.subject.network import Network

if TYPE_CHECKING:
    import torch

    from iconoscope.optimization.initial_image import Start, StartLike

__all__ = ["fool"]

CERTAIN = 0.99
"""How probable the class of noise must be."""

QUALITY = 75
"""Of the JPEG, as Pillow counts it: what cameras and web pages use."""

BLUR = 0.5, 1.0
"""Standard deviation of the blur, pixels: of small pictures, and of large ones."""


@checked
def fool(
    network: Network,
    image: StartLike,
    target: str | int,
    *,
    probability: float = 0.0,
    judge: Network | str | None = None,
    beside: bool = True,
    steps: int = 40,
    seed: int = 0,
    out: str | Path | None = None,
    store: Store | str | Path | None = None,
) -> FoolingPictures:
    """Change a photograph as little as can be until it is answered with another class, and look at it again in other ways.

    The change is looked for by steps along the gradient within a bound, and the bound is made as small as can be (Goodfellow,
    Shlens and Szegedy 2015, "Explaining and Harnessing Adversarial Examples"; Madry et al. 2018): once for the largest change
    of any value, once for the length of the whole change. Then the picture is rounded to 8 bits, saved as JPEG, blurred, and
    shown to a second network. Beside it are noise that is answered with certainty (Nguyen, Yosinski and Clune 2015, "Deep
    Neural Networks are Easily Fooled"), and a picture that was moved about while it was made, in which there is something of
    the class to be seen. It is for teaching. To measure how robust a network is take a library of attacks: foolbox or
    torchattacks.

    Parameters
    ----------
    network
        The network; its weights are not touched.
    image
        The photograph: a file; in Python also an array or a PIL image. noise makes noise alone.
    target
        The class that is to be answered: its name or index.
    probability
        How probable the class must be at least, 0 to 1; if not given, it is enough that no other one is more so.
    judge
        A second network with a class of the same name: its name, as --network takes it; in Python also a `Network`.
    beside
        Whether noise, and a picture that was moved about, are made as well.
    steps
        How many steps are gone within every bound; six times as many for the picture that is moved about.
    seed
        Seed of the noise, and of how the other picture is moved.
    out
        Where to write the figure: a name ending in .png, .pdf, .svg, .jpg or .webp.
    store
        Folder where the answer is looked for first, and kept.

    Returns
    -------
    FoolingPictures
        The pictures, what changed in them, and what is answered to each as it is, in 8 bits, as JPEG, blurred, by the judge.

    Raises
    ------
    QuestionError
        If the photograph is answered so already, it is not one, or a setting makes no sense.
    UnitError
        If the network or the judge has no such class.
    NonFiniteError
        If the network answers NaN or infinity.

    Examples
    --------
    >>> import iconoscope as ico
    >>> net = ico.load_network("cars", device="cpu")
    >>> lynx = ico.demo_images(2, seed=1).where(label="lynx")[0]
    >>> fooled = ico.fool(net, lynx, "bison", beside=False)
    >>> fooled.names, fooled.answer[:, 0].tolist()
    (('photograph', 'linf', 'l2'), ['lynx', 'bison', 'bison'])
    """
    from iconoscope.optimization.classification import class_probabilities, read_judge
    from iconoscope.optimization.initial_image import Start, read_photograph

    check_figure_name(out)
    check_counts(most=10**5, steps=steps)
    if not 0 <= probability < 1:
        raise QuestionError(f"probability={probability} must be at least 0 and less than 1.", hint="Try 0.9.")
    index = network.class_index(target)
    second = read_judge(judge, network, network.classes[index])
    noise = isinstance(image, str) and image == "noise"
    if noise and not beside:
        raise QuestionError(
            "Of noise alone there is nothing to make without what stands beside.", hint="Leave beside out."
        )
    photograph = Start("noise") if noise else read_photograph(image, network.preprocessing)
    if photograph.pictures is not None:
        answer = class_probabilities(network, photograph.pictures)[0]
        if int(answer.argmax()) == index:
            raise QuestionError(
                f"{photograph.name} is answered {network.classes[index]} as it is ({answer[index]:.3f}).",
                hint=f"Choose another class, as {network.classes[int(np.argsort(answer)[-2])]}.",
            )
    fooling = _Fooling(network, photograph, index, probability, second, beside, steps, seed)
    return answered(fooling.question, FoolingPictures, fooling.answer, store=store, out=out, witness=network.witness)


@dataclass(frozen=True)
class _Fooling:
    """The question, and how it is answered."""

    network: Network
    photograph: Start
    target: int
    probability: float
    judge: Network | None
    beside: bool
    steps: int
    seed: int

    @property
    def question(self) -> Question:
        judge = None if self.judge is None else [self.judge.digest(), self.judge.preprocessing.to_json()]
        return Question(
            technique="fool",
            network=self.network.name,
            weights=self.network.digest(),
            subject=self.photograph.name,
            pixels=self.photograph.digest,
            unit=str(self.network.class_unit("prob", self.target)),
            settings={
                "preprocessing": self.network.preprocessing.to_json(),
                "classes": self.network.classes_digest,
                "judge": judge,
                **{name: getattr(self, name) for name in ("probability", "beside", "steps", "seed")},
            },
            version=__version__,
        )

    def answer(self) -> FoolingPictures:
        """Make the pictures, and look at each in all ways."""
        import torch

        from iconoscope.optimization.loop import channels_last

        made: dict[str, tuple[torch.Tensor, torch.Tensor | None]] = {}  # pictures, and what they began as
        if self.photograph.pictures is not None:
            made["photograph"] = (self.photograph.pictures, None)
            for norm in ("linf", "l2"):
                made[norm] = (self._changed(self.photograph.pictures, norm, self.probability), self.photograph.pictures)
        if self.beside:
            noise = self._noise()
            made["noise"] = (self._changed(noise, "linf", max(CERTAIN, self.probability)), noise)
            made["robust"] = (self._robust(), None)
        pictures = torch.cat([picture for picture, _ in made.values()])
        sizes = [_sizes(picture, begun) for picture, begun in made.values()]
        names = self.network.classes
        looks = self._looks(pictures)
        best = np.stack([probabilities.argmax(1) for probabilities, _, _ in looks.values()], 1)
        tables = [(probabilities, classes) for probabilities, classes, _ in looks.values()]
        answers = [[tables[look][1][best[row, look]] for look in range(len(looks))] for row in range(len(pictures))]
        return FoolingPictures(
            question=self.question,
            names=tuple(made),
            images=channels_last(pictures),
            target=names[self.target],
            probability=self.probability,
            looks=tuple(looks),
            answer=np.array(answers),
            answer_probability=np.stack([table.max(1) for table, _ in tables], 1),
            target_probability=np.stack([table[:, index] for table, _, index in looks.values()], 1),
            linf=np.array([size[0] for size in sizes], np.float32),
            l2=np.array([size[1] for size in sizes], np.float32),
            judge="" if self.judge is None else self.judge.name,
        )

    def _changed(self, picture: torch.Tensor, norm: str, probability: float) -> torch.Tensor:
        from iconoscope.optimization.smallest_change import NORMS, smallest_change

        with self.network.questioned():
            attempt = smallest_change(
                self.network, picture, self.target, norm=NORMS[norm], probability=probability, steps=self.steps
            )
        return attempt.picture

    def _noise(self) -> torch.Tensor:
        """Give a picture whose every value is drawn evenly."""
        import torch

        draws = torch.Generator().manual_seed(self.seed)
        size = self.network.preprocessing.size
        return torch.rand((1, self.network.channels, *size), generator=draws, dtype=torch.float32)

    def _robust(self) -> torch.Tensor:
        """Give a picture that was moved about while it was made, from the photograph where there is one."""
        import torch

        side = min(self.network.preprocessing.size)
        moves = Transforms(jitter=min(16, side / 5), scale=(0.8, 1.25), rotation=15)
        optimized = optimize(
            self.network,
            unit(self.network.class_unit("logit", self.target)),
            style=Style(transforms=moves, regularizers=(Frequency(50.0),)),
            steps=6 * self.steps,
            seed=self.seed,
            start="noise" if self.photograph.pictures is None else self._as_image(),
        )
        return torch.from_numpy(optimized.images).movedim(-1, 1)

    def _as_image(self) -> NDArray[np.uint8]:
        """Give the photograph as the network saw it, as whatever reads images reads it."""
        from iconoscope.results.rendering import rgb

        assert self.photograph.pictures is not None
        pixels = as_bytes(self.photograph.pictures[0].movedim(0, -1).numpy())
        return pixels if self.network.channels == 4 else rgb(pixels)

    def _looks(self, pictures: torch.Tensor) -> dict[str, tuple[NDArray[np.float32], tuple[str, ...], int]]:
        """Look at pictures in all ways: give by name the probabilities, the classes, and the index of the one asked for."""
        import torch

        from iconoscope.optimization.classification import class_probabilities

        rounded = torch.from_numpy(as_bytes(pictures.numpy())).float() / 255
        variants = {"as it is": pictures, "in 8 bits": rounded}
        if self.network.channels != 4:
            variants["as JPEG"] = torch.stack([_as_jpeg(picture) for picture in rounded])
        variants["blurred"] = blurred(pictures, BLUR[min(pictures.shape[2:]) >= LARGE])
        classes = self.network.classes
        looks = {
            name: (class_probabilities(self.network, shown), classes, self.target) for name, shown in variants.items()
        }
        if self.judge is not None:
            index = self.judge.class_index(classes[self.target])
            looks["judge"] = (class_probabilities(self.judge, pictures), self.judge.classes, index)
        return looks


def _sizes(picture: torch.Tensor, begun: torch.Tensor | None) -> tuple[float, float]:
    """Give the largest change of a value and the root of the sum of squares; NaN for what was not changed a little."""
    if begun is None:
        return float("nan"), float("nan")
    change = (picture - begun).double()
    return float(change.abs().max()), float(change.square().sum().sqrt())


def _as_jpeg(picture: torch.Tensor) -> torch.Tensor:
    """Give a picture (1 or 3, height, width) of 0..1 as it is after it was saved as JPEG."""
    import torch
    from PIL import Image

    pixels = as_bytes(picture.movedim(0, -1).numpy())
    buffer = io.BytesIO()
    Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0]).save(buffer, "JPEG", quality=QUALITY)
    again: Any = np.array(Image.open(buffer))
    return torch.from_numpy(again.reshape(pixels.shape)).movedim(-1, 0).float() / 255
