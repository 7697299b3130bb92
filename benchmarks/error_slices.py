"""Slices of images on which a network errs alike: the mixture of Domino (Eyuboglu et al. 2022, ICLR), written anew.

Their package wants a scikit-learn of 2021 and cannot be installed beside today's torch. Embeddings, labels and predictions are
modelled by one mixture: in each of its components embeddings are normal with a diagonal covariance, labels and predictions are
categorical. The components in which predictions are farthest from labels are the slices. All settings are the package's own,
but for two: it asks for as many components as the confusion matrix has cells, and embeddings are the network's own, of its
last layer, where the paper prefers CLIP's, which has to be downloaded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from sklearn.decomposition import PCA

__all__ = ["ErrorSlices"]

Floats = NDArray[np.floating]

_SLICES, _COMPONENTS, _DIMENSIONS = 5, 25, 128
_ROUNDS, _TOLERANCE = 100, 1e-3
_NOISE, _VARIANCE = 1e-3, 1e-6  # of the first responsibilities; that is added to every variance


@dataclass(frozen=True, eq=False)
class ErrorSlices:
    """A mixture that was fitted, and which of its components are the slices.

    Attributes
    ----------
    projection
        Of embeddings to their principal components.
    shares
        (components,): how many images each has, as logarithms.
    means, variances
        (components, dimensions).
    labels, predictions
        (components, classes): how often each has a label, and a prediction.
    slices
        (slices,): components, the one whose predictions are farthest from its labels first.
    """

    projection: PCA
    shares: Floats
    means: Floats
    variances: Floats
    labels: Floats
    predictions: Floats
    slices: NDArray[np.int64]

    @classmethod
    def fit(cls, embeddings: Floats, labels: Floats, predictions: Floats, *, seed: int) -> ErrorSlices:
        """Fit the mixture by expectation and maximisation.

        Parameters
        ----------
        embeddings
            (n, numbers).
        labels, predictions
            (n, classes): 1 for the label; probabilities.
        seed
            Of what is added to the first responsibilities.
        """
        draws = np.random.default_rng(seed)
        count, classes = labels.shape
        projection = PCA(min(_DIMENSIONS, *embeddings.shape), random_state=seed).fit(embeddings)
        projected = projection.transform(embeddings)
        cells = np.arange(max(_COMPONENTS, classes**2)) % classes**2
        answered = np.eye(classes)[predictions.argmax(1)]
        # Every component begins with the images of one cell of the confusion matrix.
        weights = labels[:, cells // classes] * answered[:, cells % classes] + draws.uniform(
            0, _NOISE, (count, len(cells))
        )
        weights /= weights.sum(1, keepdims=True)
        before = -np.inf
        for _ in range(_ROUNDS):
            fitted = _maximised(projection, projected, labels, predictions, weights)
            logs = fitted._joint(projected, labels, predictions)
            total = np.asarray(logsumexp(logs, axis=1))
            weights = np.exp(logs - total[:, None])
            if abs(total.mean() - before) < _TOLERANCE:
                break
            before = total.mean()
        return fitted  # pyright: ignore[reportPossiblyUnboundVariable] (there is a first round)

    def memberships(self, embeddings: Floats, labels: Floats, predictions: Floats) -> Floats:
        """Give how much each image is of each slice, (n, slices); over all components they add up to 1."""
        logs = self._joint(self.projection.transform(embeddings), labels, predictions)
        return np.exp(logs - np.asarray(logsumexp(logs, axis=1, keepdims=True)))[:, self.slices]

    def _joint(self, projected: Floats, labels: Floats, predictions: Floats) -> Floats:
        """Give the logarithms of how likely images are together with each component, (n, components)."""
        precise = 1 / self.variances
        away = projected**2 @ precise.T - 2 * projected @ (self.means * precise).T + (self.means**2 * precise).sum(1)
        size = projected.shape[1] * np.log(2 * np.pi) + np.log(self.variances).sum(1)
        categories = np.log(labels @ self.labels.T + 1e-12) + np.log(predictions @ self.predictions.T + 1e-12)
        return self.shares - (away + size) / 2 + categories


def _maximised(projection: PCA, projected: Floats, labels: Floats, predictions: Floats, weights: Floats) -> ErrorSlices:
    totals = weights.sum(0) + 10 * np.finfo(float).eps
    means = weights.T @ projected / totals[:, None]
    variances = (weights.T @ projected**2 / totals[:, None] - means**2).clip(0) + _VARIANCE
    of_labels, of_predictions = (weights.T @ each / totals[:, None] for each in (labels, predictions))
    apart = np.abs((of_predictions - of_labels).max(1))
    slices = np.argsort(-apart, kind="stable")[:_SLICES]
    return ErrorSlices(
        projection, np.log(totals / totals.sum()), means, variances, of_labels, of_predictions, slices.astype(np.int64)
    )
