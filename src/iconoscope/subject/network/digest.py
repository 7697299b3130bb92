"""Digest of a network: all that can be seen to decide its answers, as one number, equal in every process and on every machine.

Weights are the least of it. A hook, a function that was put in the place of `forward`, a tensor or a dictionary that a module
holds as an attribute, a global variable that its code reads: each changes what the network answers. So a module is walked as
Python sees it, and what C holds as pickle would save it. Whatever stands outside of it (torch, NumPy, Python itself) goes in by
name. What cannot be walked is named in `unseen`, and a store keeps nothing of such a network.
"""

from __future__ import annotations

import dataclasses
import dis
import functools
import hashlib
import os
import re
import secrets
import sys
import types
import weakref
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from iconoscope.errors import shortened
from iconoscope.results.question import UNSEEN
from iconoscope.subject.network.code_origin import (
    file_of,
    is_as_shipped,
    is_installed,
    is_library,
    is_outside,
    is_own,
    name_outside,
    replacements,
    unwrapped,
)
from iconoscope.subject.network.code_reads import CodeReads, codes, import_names, reads_of, source_of
from iconoscope.subject.network.named_files import MOST_FILES, content_of
from iconoscope.subject.network.object_parts import HARMLESS, attributes_of, parts_of_object
from iconoscope.subject.network.weights_as_bytes import dense_bytes, packs_state, parts_of_tensor, script_members

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
# Attributes of a module of no consequence to an answer, or of the process alone.
_OF_MODULES = frozenset(
    {*_STATE, *_HOOKS, "_compiled_call_impl", "_is_full_backward_hook", "_non_persistent_buffers_set", "_state_dict_hooks",
     "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks", "_forward_hooks_always_called"}
)  # fmt: skip
_OF_GRAPHS = frozenset({"_graph", "_code", "_graphmodule_cls_name", "meta"})
_OF_CLASSES = frozenset(
    {"__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__", "__static_attributes__", "__annotations__",
     "__annotate__", "__annotate_func__", "__annotations_cache__", "__slots__", "__orig_bases__", "__parameters__",
     "_abc_impl", "__abstractmethods__", "__match_args__", "__type_params__"}
)  # fmt: skip
# What makes modules, in torch's own class of them: torch.compile puts its own there when it has compiled any network, and what
# there is is not made again.
_OF_MAKING = frozenset({"__init__", "__setstate__", "___needs_generation_tag_patch"})
_SCALARS = (type(None), bool, int, float, complex, bytes)
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


MOST_OBJECTS = 100_000
"""Objects of one walk, some seconds of it: of networks of timm, torchvision and transformers there are a few thousand."""


class _TooMuch(Exception):  # noqa: N818 -- it ends a walk, and is told in words
    pass


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

    @property
    def key(self) -> str:
        """The digest; where not all is seen another at every call, which says so, and of which no store keeps an answer."""
        return f"{UNSEEN}{secrets.token_hex(8)}: {shortened(self.unseen, most=3)}" if self.unseen else self.sha256


def digest_module(module: nn.Module, *, weights: bool = True) -> NetworkDigest:
    """Walk a module and give the digest of all that can be seen to decide its answers in evaluation mode.

    Parts of torch, NumPy and Python go in by their names, functions and classes of one's own by their bytecode and by the
    globals they read, of installed libraries by bytecode alone. Of files and folders that a text names the content goes in.

    Parameters
    ----------
    module
        The network.
    weights
        Whether the numbers in its tensors and the contents of files count; otherwise their types and shapes alone, which is
        quicker.

    Examples
    --------
    >>> from torch import nn
    >>> layer = nn.Conv2d(3, 4, 3)
    >>> before = digest_module(layer)
    >>> handle = layer.register_forward_hook(lambda module, inputs, answer: answer * 0)
    >>> digest_module(layer) == before, before.unseen
    (False, ())
    """
    import torch
    import torch.nn.modules.module as torch_module

    walk = _Walk(weights=weights, evaluated=frozenset(map(id, module.modules())))
    hooks = [list(vars(torch_module).get(name, {}).values()) for name in _GLOBAL_HOOKS]
    return walk.digest_of([dict(replacements()), torch.Tensor, hooks, module])


