r"""Names and messages without the folders of this disk: what is drawn, or sent to a browser, is shown to others."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

__all__ = ["without_folders", "without_paths"]

_BEGIN = r"""
    (?: (?<![\w:/\\.]) (?: file://[\w.-]* | ~\w* | [A-Za-z]: )? [/\\]  # where a path begins; s3://bucket is none
      | (?<=\w\w:) ~? [/\\] (?![/\\]) )                                # but that of hf:/home/me
"""

_NAMED = re.compile(
    rf"""
    ( (?: ^ | \bfrom[ ] | ,[ ] ) (?: \w{{2,}}: )? ) {_BEGIN}
    (?: (?: (?! ,[ ] (?: \w{{2,}}: )? [~/\\] ) . )* [/\\] )?             # until its last part, or the next path of a list
    (?= [^/\\] )
    """,
    re.VERBOSE,
)

_IN_SENTENCES = re.compile(
    rf"""
    {_BEGIN}
    (?: (?: [^/\\"'\s.:]
          | [.:] (?! \s | // )                                         # a sentence ends, or an address begins
          | (?<=\w) ' (?=\w)
          | [ \t]+ (?! \s | ["'/\\~] | \w+:[/\\] ) )*                 # what follows is a path of its own
        (?<! [\s(=] ) [/\\] )*
    (?= [^/\\\s] )
    """,
    re.VERBOSE,
)


def without_folders(name: str) -> str:
    r"""Leave the folders out of the name of a file or a folder, or of a list of them after "from".

    >>> without_folders("/home/me/my cars/a.png"), without_folders("20 images from C:\\cars"), without_folders("vans/a.png")
    ('a.png', '20 images from cars', 'vans/a.png')
    """
    return _NAMED.sub(r"\1", name)


def without_paths(message: str, folders: Iterable[Path] = ()) -> str:
    """Leave the folders out of a message, in which it is guessed where paths end: of each its last part is left.

    Parameters
    ----------
    message
        Sentences with paths anywhere. Addresses, as s3://bucket, stay.
    folders
        Folders that are known to be named, whatever stands in their names.

    Examples
    --------
    >>> without_paths("/home/me/my run/record/ab is damaged: '/tmp/x.npz', and s3://bucket/b or ~/c.png")
    "ab is damaged: 'x.npz', and s3://bucket/b or c.png"
    """
    for folder in sorted({*map(str, folders)}, key=len, reverse=True):
        name = Path(folder).name
        if os.sep in folder and name:
            begin = r"(?<!\w)" if Path(folder).is_absolute() else r"(?<![\w/\\.])"
            named = rf"{begin}{re.escape(folder)}(?:(?P<inside>[/\\])|(?![\w.-]))"
            message = re.sub(named, lambda match, name=name: "/" if match["inside"] else name, message)
    return _IN_SENTENCES.sub("", message)
