"""Digest of a network: all that can be seen to decide its answers, as one number, equal in every process and on every machine.

Weights are the least of it. A hook, a function that was put in the place of `forward`, a tensor or a dictionary that a module
holds as an attribute, a global variable that its code reads: each changes what the network answers. So a module is walked as
Python sees it. Whatever stands outside of it (torch, NumPy, Python itself) goes in by name. What cannot be walked, as an object
of a C extension, is named in `unseen`, and a store keeps nothing of such a network.
"""

from __future__ import annotations

import dataclasses
import dis
import enum
import functools
import hashlib
import io
import logging
import re
import types
import weakref
import zipfile
from collections import deque
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from iconoscope.subject.network.code_origin import (
    file_of,
    is_heap,
    is_installed,
    is_library,
    is_outside,
    is_replaced,
    name_outside,
)
from iconoscope.warning_filters import ignoring

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["NetworkDigest", "digest_module", "digest_object"]

_STATE = ("_parameters", "_buffers", "_modules")
_HOOKS = (
    "_forward_pre_hooks", "_forward_hooks", "_forward_hooks_with_kwargs", "_forward_pre_hooks_with_kwargs",
    "_backward_pre_hooks", "_backward_hooks",
)  # fmt: skip
_GLOBAL_HOOKS = (
    "_global_forward_pre_hooks",
    "_global_forward_hooks",
    "_global_backward_pre_hooks",
    "_global_backward_hooks",
)
# Of no consequence to an answer in evaluation mode, or of the process alone.
_SKIPPED = frozenset(
    {"training", "_compiled_call_impl", "_is_full_backward_hook", "_non_persistent_buffers_set", "_state_dict_hooks",
     "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks", "_forward_hooks_always_called",
     "__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__", "__static_attributes__", "__annotations__",
     "__annotate__", "__slots__", "__orig_bases__", "__parameters__", "_abc_impl", "__abstractmethods__",
     "__match_args__", "__type_params__", "name_or_path", "_name_or_path", "_commit_hash", "transformers_version"}
)  # fmt: skip
_HARMLESS = (logging.Logger, logging.Handler, logging.Filterer)
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_MANGLED = re.compile(rb"[./]___torch_mangle_\d+")


@dataclasses.dataclass(frozen=True)
class NetworkDigest:
    """All that can be seen to decide the answers of a network.

    Attributes
    ----------
    sha256 : str
        In hexadecimal.
    unseen : tuple of str
        What may decide them too and cannot be walked: its path in the module and its type.
    """

    sha256: str
    unseen: tuple[str, ...]


def digest_module(module: nn.Module) -> NetworkDigest:
    """Walk a module and give the digest of all that can be seen to decide its answers.

    Parts of torch, NumPy and Python go in by their names, functions and classes of one's own by their bytecode and by the
    globals they read, of installed libraries by bytecode alone. A file that the network reads while it answers is not seen.

    Examples
    --------
    >>> from torch import nn
    >>> layer = nn.Conv2d(3, 4, 3)
    >>> before = digest_module(layer)
    >>> handle = layer.register_forward_hook(lambda module, inputs, answer: answer * 0)
    >>> digest_module(layer) == before, before.unseen
    (False, ())
    """
    import torch.nn.modules.module as torch_module

    walk = _Walk()
    for name in _GLOBAL_HOOKS:
        if hooks := getattr(torch_module, name, None):
            walk.feed(list(hooks.values()), name)
    walk.feed(module, "")
    return walk.digest()


def digest_object(value: object) -> NetworkDigest:
    """Walk anything else that decides an answer, as a function of one's own, in the way of `digest_module`.

    >>> digest_object({"gain": 2.0}) == digest_object({"gain": 3.0})
    False
    """
    walk = _Walk()
    walk.feed(value, "")
    return walk.digest()


