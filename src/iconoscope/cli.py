"""The command line: the same functions with the same names, their options read off the same signatures.

Where a function wants a network, the command has the options of `load_network`; where it wants images, those of
`load_images`. Texts of help are the functions' own docstrings. So there is no second list of options to keep in step.
"""

from __future__ import annotations

import inspect
import json
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, CycloptsError, Group, MissingArgumentError, Parameter
from docstring_parser import parse

from iconoscope import __version__
from iconoscope.commands import COMMANDS, GROUPS, MAKERS, Command, imported
from iconoscope.errors import MOST, AuditFailedError, IconoscopeError, IconoscopeWarning, QuestionError, printable
from iconoscope.language import current_language, say, set_language
from iconoscope.language.network_lines import in_spanish
from iconoscope.options import read_options
from iconoscope.progress import show_progress
from iconoscope.removed_names import REMOVED_COMMANDS

if TYPE_CHECKING:
    from types import FrameType

    from iconoscope.subject.network import Network

__all__ = ["build_app", "main"]

_FOLLOWS = {"recording": "store"}
"""Options that are what another one says, unless they are typed themselves."""

_OUTPUT = {
    "json": "Print one JSON value on stdout, for machines.",
    "quiet": "No progress on stderr.",
    "debug": "Show the traceback of an error.",
}
"""Flags of every command."""

_LANGUAGE = "The language of figures, pages and what is printed: en or es; en if not given."

_SPINS = 3000
"""How often a thread of torch looks for work before it sleeps, unless the environment says it.

GNU's OpenMP would look 300,000 times, about a millisecond. Where others use the processors, the thread that is to bring the
work waits for one meanwhile: an optimised picture of ResNet-20 took 27.9 s of two busy cores with its rule, and takes 6.2 s
with this one. On two quiet cores both take the same.
"""


def _runner(name: str) -> Callable[..., int]:
    """Make the function that cyclopts calls: it makes the arguments, asks, and prints."""
    command = COMMANDS[name]
    function = command.load()
    options = {option.declared.name: option for option in read_options(command)}
    signature = inspect.Signature([*(option.declared for option in options.values()), *_output_parameters()])

    def run(*typed: Any, **named: Any) -> int:
        bound = signature.bind(*typed, **named)  # cyclopts hands over only what was typed
        typed_options = {*bound.arguments}
        for follower, leader in _FOLLOWS.items():
            if follower in options and leader in named:
                bound.arguments.setdefault(follower, named[leader])
        bound.apply_defaults()
        settings: dict[str, dict[str, Any]] = {"": {}}
        for key, option in options.items():
            settings.setdefault(option.maker, {})[option.parameter] = bound.arguments[key]
        arguments = settings.pop("")
        lang, quiet = bound.arguments["lang"], bound.arguments["quiet"]
        spoken = nullcontext() if lang is None else set_language(lang)
        with spoken, nullcontext() if quiet else show_progress():
            for maker, made_of in settings.items():
                # Without its own option what is made of it is left out, where the function does without it.
                is_typed = next(iter(made_of.values())) is not None
                lonely = next((key for key in options if key in typed_options and options[key].maker == maker), "")
                if lonely and not is_typed:
                    raise QuestionError(f"--{lonely.replace('_', '-')} is of the {maker}.", hint=f"Give --{maker} too.")
                arguments[maker] = imported(MAKERS[maker])(**made_of) if is_typed else None
            if arguments.get("network") is not None:
                _introduce(arguments["network"])
            failure = None
            try:
                answer = function(**arguments)
            except AuditFailedError as error:  # the whole audit is there to be shown
                answer, failure = error.audit, error
            lines, value = command.show(answer, arguments)
        print(json.dumps(value) if bound.arguments["json"] else printable("\n".join(lines)))
        if failure is not None:
            raise failure
        return 0

    description = parse(function.__doc__ or "")
    # A docstring's lines are broken for the source; a terminal breaks them itself.
    paragraphs = (description.short_description or "", *(description.long_description or "").split("\n\n"))
    run.__doc__ = "\n\n".join(" ".join(text.split()) for text in paragraphs)
    run.__signature__ = signature  # pyright: ignore[reportFunctionMemberAccess]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in signature.parameters.values()}
    return run


