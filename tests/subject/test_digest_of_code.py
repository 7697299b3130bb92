"""The digest of what a network's code reads: submodules, imports, the environment, files, objects of C, replaced functions."""

import array
import collections
import contextvars
import datetime
import decimal
import enum
import functools
import importlib
import logging
import math
import operator
import os
import re
import sys
import textwrap
import threading
import types
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from iconoscope.subject.network.digest import digest_module, digest_object


class Net(nn.Module):
    """A network that answers by whatever it holds."""

    def __init__(self, held: Any = None):
        super().__init__()
        torch.manual_seed(0)
        self.fc = nn.Linear(4, 2)
        self.held = held

    def forward(self, batch):
        return self.fc(batch) * self.held(batch) if self.held is not None else self.fc(batch)


def sha(held: Any) -> str:
    digest = digest_module(held if isinstance(held, nn.Module) else Net(held))
    assert digest.unseen == ()
    return digest.sha256


def class_of(base: type, factor: float) -> type:
    class Held(base):
        def factor(self):
            return factor

    return Held


def with_attribute(value: Any, factor: float) -> Any:
    value.factor = factor
    return value


def scaling(factor):
    return lambda batch: batch * factor


def context(factor):
    variable = contextvars.ContextVar("factor")
    variable.set(factor)
    return variable


def nested(depth, factor):
    return factor if not depth else [nested(depth - 1, factor)]


Pair = collections.namedtuple("Pair", ["one", "other"])

HELD = {
    "factory of a defaultdict": lambda k: collections.defaultdict(lambda: k),
    "methods of a dict": lambda k: class_of(dict, k)(a=1),
    "methods of a float": lambda k: class_of(float, k)(1.0),
    "methods of an int": lambda k: class_of(int, k)(1),
    "methods of a text": lambda k: class_of(str, k)("a"),
    "methods of a list": lambda k: class_of(list, k)([1]),
    "methods of a set": lambda k: class_of(set, k)([1]),
    "methods of a tensor": lambda k: torch.ones(2).as_subclass(class_of(torch.Tensor, k)),
    "methods of a metaclass": lambda k: class_of(type, k)("Made", (), {}),
    "attribute of a parameter": lambda k: with_attribute(nn.Parameter(torch.ones(2)), k),
    "attribute of a tensor": lambda k: with_attribute(torch.ones(2), k),
    "attribute of a function": lambda k: with_attribute(scaling(1), k),
    "attribute of a dict": lambda k: with_attribute(class_of(dict, 1)(), k),
    "itemgetter": lambda k: operator.itemgetter(int(k)),
    "attrgetter": lambda k: operator.attrgetter(f"name{k}"),
    "methodcaller": lambda k: operator.methodcaller("mul", k),
    "partial of a builtin": lambda k: functools.partial(math.pow, k),
    "bound method of a list": lambda k: [k].index,
    "context variable": context,
    "bytearray": lambda k: bytearray([int(k)]),
    "array": lambda k: array.array("d", [k]),
    "memory of bytes": lambda k: bytes([int(k)]),
    "date": lambda k: datetime.date(2000, 1, int(k)),
    "duration": datetime.timedelta,
    "decimal": decimal.Decimal,
    "named tuple": lambda k: Pair(k, 1),
    "class of named tuples": lambda k: collections.namedtuple("Sizes", ["a", f"b{int(k)}"]),
    "enumeration": lambda k: enum.Enum("Gain", {"USED": k}).USED,
    "length of a deque": lambda k: collections.deque([1], maxlen=int(k)),
    "ordered dict": lambda k: collections.OrderedDict(a=k),
    "counter": lambda k: collections.Counter(a=int(k)),
    "long pattern": lambda k: re.compile("a" * 300 + str(k)),
    "training of no module": lambda k: types.SimpleNamespace(training=k > 1),
    "mode of a hidden module": lambda k: [nn.Dropout().train(k > 1)],
    "exception": ValueError,
    "depth": lambda k: nested(int(k), 1),
}


@pytest.mark.parametrize("name", HELD)
def test_objects_of_c_and_of_subclasses_are_seen_whole(name):
    one, same, three = (HELD[name](factor) for factor in (1.0, 1.0, 3.0))
    assert sha(one) == sha(same) != sha(three)