class _Walk:
    """One walk through a network: what was fed to the digest, and what could not be."""

    def __init__(self) -> None:
        self.sha = hashlib.sha256()
        self.unseen: list[str] = []
        self.numbers: dict[int, int] = {}
        self.alive: list[Any] = []  # an object that went away would give its address to another

    def feed(self, value: Any, path: str) -> None:
        """Feed a value, by its type; what was fed before is fed as its number."""
        if value is None or isinstance(value, bool | int | float | complex | bytes):
            self.tag(type(value).__name__, repr(value))
        elif isinstance(value, str | PurePath):
            # A file has another folder on another machine.
            self.tag("text", Path(value).name if Path(value).is_absolute() else str(value))
        elif id(value) in self.numbers:
            self.tag("again", str(self.numbers[id(value)]))
        else:
            self.numbers[id(value)] = len(self.numbers)
            self.alive.append(value)
            self._feed_object(value, path)

    def digest(self) -> NetworkDigest:
        """Give the digest of what was fed so far."""
        return NetworkDigest(self.sha.hexdigest(), tuple(dict.fromkeys(self.unseen)))

    def tag(self, *words: str) -> None:
        """Feed words, so that no two sequences of words are fed alike."""
        for word in words:
            encoded = word.encode("utf-8", "surrogatepass")
            self.sha.update(f"{len(encoded)}:".encode() + encoded)

    def _feed_object(self, value: Any, path: str) -> None:
        import torch

        if isinstance(value, torch.Tensor):
            self._feed_tensor(value, path)
        elif isinstance(value, np.ndarray | np.generic):
            self._feed_array(np.asarray(value), path)
        elif isinstance(value, torch.jit.ScriptModule):
            self._feed_script(value)
        elif isinstance(value, torch.nn.Module):
            self._feed_module(value, path)
        elif isinstance(value, type):
            self._feed_class(value, path)
        elif isinstance(value, dict | types.MappingProxyType | weakref.WeakKeyDictionary | weakref.WeakValueDictionary):
            self._feed_pairs(type(value).__name__, value.items(), path)
        elif isinstance(value, list | tuple | deque):
            self.tag(type(value).__qualname__, str(len(value)))
            for index, element in enumerate(value):
                self.feed(element, f"{path}[{index}]")
        elif isinstance(value, types.SimpleNamespace):
            self._feed_pairs("namespace", vars(value).items(), path)
        elif isinstance(value, set | frozenset):
            self._feed_set(value, path)
        elif isinstance(value, types.CodeType):
            self._feed_code(value, path)
        elif isinstance(value, types.ModuleType):
            self.tag("module", value.__name__.rpartition(".")[2])
        elif callable(value) and self._feed_callable(value, path):
            pass
        else:
            self._feed_instance(value, path)
        if isinstance(value, dict | list | tuple | set | frozenset | np.ndarray) and getattr(value, "__dict__", None):
            self._feed_pairs("attributes", vars(value).items(), path)

    def _feed_tensor(self, tensor: torch.Tensor, path: str) -> None:
        import torch

        tensor = tensor.detach()
        self.tag("tensor", str(tensor.dtype), str(tuple(tensor.shape)), str(tensor.layout))
        if tensor.is_meta:
            return
        if type(tensor) not in (torch.Tensor, torch.nn.Parameter) and hasattr(tensor, "__tensor_flatten__"):
            names, context = cast("Any", tensor).__tensor_flatten__()
            self.feed([type(tensor).__qualname__, context, *(getattr(tensor, name) for name in names)], path)
        elif tensor.is_quantized:
            per_channel = tensor.qscheme() in (torch.per_channel_affine, torch.per_channel_affine_float_qparams)
            scale = tensor.q_per_channel_scales() if per_channel else tensor.q_scale()
            zero = tensor.q_per_channel_zero_points() if per_channel else tensor.q_zero_point()
            self.feed([tensor.int_repr(), scale, zero], path)
        elif tensor.layout is torch.strided:
            flat = tensor.resolve_conj().resolve_neg().cpu().contiguous().reshape(-1)
            if flat.numel():
                self.sha.update(cast("Any", flat.view(torch.uint8).numpy()))
        else:
            self.feed(_parts_of_sparse(tensor), path)

    def _feed_array(self, array: np.ndarray, path: str) -> None:
        self.tag("array", str(array.dtype), str(array.shape))
        if array.dtype.hasobject:
            self.feed(array.tolist(), path)
        else:
            self.sha.update(np.ascontiguousarray(array).tobytes())

    def _feed_script(self, module: torch.jit.ScriptModule) -> None:
        """Feed TorchScript as it would be saved, without the names that a process gives to its classes."""
        import torch

        buffer = io.BytesIO()
        with ignoring():  # of the age of TorchScript
            torch.jit.save(module, buffer)
        skipped = (".debug_pkl", "/version", "/serialization_id", "/byteorder")  # and the inputs it was traced with
        with zipfile.ZipFile(buffer) as archive:
            members = []
            for name in archive.namelist():
                if not name.endswith(skipped) and "/traced_inputs" not in name:
                    content = archive.read(name)
                    tensor = "/data/" in name or "/constants/" in name
                    members.append(
                        (_MANGLED.sub(b"", name.encode()), content if tensor else _MANGLED.sub(b"", content))
                    )
        for name, content in sorted(members):
            self.tag(name.decode())
            self.sha.update(content)

    def _feed_module(self, module: nn.Module, path: str) -> None:
        import torch

        original = vars(module).get("_modules", {}).get("_orig_mod")
        if original is not None and type(module).__module__.startswith("torch._dynamo"):
            return self._feed_module(original, path)  # what torch.compile made of it is not what is asked
        self.feed(type(module), path)
        if isinstance(module, torch.fx.GraphModule):
            self._feed_graph(module.graph, path)
        attributes = vars(module)
        for name in (*_STATE, *_HOOKS):
            if attributes.get(name):
                # A hook is filed under a number that counts the hooks of the process.
                entries = enumerate(attributes[name].values()) if name in _HOOKS else attributes[name].items()
                self._feed_pairs(name, entries, path)
        state: dict[str, Any] = {}
        if _packs_state(type(module)):
            module._save_to_state_dict(state, "", keep_vars=False)
            self._feed_pairs("state", state.items(), path)
        read = None
        for name, attribute in attributes.items():
            if name in _STATE or name in _HOOKS or name in _SKIPPED:
                continue
            if state and isinstance(attribute, torch.ScriptObject):
                continue  # the packed weights that the state holds unpacked
            if isinstance(module, torch.fx.GraphModule) and name in (
                "_graph",
                "_code",
                "_graphmodule_cls_name",
                "meta",
            ):
                continue
            before = len(self.unseen)
            self.tag(name)
            self.feed(attribute, f"{path}.{name}" if path else name)
            if len(self.unseen) > before:  # of consequence only where code of the module reads it
                read = _names_read(type(module), vars(module).get("forward")) if read is None else read
                if read and name not in read:
                    del self.unseen[before:]

    def _feed_graph(self, graph: torch.fx.Graph, path: str) -> None:
        self.tag("graph")
        for node in graph.nodes:
            self.tag(node.op, node.name, _ADDRESS.sub("", repr((node.args, node.kwargs))))
            if isinstance(node.target, str):
                self.tag(node.target)
            else:
                self.feed(node.target, f"{path}.{node.name}")

    def _feed_class(self, kind: type, path: str) -> None:
        """Feed a class with what it and its bases define, as far as these are not torch's or Python's own."""
        self.tag("class", kind.__qualname__)
        for base in kind.__mro__:
            outside = is_outside(base.__module__, file_of(base)) or base is object
            self.tag(base.__qualname__, base.__module__ if outside else "")
            for name, attribute in vars(base).items():
                if outside and not is_replaced(attribute):
                    continue
                if name not in _SKIPPED and not isinstance(
                    attribute, types.GetSetDescriptorType | types.MemberDescriptorType
                ):
                    self.tag(name)
                    self._within(base, attribute, f"{path}.{base.__qualname__}.{name}")

    def _within(self, kind: type, attribute: Any, path: str) -> None:
        """Feed what a class holds; of an installed library its functions alone, since what else it keeps may be anything."""
        if is_installed(file_of(kind)) and not _functions_of(attribute):
            if attribute is None or isinstance(attribute, bool | int | float | str):
                self.feed(attribute, path)
            return
        self.feed(attribute, path)

    def _feed_callable(self, value: Any, path: str) -> bool:
        """Feed a function in any of its forms; tell whether it is one."""
        if isinstance(value, types.FunctionType):
            self._feed_function(value, path)
        elif isinstance(value, types.MethodType):
            self.tag("method")
            self.feed(value.__func__, path)
            self.feed(value.__self__, path)
        elif isinstance(value, functools.partial):
            self.tag("partial")
            self.feed([value.func, value.args, value.keywords], path)
        elif isinstance(value, weakref.ref):
            self.tag("reference")
            self.feed(value(), path)
        elif (name := name_outside(value)) is not None:
            self.tag("outside", name)
        elif hasattr(value, "__wrapped__"):  # of functools.cache and other wrappers
            self.tag("wrapper")
            self.feed(value.__wrapped__, path)
        else:
            return False
        return True

    def _feed_function(self, function: types.FunctionType, path: str) -> None:
        self.tag("function", function.__name__)
        file = function.__code__.co_filename
        if is_outside(function.__module__ or "", file):
            self.tag(f"{function.__module__}.{function.__qualname__}")
        else:
            self._feed_code(function.__code__, path)
        self.feed([function.__defaults__, function.__kwdefaults__], path)
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            self.tag(name)
            try:
                content = cell.cell_contents
            except ValueError:  # not filled yet
                continue
            self.feed(content, f"{path}<{name}>")
        if not is_outside(function.__module__ or "", file) and not is_installed(file):
            self._feed_globals(function, path)

    def _feed_globals(self, function: types.FunctionType, path: str) -> None:
        """Feed the globals that a function reads, and what it reads of modules of one's own."""
        for code in _codes(function.__code__):
            for name in code.co_names:
                if name not in function.__globals__:
                    continue
                value = function.__globals__[name]
                self.tag("global", name)
                if isinstance(value, types.ModuleType) and not is_library(getattr(value, "__file__", None) or ""):
                    self._feed_pairs(
                        "module", ((n, vars(value)[n]) for n in code.co_names if n in vars(value)), f"{path}<{name}>"
                    )
                elif not isinstance(value, _HARMLESS):
                    self.feed(value, f"{path}<{name}>")

    def _feed_code(self, code: types.CodeType, path: str) -> None:
        self.tag("code", code.co_name, *code.co_names, *code.co_varnames, *code.co_freevars, *code.co_cellvars)
        self.sha.update(code.co_code + code.co_exceptiontable)
        constants = code.co_consts[1:] if code.co_consts and _is_docstring(code) else code.co_consts
        for constant in constants:
            self.feed(constant, path) if not isinstance(constant, types.CodeType) else self._feed_code(constant, path)

    def _feed_pairs(self, kind: str, pairs: Iterable[tuple[Any, Any]], path: str) -> None:
        self.tag(kind)
        for key, value in pairs:
            self.feed(key, path)
            self.feed(value, f"{path}[{key!r}]" if not isinstance(key, str) else f"{path}.{key}" if path else key)
        self.tag("end")

    def _feed_set(self, members: Iterable[Any], path: str) -> None:
        """Feed a set by the digests of its members, in their order: that of the set is another in every process."""
        digests = []
        for member in members:
            apart = _Walk()
            apart.feed(member, path)
            self.unseen += apart.unseen
            digests.append(apart.sha.hexdigest())
        self.tag("set", *sorted(digests))

    def _feed_instance(self, value: Any, path: str) -> None:
        """Feed an object by its class and its attributes, if it has any that Python sees."""
        import torch

        kind = type(value)
        if isinstance(
            value, torch.dtype | torch.layout | torch.memory_format | range | slice | types.EllipsisType | re.Pattern
        ):
            return self.tag(kind.__name__, str(value))
        if isinstance(value, (torch.device, *_HARMLESS)) or kind.__module__ in (
            "_thread",
            "threading",
            "typing",
            "_contextvars",
        ):
            return self.tag(kind.__name__)
        if isinstance(value, enum.Enum):
            return self.tag(kind.__qualname__, value.name)
        if isinstance(value, staticmethod | classmethod):
            return self.feed([kind.__name__, value.__func__], path)
        if isinstance(value, property):
            return self.feed(["property", value.fget], path)
        if isinstance(value, functools.cached_property):
            return self.feed(["property", value.func], path)
        if isinstance(value, torch.Generator):
            return self.feed(["generator", value.get_state()], path)
        if isinstance(value, np.random.Generator):
            return self.feed(["generator", value.bit_generator.state], path)
        if isinstance(value, torch.fx.Graph):
            return self._feed_graph(value, path)
        if isinstance(value, types.GenericAlias | types.UnionType):
            return self.tag(str(value))
        attributes = _attributes_of(value)
        if attributes is None:
            self.tag("unseen", kind.__qualname__)
            self.unseen.append(f"{path or 'the module'} ({kind.__module__}.{kind.__qualname__})")
            return None
        self.feed(kind, path)
        return self._feed_pairs("object", attributes.items(), path)


