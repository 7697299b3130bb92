"""Networks that decide by what a picture shows, in ways that a tracer sees or does not see."""

import ctypes
import threading
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

import iconoscope as ico

SIZE = (24, 24)
BRIGHT = 1.5
"""Of a picture's mean brightness, in the network's input: above, a `Deciding` network goes another way."""

switch = {"bright": False}


def level(pictures: torch.Tensor) -> torch.Tensor:
    return pictures.mean((1, 2, 3)).max()


def in_another_thread(pictures: torch.Tensor) -> float:
    numbers, mean = [], level(pictures)
    thread = threading.Thread(target=lambda: numbers.append(float(mean)))
    thread.start()
    thread.join()
    return numbers[0]


def by_capsule(pictures: torch.Tensor) -> float:
    class Numbers:
        def __dlpack__(self, **_):
            return torch._C._to_dlpack(level(pictures)[None])

        def __dlpack_device__(self):
            return 1, 0

    return float(np.from_dlpack(Numbers())[0])


def by_address(pictures: torch.Tensor) -> float:
    return ctypes.c_float.from_address(level(pictures).data_ptr()).value


def by_text(pictures: torch.Tensor) -> float:
    return float(repr(level(pictures)).split("(")[1].split(")")[0].split(",")[0])


UNSEEN = {
    "another thread": in_another_thread,
    "a capsule": by_capsule,
    "a switch of the program": lambda _: 2 * BRIGHT if switch["bright"] else 0.0,
}
"""Ways in which a number leaves torch that the tracer does not see."""


class Deciding(nn.Module):
    """Answers bright pictures in another way than the others."""

    def __init__(self, read: Callable[[torch.Tensor], float], *, attending: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.read, self.attending = read, attending
        self.conv, self.maps, self.head = nn.Conv2d(3, 8, 4, stride=4), nn.Identity(), nn.Linear(8, 3)

    def forward(self, pictures):
        maps = self.maps(torch.relu(self.conv(pictures)) * (1.0 if self.read(pictures) < BRIGHT else 0.3))
        if self.attending:
            maps = maps + maps.flatten(1).softmax(1).view(maps.shape)
        return self.head(maps.mean((2, 3)))


def network_of(module: nn.Module) -> ico.Network:
    preprocessing = {"size": SIZE, "mean": (0.0,) * 3, "std": (0.2,) * 3, "crop": "none"}
    return ico.load_network(module.eval(), preprocessing=preprocessing, classes=list("abc"), device="cpu")
