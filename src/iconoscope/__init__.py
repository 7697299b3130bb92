"""iconoscope: what did a trained image network learn?

>>> import iconoscope as ico
>>> net = ico.load_network("cars")
>>> images = ico.demo_images(2, seed=0)
>>> ico.predict(net, images).shape
(2, 2)

The public names stand in ``__init__.pyi`` and are imported when they are first used: importing the package imports neither
torch nor anything else that takes time.
"""

from typing import Any

import lazy_loader

__version__ = "0.1.0"

_import_public, _, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__.append("__version__")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        from iconoscope.errors import RemovedNameError
        from iconoscope.removed_names import REMOVED_NAMES

        if name in REMOVED_NAMES:
            raise RemovedNameError(f"iconoscope.{name} has gone.", hint=REMOVED_NAMES[name])
    return _import_public(name)


def __dir__() -> list[str]:
    return sorted(__all__)