def _attributes_of(value: Any) -> dict[str, Any] | None:
    """Give what an object holds; None if it may hold something that Python does not see."""
    kind = type(value)
    if any(
        not is_heap(base) and base is not object and base.__module__ not in ("typing", "abc") for base in kind.__mro__
    ):
        return None
    slots = [name for base in kind.__mro__ for name in _slots(base) if hasattr(value, name)]
    attributes = {name: getattr(value, name) for name in slots if name not in _SKIPPED}
    attributes.update((name, held) for name, held in getattr(value, "__dict__", {}).items() if name not in _SKIPPED)
    return attributes


def _slots(kind: type) -> tuple[str, ...]:
    names = vars(kind).get("__slots__", ())
    return (names,) if isinstance(names, str) else tuple(names)


def _functions_of(attribute: Any) -> bool:
    return isinstance(attribute, types.FunctionType | staticmethod | classmethod | property | functools.cached_property)


def _packs_state(kind: type) -> bool:
    """Tell whether a module saves more than its parameters and buffers, as quantised layers do their packed weights."""
    from torch import nn

    return kind._save_to_state_dict is not nn.Module._save_to_state_dict


def _parts_of_sparse(tensor: torch.Tensor) -> list[torch.Tensor]:
    import torch

    if tensor.layout is torch.sparse_coo:
        tensor = tensor.coalesce()
        return [tensor.indices(), tensor.values()]
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        return [tensor.crow_indices(), tensor.col_indices(), tensor.values()]
    if tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        return [tensor.ccol_indices(), tensor.row_indices(), tensor.values()]
    return [tensor.to_dense()]


def _codes(code: types.CodeType) -> list[types.CodeType]:
    """Give a function's code and that of the functions within it."""
    within = [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return [code, *(inner for constant in within for inner in _codes(constant))]


def _is_docstring(code: types.CodeType) -> bool:
    return isinstance(code.co_consts[0], str) and 0 not in {
        instruction.arg for instruction in dis.get_instructions(code) if instruction.opname == "LOAD_CONST"
    }


def _names_read(kind: type, forward: Any) -> frozenset[str]:
    """Give the names that `forward` reads, and the methods that it calls; nothing if it may read any by `getattr` or `vars`."""
    names: set[str] = set()
    functions = [forward if forward is not None else kind.forward]
    walked: set[int] = set()
    while functions:
        function = functions.pop()
        code = getattr(getattr(function, "__func__", function), "__code__", None)
        if code is None or id(code) in walked:
            continue
        walked.add(id(code))
        fresh = {name for inner in _codes(code) for name in inner.co_names} - names
        names |= fresh
        functions += [member for name in fresh if (member := getattr(kind, name, None)) is not None]
    return frozenset() if names & {"getattr", "vars", "__dict__", "__getattribute__"} else frozenset(names)
