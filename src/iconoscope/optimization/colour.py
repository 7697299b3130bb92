"""Colours as a network meets them: channels that vary together in natural images are optimised apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from iconoscope.errors import QuestionError

__all__ = ["IMAGENET", "square_root"]

IMAGENET: NDArray[np.float64] = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
"""A root of the covariance of the colours of ImageNet's pixels, as published (Olah, Mordvintsev and Schubert 2017)."""


def square_root(pictures: Iterable[NDArray[Any]]) -> NDArray[np.float64]:
    """Give a root (channels, channels) of the covariance of the colours of pictures (height, width, channels; 0..255).

    It is the lower triangle of Cholesky's decomposition.

    Examples
    --------
    >>> grey = np.arange(256, dtype=np.uint8)[:, None, None].repeat(3, 2)
    >>> square_root([grey]).round(2)
    array([[0.29, 0.  , 0.  ],
           [0.29, 0.01, 0.  ],
           [0.29, 0.01, 0.01]])
    """
    count, total, products = 0, 0.0, 0.0
    for picture in pictures:
        pixels = picture.reshape(-1, picture.shape[-1]).astype(np.float64) / 255
        count += len(pixels)
        total = total + pixels.sum(0)
        products = products + pixels.T @ pixels
    if not count:
        raise QuestionError("There are no pictures to take the colours of.")
    mean = total / count
    covariance = products / count - np.outer(mean, mean)
    return np.linalg.cholesky(covariance + 1e-4 * np.eye(len(covariance))).astype(np.float64)