def digest_object(value: object) -> NetworkDigest:
    """Walk anything else that decides an answer, as a function of one's own, in the way of `digest_module`.

    >>> digest_object({"gain": 2.0}) == digest_object({"gain": 3.0})
    False
    """
    return _Walk().digest_of([value])


@dataclasses.dataclass(frozen=True)
class _Unseen:
    """What cannot be walked, and the module's attribute that holds it, if only code that reads that attribute comes there."""

    name: str
    attribute: str


class _Walk:
    """One walk through a network: what was fed to the digest, what could not be, and what its code reads."""

    def __init__(self, *, weights: bool = True, evaluated: frozenset[int] = frozenset()) -> None:
        self.weights, self.evaluated = weights, evaluated
        self.sha = hashlib.sha256()
        self.numbers: dict[int, int] = {}
        self.alive: list[Any] = []  # an object that went away would give its address to another
        self.unseen: list[_Unseen] = []
        self.spans: dict[int, tuple[int, int]] = {}  # by id, what of `unseen` lies within
        self.attribute = ""
        self.reads: set[str] = set()  # attributes, by all code
        self.own_reads: set[str] = set()  # by the user's
        self.computed = False
        self.environment: set[str | None] = set()
        self.modules: list[tuple[types.ModuleType, str]] = []

    def digest_of(self, roots: list[Any]) -> NetworkDigest:
        """Feed the roots and what their code reads by way of modules and of the environment; give the digest."""
        try:
            for root in roots:
                self.feed(root, "")
            self._feed_members()
        except RecursionError:
            self.unseen.append(_Unseen("objects within objects without end", ""))
        except _TooMuch:
            self.unseen.append(
                _Unseen(f"more than {MOST_OBJECTS:,} objects, as of a library that is not installed", "")
            )
        for name in sorted(self.environment, key=str):
            self.tag(
                "environment",
                *(map(repr, sorted(os.environ.items())) if name is None else (name, str(os.getenv(name)))),
            )
        counted = [one.name for one in self.unseen if not one.attribute or self.computed or one.attribute in self.reads]
        return NetworkDigest(self.sha.hexdigest(), tuple(dict.fromkeys(counted)))

    def feed(self, value: Any, path: str) -> None:
        """Feed a value, by its type; what was fed before is fed as its number."""
        if type(value) in _SCALARS:
            self.tag(type(value).__name__, repr(value))
        elif type(value) is str or isinstance(value, PurePath):
            self._feed_text(str(value), path)
        elif (number := self.numbers.get(id(value))) is not None:
            self.tag("again", str(number))
            first, last = self.spans.get(id(value), (0, 0))
            self.unseen += [dataclasses.replace(one, attribute=self.attribute) for one in self.unseen[first:last]]
        else:
            self.numbers[id(value)] = len(self.numbers)
            self.alive.append(value)
            if len(self.alive) > MOST_OBJECTS:
                raise _TooMuch
            first = len(self.unseen)
            self._feed_object(value, path)
            if len(self.unseen) > first:
                self.spans[id(value)] = first, len(self.unseen)

    def tag(self, *words: str) -> None:
        """Feed words, so that no two sequences of words are fed alike."""
        for word in words:
            encoded = word.encode("utf-8", "surrogatepass")
            self.sha.update(f"{len(encoded)}:".encode() + encoded)

    def _miss(self, path: str, why: str) -> None:
        self.tag("unseen", why)
        self.unseen.append(_Unseen(f"{path or 'the module'} ({why})", self.attribute))

    def _feed_text(self, text: str, path: str) -> None:
        """Feed a text; where it names a file or a folder, its content, and not where that is: elsewhere on another machine."""
        self.tag("text", Path(text).name if Path(text).is_absolute() else text)
        try:
            content = content_of(text) if self.weights else ""
        except OSError as error:
            return self._miss(path, f"{text}: {error.strerror or error}")
        if content is None:
            return self._miss(path, f"the folder {text} of more than {MOST_FILES} files")
        return self.tag("content", content) if content else None

    def _feed_object(self, value: Any, path: str) -> None:
        import torch

        if isinstance(value, torch.Tensor):
            self._feed_tensor(value, path)
        elif isinstance(value, np.ndarray | np.generic):
            self._feed_array(value, path)
        elif isinstance(value, torch.jit.ScriptModule):
            for name, content in script_members(value) if self.weights else ():
                self.tag(name.decode())
                self.sha.update(content)
        elif isinstance(value, torch.nn.Module):
            self._feed_module(value, path)
        elif isinstance(value, type):
            self._feed_class(value, path)
        elif type(value) in (
            dict, types.MappingProxyType, weakref.WeakKeyDictionary, weakref.WeakValueDictionary
        ):  # fmt: skip
            self._feed_pairs(type(value).__name__, value.items(), path)
        elif type(value) in (list, tuple):
            self.tag(type(value).__name__, str(len(value)))
            for index, element in enumerate(value):
                self.feed(element, f"{path}[{index}]")
        elif isinstance(value, set | frozenset):
            self._feed_set(value, path)
        elif isinstance(value, types.CodeType):
            self._feed_code(value, path, users=True)
        elif isinstance(value, types.ModuleType):
            self.tag("module", value.__name__.rpartition(".")[2])
            self.modules.append((value, path))
        elif value is os.environ:
            self.environment.add(None)
        elif isinstance(value, types.FunctionType):
            self._feed_function(value, path)
        elif isinstance(value, torch.fx.Graph):
            self._feed_graph(value, path)
        elif (parts := parts_of_object(value)) is None:
            self._miss(path, f"{type(value).__module__}.{type(value).__qualname__}")
        else:
            self.tag(str(len(parts)))
            for part in parts:
                self.feed(part, path)

    def _feed_tensor(self, tensor: torch.Tensor, path: str) -> None:
        import torch

        if type(tensor) not in (torch.Tensor, torch.nn.Parameter, torch.nn.Buffer):
            self.feed(type(tensor), path)
        if attributes := vars(tensor):
            self._feed_pairs("attributes", attributes.items(), path)
        tensor = tensor.detach()
        self.tag("tensor", str(tensor.dtype), str(tuple(tensor.shape)), str(tensor.layout))
        if tensor.is_meta or not self.weights:
            return
        parts = parts_of_tensor(tensor)
        if parts is None:
            self.sha.update(dense_bytes(tensor))
        else:
            self.feed(parts, path)

    def _feed_array(self, array: np.ndarray | np.generic, path: str) -> None:
        if is_own(type(array)):
            self._feed_pairs("array", [("class", type(array)), ("attributes", getattr(array, "__dict__", None))], path)
        array = np.asarray(array)
        self.tag("array", str(array.dtype), str(array.shape))
        if array.dtype.hasobject:
            self.feed(array.tolist(), path)
        elif self.weights:
            self.sha.update(np.ascontiguousarray(array).tobytes())

    def _feed_module(self, module: nn.Module, path: str) -> None:
        import torch

        attributes = vars(module)
        original = attributes.get("_modules", {}).get("_orig_mod")
        if original is not None and type(module).__module__.startswith("torch._dynamo"):
            return self._feed_module(original, path)  # what torch.compile made of it is not what is asked
        outer, self.attribute = self.attribute, ""
        if isinstance(module, torch.fx.GraphModule):
            self._feed_graph(module.graph, path)
        for name in (*_STATE, *_HOOKS):
            if attributes.get(name):
                # A hook is filed under a number that counts the hooks of the process.
                entries = enumerate(attributes[name].values()) if name in _HOOKS else attributes[name].items()
                self._feed_pairs(name, entries, path)
        state: dict[str, Any] = {}
        if packs_state(type(module)):
            module._save_to_state_dict(state, "", keep_vars=False)
            self._feed_pairs("state", state.items(), path)
        skipped = _OF_MODULES | _OF_GRAPHS if isinstance(module, torch.fx.GraphModule) else _OF_MODULES
        if attributes.get("_wrapped_call") is torch.nn.Module.__call__:  # put there for the time of a question
            skipped = skipped | {"_wrapped_call"}
        for name, attribute in attributes.items():
            if name in skipped or (
                state and isinstance(attribute, torch.ScriptObject)
            ):  # which the state holds unpacked
                continue
            if name == "training" and id(module) in self.evaluated:
                continue
            # What a library's code reads of its modules is not looked up.
            self.attribute = name if is_own(type(module)) else ""
            self.tag(name)
            self.feed(attribute, f"{path}.{name}" if path else name)
        self.attribute = ""
        self.feed(type(module), path)
        self.attribute = outer
        return None

    def _feed_graph(self, graph: torch.fx.Graph, path: str) -> None:
        self.tag("graph")
        for node in graph.nodes:
            self.tag(node.op, node.name, _ADDRESS.sub("", repr((node.args, node.kwargs))))
            if isinstance(node.target, str):
                self.tag(node.target)
            else:
                self.feed(node.target, f"{path}.{node.name}")

    def _feed_class(self, kind: type, path: str) -> None:
        """Feed a class with what it and its bases define, of torch's and Python's own what was put into them."""
        self.tag("class", kind.__qualname__)
        if type(kind) is not type:
            self.feed(type(kind), path)
        for base in kind.__mro__:
            if base is not kind and id(base) in self.numbers:
                self.tag("again", str(self.numbers[id(base)]))
                continue
            self.numbers.setdefault(id(base), len(self.numbers))
            self.alive.append(base)
            outside = is_outside(base.__module__, file_of(base)) or base is object
            self.tag(base.__qualname__, base.__module__ if outside else "")
            left_out = _OF_CLASSES | (_OF_MAKING if base.__module__ == "torch.nn.modules.module" else frozenset())
            for name, attribute in vars(base).items():
                if name in left_out or isinstance(attribute, types.GetSetDescriptorType | types.MemberDescriptorType):
                    continue
                if outside:
                    self._feed_outside(base, name, attribute, f"{path}.{base.__qualname__}.{name}")
                elif type(attribute) in _SCALARS or not is_installed(file_of(base)) or _is_code(attribute):
                    # What else a library's class keeps may be anything.
                    self.tag(name)
                    self.feed(attribute, f"{path}.{base.__qualname__}.{name}")

    def _feed_outside(self, base: type, name: str, attribute: Any, path: str) -> None:
        """Feed what stands in a class of torch's or of Python's, if it is not what was defined there."""
        function = unwrapped(attribute)
        if type(attribute) in _SCALARS:
            if base.__module__.partition(".")[0] == "torch":
                self.tag(name, repr(attribute))
        elif is_own(attribute) or type(attribute) is functools.partial:
            self.tag(name)
            self.feed(attribute, path)
        elif isinstance(function, types.FunctionType):
            self.reads.update(function.__code__.co_names if name == "forward" else ())
            if function.__qualname__ != f"{base.__qualname__}.{name}":
                self.tag(name, f"{function.__module__}.{function.__qualname__}")
        elif isinstance(function, types.BuiltinFunctionType):
            self.tag(name, str(name_outside(function)))

    def _feed_function(self, function: types.FunctionType, path: str) -> None:
        self.tag("function", function.__name__)
        code = function.__code__
        outside, users = is_outside(function.__module__ or "", code.co_filename), is_own(function)
        if outside:
            self.tag(f"{function.__module__}.{function.__qualname__}")
        else:
            self._feed_code(code, path, users=users)
        self.feed([function.__defaults__, function.__kwdefaults__, None if outside else function.__dict__], path)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            self.tag(name)
            try:
                content = cell.cell_contents
            except ValueError:  # not filled yet
                continue
            self.feed(content, f"{path}<{name}>")
        if users:
            self._feed_globals(function, path)
        elif not outside:
            self._feed_replaced_globals(function, path)

    def _feed_globals(self, function: types.FunctionType, path: str) -> None:
        """Feed the globals that a function of one's own reads, and what it imports."""
        reads = reads_of(function.__code__)
        self.own_reads |= reads.attributes
        self.environment |= reads.environment
        self.computed |= reads.computed
        for name in reads.globals:
            if name in function.__globals__ and not isinstance(function.__globals__[name], HARMLESS):
                self.tag("global", name)
                self.feed(function.__globals__[name], f"{path}<{name}>")
        self._feed_imports(function, reads, path)

    def _feed_imports(self, function: types.FunctionType, reads: CodeReads, path: str) -> None:
        for name in import_names(function.__globals__.get("__package__") or "", reads):
            module = sys.modules.get(name)
            if module is not None:
                self.feed(module, f"{path}<{name}>")
            elif (source := source_of(name)) is not None and not is_library(str(source)):
                self.tag("source", name)
                self._feed_text(str(source), path)

    def _feed_replaced_globals(self, function: types.FunctionType, path: str) -> None:
        """Feed of the globals that a library's function reads those that are the user's, and plain numbers."""
        for code in codes(function.__code__):
            for name in code.co_names:
                value = function.__globals__.get(name)
                if type(value) in (bool, int, float) or (isinstance(value, types.FunctionType) and is_own(value)):
                    self.tag("global", name)
                    self.feed(value, f"{path}<{name}>")

    def _feed_members(self) -> None:
        """Feed of the modules that code came to whatever it reads of any: the names are those of all attributes it reads."""
        fed: set[tuple[int, str]] = set()
        while fresh := [
            (module, path, name)
            for module, path in self.modules
            for name in sorted(vars(module).keys() & self.own_reads)
            if (id(module), name) not in fed
        ]:
            for module, path, name in fresh:
                fed.add((id(module), name))
                member = vars(module)[name]
                library = is_library(getattr(module, "__file__", None) or "")
                if library and isinstance(member, types.ModuleType):  # which may be imported by and by
                    self.modules.append((member, f"{path}.{name}"))
                elif not isinstance(member, HARMLESS) and not (library and is_as_shipped(name, member)):
                    self.tag("member", module.__name__.rpartition(".")[2], name)
                    self.feed(member, f"{path}.{name}")

    def _feed_code(self, code: types.CodeType, path: str, *, users: bool) -> None:
        self.tag("code", code.co_name, *code.co_names, *code.co_varnames, *code.co_freevars, *code.co_cellvars)
        self.reads.update(code.co_names)
        self.sha.update(code.co_code + code.co_exceptiontable)
        constants = code.co_consts[1:] if code.co_consts and _is_docstring(code) else code.co_consts
        for constant in constants:
            if isinstance(constant, types.CodeType):
                self._feed_code(constant, path, users=users)
            elif isinstance(constant, str) and not users:
                self.tag("text", constant)
            else:
                self.feed(constant, path)

    def _feed_pairs(self, kind: str, pairs: Iterable[tuple[Any, Any]], path: str) -> None:
        self.tag(kind)
        for key, value in list(pairs):
            self.feed(key, path)
            self.feed(value, f"{path}[{key!r}]" if not isinstance(key, str) else f"{path}.{key}" if path else key)
        self.tag("end")

    def _feed_set(self, members: set[Any] | frozenset[Any], path: str) -> None:
        """Feed a set by the digests of its members, in their order: that of the set is another in every process."""
        if type(members) not in (set, frozenset):
            self._feed_pairs("set", [("class", type(members)), ("attributes", attributes_of(members))], path)
        outer, digests = (self.sha, self.numbers), []
        for member in set.__iter__(members) if isinstance(members, set) else frozenset.__iter__(members):
            self.sha, self.numbers = hashlib.sha256(), dict(outer[1])
            self.feed(member, path)
            digests.append(self.sha.hexdigest())
        self.sha, self.numbers = outer
        self.tag("set", *sorted(digests))


def _is_code(attribute: Any) -> bool:
    return isinstance(attribute, types.FunctionType | staticmethod | classmethod | property | functools.cached_property)


@functools.lru_cache(4096)
def _is_docstring(code: types.CodeType) -> bool:
    return isinstance(code.co_consts[0], str) and 0 not in {
        instruction.arg for instruction in dis.get_instructions(code) if instruction.opname == "LOAD_CONST"
    }
