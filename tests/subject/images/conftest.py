from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage


@pytest.fixture
def data() -> Path:
    """The shared real images, or a skip that says where they were looked for."""
    beside = Path(__file__).resolve().parents[4] / "shared" / "data"
    folder = Path(os.environ.get("ICONOSCOPE_DATA") or beside)
    if not folder.is_dir():
        pytest.skip(f"no real images: there is no folder {folder} (ICONOSCOPE_DATA, or else ../shared/data)")
    return folder


@pytest.fixture
def write() -> Callable[..., np.ndarray]:
    """Write a lossless image of random pixels and give the pixels."""

    def write(path: Path, height: int = 4, width: int = 5, *, seed: int = 0) -> np.ndarray:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
        PillowImage.fromarray(pixels).save(path)
        return pixels

    return write
