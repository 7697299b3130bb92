"""The two makes of car: drawn photographs, two small networks, a known truth."""

from iconoscope.demo.journey import demo
from iconoscope.demo.photographs import demo_images

__all__ = ["demo", "demo_images"]
