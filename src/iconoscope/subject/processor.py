"""What the processor can do, as far as torch says; the question is private to torch, so it is asked in this file alone."""

from __future__ import annotations

__all__ = ["has_bfloat16"]


def has_bfloat16() -> bool:
    """Whether the processor has arithmetic in bfloat16; not where torch cannot say."""
    import torch

    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):
        return False
