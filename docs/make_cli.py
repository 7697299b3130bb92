"""Write docs/cli.md from the command line itself, or check that it is up to date (``--check``)."""

import contextlib
import io
import sys
from pathlib import Path

from rich.console import Console

from iconoscope.cli import build_app
from iconoscope.commands import COMMANDS

PAGE = Path(__file__).with_name("cli.md")


def reference() -> str:
    """Give the page: the help of every command, as it is printed on a terminal 100 columns wide."""
    parts = [
        "# Command line",
        "",
        "Made by `make docs` from the functions' own signatures and docstrings; `make check` fails if it is out of date.",
        "",
        "Exit status: 0 done, 1 could not, 2 the question makes no sense, 3 an audit failed as it was asked to, 130",
        "interrupted by Ctrl-C, 143 by SIGTERM. Results go to stdout, progress, notes and errors to stderr.",
        "An error is one line and a hint; `--debug`",
        "shows the traceback.",
        "",
        "```text",
        _help(listing=True),
        "```",
    ]
    for name in COMMANDS:
        parts += ["", f"## iconoscope {name}", "", "```text", _help(name), "```"]
    return "\n".join(parts) + "\n"


def _help(*names: str, listing: bool = False) -> str:
    written = io.StringIO()
    console = Console(file=written, width=100, force_terminal=False, color_system=None)
    app = build_app(names or COMMANDS, listing=listing)
    with contextlib.redirect_stdout(written):
        app([*" ".join(names).split(), "--help"], console=console, exit_on_error=False)
    return "\n".join(line.rstrip() for line in written.getvalue().strip().splitlines())


if __name__ == "__main__":
    page = reference()
    if "--check" in sys.argv:
        if not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != page:
            sys.exit("docs/cli.md is not what the command line says: run `make docs`.")
    else:
        PAGE.write_text(page, encoding="utf-8")
