"""Weights of every form as bytes: dense, sparse and quantised tensors, and programs of TorchScript."""

from __future__ import annotations

import io
import re
import zipfile
from typing import TYPE_CHECKING, Any, cast

from iconoscope.warning_filters import ignoring

if TYPE_CHECKING:
    import torch

__all__ = ["dense_bytes", "packs_state", "parts_of_tensor", "script_members"]

_MANGLED = re.compile(rb"[./]___torch_mangle_\d+")


def dense_bytes(tensor: torch.Tensor) -> memoryview | bytes:
    """Give the bytes of a strided tensor, in its order; none of a fake one, which torch.export keeps beside its nodes."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensor

    if isinstance(tensor, FakeTensor):
        return b""
    flat = tensor.resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
    return memoryview(cast("Any", flat.view(torch.uint8).numpy())) if flat.numel() else b""


def parts_of_tensor(tensor: torch.Tensor) -> list[Any] | None:
    """Give what a tensor is made of that has no one array of numbers; None for one that has."""
    import torch

    if type(tensor) not in (torch.Tensor, torch.nn.Parameter) and hasattr(tensor, "__tensor_flatten__"):
        names, context = cast("Any", tensor).__tensor_flatten__()
        return [type(tensor).__qualname__, context, *(getattr(tensor, name) for name in names)]
    if tensor.is_quantized:
        per_channel = tensor.qscheme() in (torch.per_channel_affine, torch.per_channel_affine_float_qparams)
        scale = tensor.q_per_channel_scales() if per_channel else tensor.q_scale()
        zero = tensor.q_per_channel_zero_points() if per_channel else tensor.q_zero_point()
        return [tensor.int_repr(), scale, zero]
    return None if tensor.layout is torch.strided else _parts_of_sparse(tensor)


def _parts_of_sparse(tensor: torch.Tensor) -> list[Any]:
    import torch

    if tensor.layout is torch.sparse_coo:
        tensor = tensor.coalesce()
        return [tensor.indices(), tensor.values()]
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        return [tensor.crow_indices(), tensor.col_indices(), tensor.values()]
    if tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        return [tensor.ccol_indices(), tensor.row_indices(), tensor.values()]
    return [tensor.to_dense()]


def script_members(module: torch.jit.ScriptModule) -> list[tuple[bytes, bytes]]:
    """Give TorchScript as it would be saved, file by file, without the names that a process gives to its classes."""
    import torch

    buffer = io.BytesIO()
    with ignoring():  # of the age of TorchScript
        torch.jit.save(module, buffer)
    skipped = (".debug_pkl", "/version", "/serialization_id", "/byteorder")  # and the inputs it was traced with
    members = []
    with zipfile.ZipFile(buffer) as archive:
        for name in archive.namelist():
            if not name.endswith(skipped) and "/traced_inputs" not in name:
                content = archive.read(name)
                tensor = "/data/" in name or "/constants/" in name
                members.append((_MANGLED.sub(b"", name.encode()), content if tensor else _MANGLED.sub(b"", content)))
    return sorted(members)


def packs_state(kind: type) -> bool:
    """Tell whether a module saves more than its parameters and buffers, as quantised layers do their packed weights."""
    from torch import nn

    return kind._save_to_state_dict is not nn.Module._save_to_state_dict
