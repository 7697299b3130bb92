"""The command line: the same functions with the same names, their options read off the same signatures.

Where a function wants a network, the command has the options of `load_network`; where it wants images, those of
`load_images`. Texts of help are the functions' own docstrings. So there is no second list of options to keep in step.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, CycloptsError, Group, MissingArgumentError, Parameter, Token
from docstring_parser import parse

from iconoscope import __version__
from iconoscope.commands import COMMANDS, GROUPS, MAKERS, Command, imported
from iconoscope.errors import AuditFailedError, IconoscopeError, IconoscopeWarning, QuestionError
from iconoscope.progress import show_progress
from iconoscope.removed_names import REMOVED_COMMANDS

if TYPE_CHECKING:
    from iconoscope.subject.network import Network

__all__ = ["build_app", "main"]


# What is looked for where another option says, if it is not said itself.
_FOLLOWS = {"recording": "store"}

_COMMON = Group("Output", sort_key=9)
_OPTIONS = {
    "json": Annotated[
        bool, Parameter(help="Print one JSON value on stdout, for machines.", negative="", group=_COMMON)
    ],
    "quiet": Annotated[bool, Parameter(help="No progress on stderr.", negative="", group=_COMMON)],
    "debug": Annotated[bool, Parameter(help="Show the traceback of an error.", negative="", group=_COMMON)],
}
_SCALARS = {"int": int, "float": float, "bool": bool}


@dataclass(frozen=True)
class _Option:
    """One option of a command: which function takes it, and under what name."""

    maker: str  # a key of MAKERS, or "" for the command's own function
    parameter: str
    declared: inspect.Parameter


def _pair(kind: Any, tokens: Iterable[Token]) -> int | tuple[int, int]:
    """Read 8, 8x12 or 8,12."""
    text = next(iter(tokens)).value
    numbers = re.split(r"[x,]", text)
    if not 1 <= len(numbers) <= 2 or not all(number.strip().isdecimal() for number in numbers):
        raise ValueError(f"{text!r} is not a number, nor two as 8x12")
    pair = tuple(int(number) for number in numbers)
    return pair[0] if len(pair) == 1 else (pair[0], pair[1])


def _sizes(kind: Any, tokens: Iterable[Token]) -> tuple[int | tuple[int, int], ...]:
    """Read 16,32,64 or 8x12,16x24."""
    text = next(iter(tokens)).value
    sizes = [size.split("x") for size in text.split(",")]
    if not all(1 <= len(size) <= 2 and all(side.strip().isdecimal() for side in size) for size in sizes):
        raise ValueError(f"{text!r} is not sizes in pixels, as 16,32,64 or 8x12,16x24")
    return tuple(int(size[0]) if len(size) == 1 else (int(size[0]), int(size[1])) for size in sizes)


def _texts(kind: Any, tokens: Iterable[Token]) -> tuple[str, ...]:
    """Read zero,mean."""
    return tuple(part.strip() for part in next(iter(tokens)).value.split(","))


def _annotation(text: str, *, help: str, group: Group, default: Any) -> Any:
    """Read the annotation of a parameter as a shell can give it: a number, a pair, a list, a flag, otherwise text."""
    members = [member.strip() for member in text.split("|")]
    settings: dict[str, Any] = {"help": help, "group": group, "required": default is inspect.Parameter.empty}
    listed = text.removesuffix(" | None")
    if listed.startswith("Sequence[") and listed.endswith("]"):
        # As it is typed.
        shown = {} if default is None else {"show_default": lambda default: ",".join(map(str, default))}
        return Annotated[str, Parameter(converter=_sizes if "int" in text else _texts, **shown, **settings)]
    if "tuple[int, int]" in members:
        return Annotated[str, Parameter(converter=_pair, **settings)]
    if members[0] == "bool":
        return Annotated[bool, Parameter(negative="", **settings)]
    return Annotated[_SCALARS.get(members[0], str), Parameter(**settings)]


def _help(function: Callable[..., Any]) -> dict[str, str]:
    return {
        found.arg_name: " ".join((found.description or "").split()) for found in parse(function.__doc__ or "").params
    }


def _options(command: Command, function: Callable[..., Any]) -> dict[str, _Option]:
    """Compose the options of a command from the signatures of its function and of what makes its arguments."""
    found: dict[str, _Option] = {}

    def add(maker: str, source: Callable[..., Any], defaults: dict[str, Any], title: str) -> None:
        texts = _help(source)
        for position, parameter in enumerate(inspect.signature(source).parameters.values()):
            if not maker and parameter.name in MAKERS:
                made = imported(MAKERS[parameter.name])
                add(parameter.name, made, {}, f"The {parameter.name}")
                continue
            # The first parameter of a maker is the thing itself: --network, --images.
            name = maker if maker and position == 0 else parameter.name
            default = defaults.get(parameter.name, parameter.default)
            kind = _annotation(
                str(parameter.annotation),
                help=texts.get(parameter.name, ""),
                group=Group(title, sort_key=1 if maker else 2),
                default=default,
            )
            place = inspect.Parameter.POSITIONAL_OR_KEYWORD if name in command.bare else inspect.Parameter.KEYWORD_ONLY
            declared = inspect.Parameter(name, place, annotation=kind, default=default)
            found[name] = _Option(maker, parameter.name, declared)

    add("", function, command.defaults, "The question")
    return {name: found[name] for name in (*command.bare, *(name for name in found if name not in command.bare))}


def _runner(name: str) -> Callable[..., int]:
    """Make the function that cyclopts calls: it makes the arguments, asks, and prints."""
    command = COMMANDS[name]
    function = command.load()
    options = _options(command, function)

    def run(*typed: Any, **given: Any) -> int:
        given |= dict(zip(command.bare, typed, strict=False))
        output = {key: given.pop(key, False) for key in _OPTIONS}
        # cyclopts hands over only what was typed.
        for follower, other in _FOLLOWS.items():
            if follower in options and follower not in given and other in given:
                given[follower] = given[other]
        given = {name: option.declared.default for name, option in options.items()} | given
        own = {options[key].parameter: value for key, value in given.items() if not options[key].maker}
        made: dict[str, dict[str, Any]] = {}
        for key, value in given.items():
            if options[key].maker:
                made.setdefault(options[key].maker, {})[options[key].parameter] = value
        with nullcontext() if output["quiet"] else show_progress():
            arguments = {maker: _make(maker, settings) for maker, settings in made.items()}
            if "network" in arguments:
                _introduce(arguments["network"])
            failed = None
            try:
                answer = function(**arguments, **own)
            except AuditFailedError as error:  # all of it is there to be shown
                answer, failed = error.audit, error
        lines, value = command.show(answer, {**own, **arguments})
        print(json.dumps(value) if output["json"] else _printable("\n".join(lines)))
        if failed is not None:
            raise failed
        return 0

    parameters = [option.declared for option in options.values()]
    parameters += [
        inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=False)
        for key, kind in _OPTIONS.items()
    ]
    described = parse(function.__doc__ or "")
    # A docstring's lines are broken for the source; a terminal breaks them itself.
    paragraphs = (described.long_description or "").split("\n\n")
    run.__doc__ = "\n\n".join(" ".join(text.split()) for text in (described.short_description or "", *paragraphs))
    run.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _make(maker: str, settings: dict[str, Any]) -> Any:
    function = imported(MAKERS[maker])
    first = next(iter(inspect.signature(function).parameters))
    return function(settings.pop(first), **settings)


def _introduce(network: Network) -> None:
    """Say how the network gets its images and who said so: a wrong preprocessing is the commonest silent error."""
    print(f"{network.name} on {network.device}: {network.preprocessing.describe()}", file=sys.stderr)
    usual = network.activation_origin == "usual"
    activation = "" if usual else f"; {network.activation} from {network.activation_origin}"
    print(f"{len(network.classes)} classes from {network.classes_origin}{activation}", file=sys.stderr)


def _named(arguments: list[str]) -> tuple[str, ...]:
    """Give the commands that may be meant, of which some have two words; none if that is not clear yet."""
    first, both = " ".join(arguments[:1]), " ".join(arguments[:2])
    if both in COMMANDS or first in COMMANDS:
        return (both if both in COMMANDS else first,)
    return tuple(name for name in COMMANDS if first and name.startswith(f"{first} "))


def build_app(names: Iterable[str] = tuple(COMMANDS), *, listing: bool = False) -> App:
    """Make the command line application with some or all of its commands, or with just the list of them."""
    app = App(
        name="iconoscope",
        version=__version__,
        help="What did a trained image network learn? Start with: iconoscope demo",
        help_format="plaintext",
        suppress_keyboard_interrupt=False,
        result_action="return_value",
    )
    groups: dict[str, App] = {}
    for name in names:
        first, _, second = name.partition(" ")
        if listing:
            app.command(lambda: 0, name=name, help=COMMANDS[name].about)
        elif second:
            if first not in groups:
                groups[first] = App(name=first, help=GROUPS[first], help_format="plaintext")
                app.command(groups[first])
            groups[first].command(_runner(name), name=second, help_epilogue=_examples(COMMANDS[name]))
        else:
            app.command(_runner(name), name=name, help_epilogue=_examples(COMMANDS[name]))
    return app


def _examples(command: Command) -> str:
    return "Examples:\n\n" + "\n\n".join(f"  {line}" for line in command.examples)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; give the exit status: 0, 1 (could not), 2 (usage), 3 (an audit failed), 130 (interrupted)."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    # Only what is asked for is imported, so that help is there at once.
    named = _named(arguments)
    if not named and arguments and arguments[0] in REMOVED_COMMANDS:
        return _fail(f"The command {arguments[0]} has gone.", REMOVED_COMMANDS[arguments[0]], 2)
    warnings.simplefilter("always", IconoscopeWarning)
    warnings.showwarning = _show_warning
    try:
        status = build_app(named or COMMANDS, listing=not named)(arguments, exit_on_error=False, print_error=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except MissingArgumentError as error:
        missing = error.argument.name if error.argument else ""
        return _fail(f"{missing} is missing." if missing not in arguments else str(error), _usage_hint(arguments), 2)
    except CycloptsError as error:
        return _fail(str(error), _usage_hint(arguments), 2)
    except QuestionError as error:
        return _fail(error.message, error.hint, 2, debug=debug)
    except AuditFailedError as error:
        return _fail(error.message, error.hint, 3, debug=debug)
    except IconoscopeError as error:
        return _fail(error.message, error.hint, 1, debug=debug)
    except KeyboardInterrupt:
        hint = "A command with --store goes on from what it had answered when it is given again, prior fit from its checkpoint."
        return _fail("Interrupted.", hint, 130)
    except BrokenPipeError:  # the reader, such as head, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except MemoryError:
        hint = "Give a bound, --memory 1GB (predict, exchange: a smaller --batch), or fewer images with --limit."
        return _fail("There is not enough memory.", hint, 1, debug=debug)
    except OSError as error:
        return _fail(f"{error.filename or 'The system'}: {error.strerror or error}.", "", 1, debug=debug)
    # The last resort, so that a user sees a sentence and not our insides; with --debug the traceback is there.
    except Exception as error:  # noqa: BLE001
        message = f"This is a mistake in iconoscope, not yours: {type(error).__name__}: {error}"
        return _fail(message, "Please report it, with what --debug adds.", 1, debug=debug)


def _usage_hint(arguments: list[str]) -> str:
    named = _named(arguments)
    command = f" {named[0] if len(named) == 1 else named[0].partition(' ')[0]}" if named else ""
    return f"iconoscope{command} --help lists what there is."


def _fail(message: str, hint: str, status: int, *, debug: bool = False) -> int:
    if debug:
        traceback.print_exc()
    print(_printable(f"error: {message}"), file=sys.stderr)
    if hint:
        print(_printable(f"hint: {hint}"), file=sys.stderr)
    return status


def _printable(text: str) -> str:
    """Keep the names of files from steering the terminal."""
    return "".join(sign if sign.isprintable() or sign == "\n" else repr(sign)[1:-1] for sign in text)


def _show_warning(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    prefix = "note" if issubclass(category, IconoscopeWarning) else category.__name__
    print(_printable(f"{prefix}: {message}"), file=sys.stderr)
