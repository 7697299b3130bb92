"""How far what a layer answers to pictures is from what it answers to a photograph: the code that is inverted."""

from __future__ import annotations

from typing import ClassVar

import torch

from iconoscope.errors import QuestionError, UnitError

__all__ = ["CodeDistance"]


class CodeDistance:
    """Scores for the loop: minus the squared distance of a layer's answer to each picture from a code, over the code's square.

    Parameters
    ----------
    layer
        Its full name, or `LOGITS`.
    code
        (1, ...) what it answers to the photograph.
    name
        The layer's name for messages.

    Raises
    ------
    QuestionError
        If the code is zero everywhere: no distance can be measured in it.
    """

    before_relu: ClassVar[bool] = False  # what a unit lacks is no part of the code

    def __init__(self, layer: str, code: torch.Tensor, name: str) -> None:
        self.layers = (layer,)
        self._code = code.float()
        self._square = float(self._code.square().sum())
        if self._square == 0:
            raise QuestionError(f"{name} answers nothing to the photograph: there is no code to invert.")

    def __call__(self, answers: dict[str, torch.Tensor]) -> torch.Tensor:
        """Give the scores (pictures,): 0 where the code is the same, -1 where a layer answers nothing."""
        code = answers[self.layers[0]].float()
        if code.shape[1:] != self._code.shape[1:]:
            raise UnitError(
                f"The layer answers {tuple(code.shape[1:])} to a picture, and {tuple(self._code.shape[1:])} to the photograph."
            )
        return -(code - self._code).square().flatten(1).sum(1) / self._square

    def likeness(self, answers: dict[str, torch.Tensor]) -> torch.Tensor:
        """Give how alike pictures are (pictures,): not asked of codes, 0."""
        return torch.zeros(len(answers[self.layers[0]]), device=self._code.device)
