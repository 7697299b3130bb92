"""The plane in which vectors vary most."""

from __future__ import annotations

import torch

__all__ = ["principal_axes"]


def principal_axes(products: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Give the two principal axes of centred vectors, longest first, and how much the vectors vary along each.

    Parameters
    ----------
    products
        (numbers, numbers): the covariance of the vectors, or any multiple of it.

    Returns
    -------
    tuple of Tensor
        The eigenvalues, (2,), and the axes, (numbers, 2), with the signs that make the sum of each positive, so that they are
        the same on every machine. Zeros where there is one number only.
    """
    values, axes = torch.linalg.eigh(products.double())
    values, axes = values[-2:].flip(0), axes[:, -2:].flip(1)
    axes = axes * axes.sum(0).sign()
    lacking = 2 - len(values)
    return torch.nn.functional.pad(values, (0, lacking)), torch.nn.functional.pad(axes, (0, lacking))