def _output_parameters() -> Iterator[inspect.Parameter]:
    group = Group("Output", sort_key=9)
    for name, text in _OUTPUT.items():
        flag = Annotated[bool, Parameter(help=text, negative="", group=group)]
        yield inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=flag, default=False)
    chosen = Annotated[str | None, Parameter(help=_LANGUAGE, group=group)]
    yield inspect.Parameter("lang", inspect.Parameter.KEYWORD_ONLY, annotation=chosen, default=None)


def _introduce(network: Network) -> None:
    """Say how the network gets its images and who said so: a wrong preprocessing is the commonest silent error."""
    treated = network.preprocessing.describe()
    usual = network.activation_origin == "usual"
    activation = "" if usual else f"; {network.activation} from {network.activation_origin}"
    classes = f"classes from {network.classes_origin}"
    if current_language() == "es":
        treated, classes = "; ".join(map(in_spanish, treated.split("; "))), in_spanish(classes)
    device = say("{network} on {device}", network=network.name, device=network.device)
    print(f"{device}: {treated}", file=sys.stderr)
    print(f"{len(network.classes)} {classes}{activation}", file=sys.stderr)


def _named(arguments: list[str]) -> tuple[str, ...]:
    """Give the commands that may be meant, of which some have two words; none if that is not clear yet."""
    first, pair = " ".join(arguments[:1]), " ".join(arguments[:2])
    if pair in COMMANDS or first in COMMANDS:
        return (pair if pair in COMMANDS else first,)
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
    """Run the command line; give the exit status.

    0, 1 (could not), 2 (usage), 3 (an audit failed), 130 (interrupted by Ctrl-C), 143 (by SIGTERM).
    """
    with _threads_that_sleep_soon(), _terminating() as terminations:
        try:
            status = _answer(arguments)
        except KeyboardInterrupt:
            return _interrupted(143 if terminations else 130)
        return _interrupted(143) if terminations else status


@contextmanager
def _threads_that_sleep_soon() -> Iterator[None]:
    """Say in the environment how often torch's threads look for work; OpenMP reads it when torch is imported in the block."""
    said = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys()
    if not said:
        os.environ["GOMP_SPINCOUNT"] = str(_SPINS)
    try:
        yield
    finally:
        if not said:
            os.environ.pop("GOMP_SPINCOUNT", None)


@contextmanager
def _terminating() -> Iterator[list[int]]:
    """Let the first SIGTERM in a block interrupt it as Ctrl-C does, and the second end the process; list those that came.

    Nothing is done where a program around this one handles SIGTERM, or outside the main thread.
    """
    terminations: list[int] = []
    process = os.getpid()

    def terminate(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        if os.getpid() != process:  # a forked process that reads images: it has nothing to say
            os.kill(os.getpid(), number)
            return
        terminations.append(number)
        raise KeyboardInterrupt

    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield terminations
        return
    signal.signal(signal.SIGTERM, terminate)
    try:
        yield terminations
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _interrupted(status: int) -> int:
    hint = "A command with --store goes on from what it had answered when it is given again, prior fit from its checkpoint."
    return _fail("Interrupted.", hint, status)


def _answer(arguments: list[str] | None) -> int:
    """Run the command line, and say what fails; an interrupt is left to the caller."""
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
    except BrokenPipeError:  # the reader, such as head, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except MemoryError:
        hint = "Give a bound, --memory 1GB (predict: a smaller --batch), or fewer images with --limit."
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
    print(printable(f"error: {message}", most=MOST), file=sys.stderr)
    if hint:
        print(printable(f"hint: {hint}"), file=sys.stderr)
    return status


def _show_warning(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    prefix = "note" if issubclass(category, IconoscopeWarning) else category.__name__
    print(printable(f"{prefix}: {message}"), file=sys.stderr)
