"""The processor's abilities, as far as torch says them; the question is private to torch, so it is asked in this file alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["has_bfloat16", "multiplies_bfloat16"]


def has_bfloat16() -> bool:
    """Whether the processor has arithmetic in bfloat16; not where torch cannot say."""
    import torch

    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):
        return False


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 faster than float32; not where torch cannot say."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    try:
        has_instructions = torch.cpu._is_avx512_bf16_supported()
    except (AttributeError, RuntimeError):
        return False
    return device.type == "cpu" and torch.backends.mkldnn.is_available() and has_instructions
