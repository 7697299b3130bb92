"""Public names as they are found at run time, told to the reader of sources that makes the pages of the API."""

import importlib
import inspect
import re
from typing import Any

import griffe

import iconoscope

_NAME = re.compile(r"(?<![`\w])`([A-Za-z_]+)`(?![`\w])")


class PublicNames(griffe.Extension):
    """Functions that are named like their file, and links between docstrings."""

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Let ``iconoscope.occlude`` be the function: statically it is the file ``occlusion/occlude.py`` of that name."""
        if pkg.path != "iconoscope":
            return
        for name in iconoscope.__all__:
            member = pkg.members[name]
            if not isinstance(member, griffe.Alias):
                continue
            target = member.final_target
            if target.is_module and name in target.members:
                pkg.set_member(name, griffe.Alias(name, target.members[name], parent=pkg))

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Give a function whose settings are composed at run time the signature and the docstring that it has then."""
        composed: Any = getattr(importlib.import_module(func.module.path), func.name, None)
        if not hasattr(composed, "__signature__") or func.docstring is None:
            return
        func.docstring.value = inspect.getdoc(composed) or ""
        func.overloads = None
        func.parameters = griffe.Parameters(
            *(
                griffe.Parameter(
                    parameter.name,
                    annotation=re.sub(r"\b(?:\w+\.)+(\w)", r"\1", inspect.formatannotation(parameter.annotation)),
                    kind=griffe.ParameterKind(parameter.kind.description),
                    default=None if parameter.default is parameter.empty else repr(parameter.default),
                )
                for parameter in inspect.signature(composed).parameters.values()
            )
        )

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Let a public name in backticks be a link to it."""
        if obj.docstring:
            obj.docstring.value = _NAME.sub(_linked, obj.docstring.value)


def _linked(backticked: re.Match[str]) -> str:
    name = backticked[1]
    return f"[`{name}`][iconoscope.{name}]" if name in iconoscope.__all__ else backticked[0]
