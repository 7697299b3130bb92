"""As what pictures that were made are classified: by the network itself, and by a second one that had no part in them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from iconoscope.errors import QuestionError
from iconoscope.subject.network import Network, load_network

__all__ = ["class_probabilities", "read_judge"]


@torch.inference_mode()
def class_probabilities(network: Network, pictures: torch.Tensor) -> NDArray[np.float32]:
    """Ask for the probabilities of all classes (n, classes) of pictures (n, channels, height, width) of 0..1.

    A picture of another size than the network's input is resized whole: nothing of it is cut off.
    """
    size = network.preprocessing.size
    if tuple(pictures.shape[2:]) != size:
        pictures = torch.nn.functional.interpolate(pictures, size, mode="bilinear", antialias=True)
    mean, std = (
        torch.tensor(values, dtype=torch.float32)[:, None, None]
        for values in (network.preprocessing.mean, network.preprocessing.std)
    )
    with network.questioned():
        normalised = ((pictures.cpu() - mean) / std).to(network.device)
        return network.probabilities(network.logits(normalised).float()).cpu().numpy()


def read_judge(judge: Network | str | None, network: Network, class_name: str) -> Network | None:
    """Read the second network, by its name if that is given, and see that it can judge pictures made for a class.

    Raises
    ------
    UnitError
        If it has no class of that name.
    QuestionError
        If it takes pictures of other channels, or no class was asked for.
    """
    if judge is None:
        return None
    second = judge if isinstance(judge, Network) else load_network(judge, device=str(network.device))
    if second.channels != network.channels:
        raise QuestionError(
            f"The judge {second.name} takes pictures of {second.channels} channels, and those of {network.name} have "
            f"{network.channels}."
        )
    if not class_name:
        raise QuestionError(
            "A judge says with which probability a picture is of a class, and no class was asked for.",
            hint="Ask for a class as logit:truck, or leave the judge out.",
        )
    second.class_index(class_name)
    return second