SOURCES = {
    "pkg/__init__.py": "",
    "pkg/cfg.py": "G = 1.0\ndef read():\n    return G\n",
    "pkg/lazy.py": "L = 1.0\n",
    "pkg/nets.py": """
        import functools, os, sys, math
        import torch
        from torch import nn
        import pkg.cfg
        from . import cfg as configuration

        def scale(net): return net.table[0]
        def held(net): return net.held.G
        def environ(name): return float(os.environ.get(name, "1"))

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.fc = nn.Linear(4, 2)
                self.table, self.held = [1.0], configuration
        class Chain(Net):
            def forward(self, batch): return self.fc(batch) * pkg.cfg.G
        class Within(Net):
            def forward(self, batch):
                from pkg.cfg import G
                return self.fc(batch) * G
        class Relative(Net):
            def forward(self, batch):
                from .cfg import G
                return self.fc(batch) * G
        class Imported(Net):
            def forward(self, batch):
                import pkg.cfg as c
                return self.fc(batch) * c.G
        class Function(Net):
            def forward(self, batch): return self.fc(batch) * configuration.read()
        class Held(Net):
            def forward(self, batch): return self.fc(batch) * held(self)
        class Lazy(Net):
            def forward(self, batch):
                from pkg import lazy
                return self.fc(batch) * lazy.L
        class Scaled(Net):
            def forward(self, batch): return self.fc(batch) * scale(self)
        class Environment(Net):
            def forward(self, batch): return self.fc(batch) * float(os.environ.get("PKG_GAIN", 1))
        class Item(Net):
            def forward(self, batch): return self.fc(batch) * float(os.environ["PKG_GAIN"])
        class Getenv(Net):
            def forward(self, batch): return self.fc(batch) * float(os.getenv("PKG_GAIN", "1"))
        class Computed(Net):
            def forward(self, batch): return self.fc(batch) * environ("PKG_" + "GAIN")
        class Relu(Net):
            def forward(self, batch): return torch.relu(self.fc(batch))
        class Functional(Net):
            def forward(self, batch): return nn.functional.relu(self.fc(batch))
        class Method(Net):
            def forward(self, batch): return self.fc(batch).relu()
        class Exp(Net):
            def forward(self, batch): return self.fc(batch) * math.exp(1)
    """,
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    for name, source in SOURCES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(source), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PKG_GAIN", "1")
    importlib.invalidate_caches()
    yield importlib.import_module("pkg.nets")
    for name in [name for name in sys.modules if name.partition(".")[0] == "pkg"]:
        del sys.modules[name]


@pytest.mark.parametrize("name", ["Chain", "Within", "Relative", "Imported", "Function", "Held"])
def test_values_in_modules_are_seen_however_code_comes_to_them(name, package, monkeypatch):
    net = getattr(package, name)()
    before = sha(net)
    assert sha(net) == before
    monkeypatch.setattr(sys.modules["pkg.cfg"], "G", 2.0)
    assert sha(net) != before
    monkeypatch.setattr(sys.modules["pkg.cfg"], "G", 1.0)
    assert sha(net) == before


def test_modules_that_are_imported_only_while_it_answers_are_seen_by_their_source(package, tmp_path):
    net = package.Lazy()
    before = sha(net)
    (tmp_path / "pkg" / "lazy.py").write_text("L = 2.0\n", encoding="utf-8")
    assert sha(net) != before and "pkg.lazy" not in sys.modules


@pytest.mark.parametrize("name", ["Environment", "Item", "Getenv", "Computed"])
def test_the_environment_is_seen_where_it_is_read(name, package, monkeypatch):
    net, other = getattr(package, name)(), package.Chain()
    before, others = sha(net), sha(other)
    monkeypatch.setenv("PKG_GAIN", "2")
    assert sha(net) != before and sha(other) == others
    if name != "Computed":
        monkeypatch.setenv("PKG_GAIN", "1")
        monkeypatch.setenv("PKG_OTHER", "2")
        assert sha(net) == before


REPLACED = {
    "Relu": (torch, "relu"), "Functional": (F, "relu"), "Method": (torch.Tensor, "relu"), "Exp": (math, "exp"),
}  # fmt: skip


@pytest.mark.parametrize("name", REPLACED)
@pytest.mark.parametrize("by", ["own", "another", "object"])
def test_functions_of_torch_that_are_replaced_are_seen(name, by, package, monkeypatch):
    net = getattr(package, name)()
    inner = nn.Sequential(nn.ReLU(), nn.Linear(4, 2))  # which calls them out of torch's own code
    before, inside = sha(net), sha(inner)
    namespace, attribute = REPLACED[name]
    replacement = {"own": lambda *given: given[0], "another": torch.tanh, "object": functools.partial(operator.add, 1)}
    with monkeypatch.context() as patch:
        patch.setattr(namespace, attribute, replacement[by])
        assert sha(net) != before
        assert name == "Exp" or sha(inner) != inside
    assert sha(net) == before and sha(inner) == inside


def test_methods_of_torchs_modules_that_are_replaced_are_seen(monkeypatch):
    net = nn.Sequential(nn.ReLU())
    before = sha(net)
    monkeypatch.setattr(nn.ReLU, "forward", nn.Tanh.forward)
    assert sha(net) != before


def test_an_attribute_that_only_a_function_reads_is_seen(package):
    net = package.Scaled()
    net.table = memoryview(bytearray(8)).cast("d")
    net.log = memoryview(bytearray(8))
    assert digest_module(net).unseen == ("table (builtins.memoryview)",)


@pytest.mark.parametrize("where", ["hook", "parent"])
def test_an_attribute_that_a_hook_or_a_parent_reads_is_seen(where):
    inner: Any = Net()
    inner.table = memoryview(bytearray(8)).cast("d")
    assert digest_module(inner).unseen == ()
    if where == "hook":
        inner.register_forward_hook(lambda module, given, answer: answer * module.table[0])
        assert digest_module(inner).unseen == ("table (builtins.memoryview)",)
    else:

        class Parent(nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = inner

            def forward(self, batch):
                return self.inner(batch) * self.inner.table[0]

        assert digest_module(Parent()).unseen == ("inner.table (builtins.memoryview)",)


def test_what_is_unseen_counts_however_one_comes_to_it():
    class Both(Net):
        def forward(self, batch):
            return self.fc(batch) * self.table[0][0]  # type: ignore[index]

    net: Any = Both()
    view = memoryview(bytearray(8))
    net.log, net.table = [view], [view]
    assert digest_module(net).unseen == ("log[0] (builtins.memoryview)",)


def test_files_and_folders_that_a_text_names_are_seen(tmp_path):
    (tmp_path / "a" / "deep").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    for folder in ("a", "b"):
        (tmp_path / folder / "table.txt").write_text(folder, encoding="ascii")
    assert sha(str(tmp_path / "a" / "table.txt")) != sha(str(tmp_path / "b" / "table.txt"))
    for held in (
        str(tmp_path / "a" / "table.txt"),
        tmp_path / "a" / "table.txt",
        str(tmp_path / "a"),
        [tmp_path / "a"],
    ):
        before = sha(held)
        (tmp_path / "a" / "table.txt").write_text("c", encoding="ascii")
        assert sha(held) != before
        (tmp_path / "a" / "table.txt").write_text("a", encoding="ascii")
        assert sha(held) == before
    before = sha(tmp_path / "a")
    (tmp_path / "a" / "deep" / "more.txt").write_text("", encoding="ascii")
    assert sha(tmp_path / "a") != before


def test_a_large_file_is_read_again_when_it_was_written_again(tmp_path):
    file = tmp_path / "table.bin"
    file.write_bytes(bytes(2**21))
    before = sha(file)
    file.write_bytes(bytes(2**21 - 1) + b"a")
    os.utime(file, (1, 1))
    assert sha(file) != before


def test_a_folder_of_too_many_files_is_named(tmp_path):
    for number in range(260):
        (tmp_path / str(number)).touch()
    net = Net(str(tmp_path))
    assert digest_module(net).unseen == (f"held (the folder {tmp_path} of more than 256 files)",)


def test_objects_that_choose_what_is_pickled_are_not_believed():
    class Sly(datetime.date):
        gain = 2

        def __reduce__(self):
            return "Sly"

    assert "Sly" in digest_object(Sly(2000, 1, 1)).unseen[0]


def test_what_has_no_end_is_named():
    chain: list[Any] = []
    for _ in range(100_000):
        chain = [chain]
    assert digest_object(chain).unseen == ("objects within objects without end",)


def test_what_is_too_much_is_named():
    assert digest_object([[] for _ in range(100_001)]).unseen[0].startswith("more than 100,000 objects")


def test_circles_end():
    holder = types.SimpleNamespace()
    holder.members = frozenset({lambda: holder})
    holder.all = {"members": [holder]}
    assert digest_object(holder).unseen == ()


@pytest.mark.parametrize(
    "held", [{}.items, iter([1]), threading.Lock(), threading.Event(), logging.getLogger("x"), slice(3), range(3)]
)
def test_harmless_objects_are_seen(held):
    assert digest_module(Net(held)).unseen == ()


class Attributes(dict):
    __getattr__ = dict.__getitem__


def test_a_dictionary_of_attributes_is_seen():
    assert sha(Attributes(gain=1)) != sha(Attributes(gain=2))
