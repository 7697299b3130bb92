"""Coarser classes: a network whose answers are of groups of its classes, and images whose labels are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from iconoscope.errors import NetworkError, QuestionError
from iconoscope.reading import read_pairs
from iconoscope.subject.images import Images
from iconoscope.subject.images.annotated import Annotated
from iconoscope.subject.network import Network
from iconoscope.subject.network.logits import find_logits, undone
from iconoscope.vocabulary.labels import match_labels

__all__ = ["group_classes", "read_groups"]


def read_groups(groups: str | Path | Mapping[str, str], network: Network) -> tuple[str, ...]:
    """Give the group of every class of a network, in the order of its classes; a class that no row names is its own.

    Of two classes with one name each is then its own, with its index behind its name.

    Parameters
    ----------
    groups
        A table in a file with two columns, class and group, with or without a header; or the same as a dict. Classes are named
        as everywhere, by name or index.
    network
        The network.

    Raises
    ------
    QuestionError
        If the table cannot be read, or all classes are in one group.
    UnitError
        If the network has no such class, or several of that name.
    """
    pairs = list(groups.items()) if isinstance(groups, Mapping) else _rows(Path(groups).expanduser(), network)
    names = list(network.names.distinct)
    for class_name, group in pairs:
        names[network.class_index(class_name)] = str(group).strip()
    if len(set(names)) < 2:
        raise QuestionError("All classes are in one group.", hint="An audit compares groups: it wants two or more.")
    return tuple(names)


def _rows(path: Path, network: Network) -> list[tuple[str, str]]:
    rows = read_pairs(path, called="groups", hint=_HOW)
    if not rows:
        raise QuestionError(f"The groups in {path} have a row too few.", hint=_HOW)
    headed = rows[0][0] not in network.names and not rows[0][0].isdecimal()
    return rows[headed:]


_HOW = "Give a table with two columns, class and group: one row for each class, as spaniel,dog."


def group_classes(network: Network, images: Images, groups: str | Path | Mapping[str, str]) -> tuple[Network, Images]:
    """Give a network that answers groups of classes, each as probable as its classes together, and images with such labels.

    Raises
    ------
    QuestionError
        As `read_groups`; or if the network finds several things in an image, whose probabilities do not sum up.
    UnitError
        If the network has no such class, or several of that name.

    Examples
    --------
    >>> import iconoscope as ico
    >>> import numpy as np
    >>> images = ico.load_images(np.zeros((2, 32, 32, 3), np.uint8), labels=["cat", "ship"])
    >>> coarser = {name: "machine" for name in ("ship", "truck", "airplane", "automobile")}
    >>> network, labelled = group_classes(ico.load_network("cifar10", device="cpu"), images, coarser)
    >>> network.classes, labelled.labels
    (('machine', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse'), ['cat', 'machine'])
    """
    if network.activation != "softmax":
        raise QuestionError(
            f"{network.name} finds several things in an image: probabilities of its classes have no sum that is a group's.",
            hint="Audit it without groups.",
        )
    group_of = read_groups(groups, network)
    names = tuple(dict.fromkeys(group_of))
    members = [[index for index, group in enumerate(group_of) if group == name] for name in names]
    coarse = replace(network, module=_grouped(network, members), classes=names, classes_origin="the groups", ending="")
    source, rows = images.rows
    targets = match_labels(network.names, [_of_one_group(label, network, group_of) for label in images.labels]).tolist()
    labels = [group_of[target] if target >= 0 else None for target in targets]
    return coarse, Images(Annotated(source.origin, images.ids, labels, source, rows))


def _of_one_group(label: str | int | None, network: Network, group_of: tuple[str, ...]) -> str | int | None:
    """Give a label; where several classes have that name, but one group, the index of the first of them."""
    matching = network.names.matching(label) if isinstance(label, str) else []
    return matching[0] if len(matching) > 1 and len({group_of[index] for index in matching}) == 1 else label


def _grouped(network: Network, members: list[list[int]]) -> Any:
    """Give a module that answers, of every group, the logarithm of the summed exponentials of its classes' logits."""
    import torch
    from torch import nn

    ending, inner = network.ending, network.module

    class Grouped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = inner
            self.members, self.ending = members, ending

        def forward(self, batch: Any) -> Any:
            logits = find_logits(self.network(batch), sum(map(len, self.members)))
            if isinstance(logits, str):
                raise NetworkError(f"The network answers {logits}; a classifier answers (images, classes).")
            if self.ending:
                logits = undone(logits, self.ending)
            return torch.stack([logits[:, indices].logsumexp(1) for indices in self.members], 1)

    module = Grouped()
    module.training = inner.training  # the modes of the network's parts stay as they are
    return module
