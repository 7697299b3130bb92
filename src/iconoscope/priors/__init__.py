"""Learned priors: distributions of images, learnt from images. They are a parameterization of technique 2, and know no network.

The names stand in ``__init__.pyi`` and are imported when they are first used, so that help is there without torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
