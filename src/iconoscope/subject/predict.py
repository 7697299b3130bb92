"""The plain question: which class, with what probability?"""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import check_counts
from iconoscope.progress import track
from iconoscope.signatures import checked
from iconoscope.subject.images import Images, load_images
from iconoscope.subject.memory import check_fits
from iconoscope.subject.network import Network
from iconoscope.subject.network.pass_memory import check_pass

__all__ = ["predict"]


@checked
def predict(network: Network, images: Images | Any, *, batch: int = 64) -> NDArray[np.float32]:
    """Give the probabilities of all classes for every image.

    Parameters
    ----------
    network
        The network.
    images
        A set of images, or what makes one.
    batch
        How many images go through the network at once.

    Returns
    -------
    ndarray of float32, (images, classes)
        Rows of images that cannot be read are NaN, and a warning names them.

    Examples
    --------
    >>> import iconoscope as ico
    >>> ico.predict(ico.load_network("cars", device="cpu"), ico.demo_images(4, seed=1)).shape
    (4, 2)
    """
    import torch

    check_counts(batch=batch)
    images = load_images(images)
    check_pass(network, min(batch, len(images)), hint="Give a smaller batch.")
    check_fits(
        4.0 * len(images) * len(network.classes), f"The answers to {len(images):,} images", hint="Ask part by part."
    )
    probabilities = np.full((len(images), len(network.classes)), np.nan, np.float32)
    row = {identity: position for position, identity in enumerate(images.ids)}
    readable = track(images.readable(), f"predicting, {network.name}", total=len(images))
    # Of an image that has been shown only what the network sees is kept, until there are enough for a batch.
    shown = ((row[image.id], network.preprocessing.shown(image)) for image in readable)
    network.notice_changes()
    with network.questioned(), torch.inference_mode():
        while pairs := list(islice(shown, batch)):
            rows, pictures = zip(*pairs, strict=True)
            tensor = network.preprocessing.normalise(np.stack(pictures)).to(network.device)
            probabilities[list(rows)] = network.probabilities(network.logits(tensor).float()).cpu().numpy()
    return probabilities
