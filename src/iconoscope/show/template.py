"""The templates of pages."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["read_template"]


def read_template(name: str) -> Any:
    """Read a template from this folder; what is put in is escaped, and what is missing is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("iconoscope.show"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share: "-" if math.isnan(share) else f"{share:.0%}"
    return environment.get_template(name)
