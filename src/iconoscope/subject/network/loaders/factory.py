"""A Python file of the user's, and the function in it that builds the network."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from iconoscope.errors import NetworkError, NetworkNameError, nearest
from iconoscope.subject.network.loaders.loaded import Loaded, NetworkRequest, nearest_file
from iconoscope.user_code import failure, user_code

__all__ = ["load_factory"]


def load_factory(request: NetworkRequest) -> Loaded:
    """Run a Python file of the user's and call the factory named after the last colon."""
    name = request.name
    text, colon, factory = name.rpartition(":")
    if not colon or factory.endswith(".py"):  # a colon may also belong to a path, as in C:\\networks\\mine.py
        raise NetworkNameError(f"{name} does not say which function builds the network.", hint=f"Write {name}:factory.")
    path = Path(text).expanduser()
    if not path.is_file():
        raise NetworkNameError(f"{path} does not exist.", hint=nearest_file(path))
    spec = importlib.util.spec_from_file_location(f"iconoscope_user_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise NetworkNameError(f"{path} is not a Python file.")
    source = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = source  # dataclasses and pickling inside the file look themselves up there
    with (
        _importing_beside(path),
        user_code(lambda error: NetworkError(f"{path.name}:{factory} fails: {failure(error)}.")),
    ):
        spec.loader.exec_module(source)
        build = getattr(source, factory, None)
        if not callable(build):
            # What the file itself defines, not what it imported.
            names = [
                key
                for key, value in vars(source).items()
                if callable(value) and getattr(value, "__module__", "") == spec.name
            ]
            raise NetworkNameError(f"{path.name} has no factory {factory!r}.", hint=nearest(factory, names))
        _check_factory(build, factory, path)
        module: Any = build()
        return Loaded(module)


@contextmanager
def _importing_beside(path: Path) -> Iterator[None]:
    """Let what lies beside a file be imported by it, as by a script, for the time of a block."""
    before, imported = list(sys.path), set(sys.modules)
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        yield
    finally:
        sys.path[:] = before
        # Another file's "blocks.py" is another module: what was found beside this one is not kept for the next.
        for key in set(sys.modules) - imported:
            if Path(getattr(sys.modules[key], "__file__", None) or "/").parent == path.parent.resolve():
                del sys.modules[key]


def _check_factory(build: Callable[..., Any], factory: str, path: Path) -> None:
    try:
        arguments = [
            parameter.name
            for parameter in inspect.signature(build).parameters.values()
            if parameter.default is parameter.empty
            and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        ]
    except (TypeError, ValueError):  # built in C: it is called, and says itself what it lacks
        return
    if arguments:
        raise NetworkNameError(
            f"{path.name}:{factory} wants arguments ({', '.join(arguments)}); a factory is called without any.",
            hint=f"Add to the file: def my_network(): return {factory}(...), and name that.",
        )
