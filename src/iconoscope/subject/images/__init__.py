"""The images that are shown to the network: loading them, decoding them, and where the object is. No torch."""

from iconoscope.subject.images.decoding import decode_image
from iconoscope.subject.images.image import Image
from iconoscope.subject.images.imageset import Images
from iconoscope.subject.images.loading import load_images
from iconoscope.subject.images.source import Box, Label, Pixels, Source

__all__ = ["Box", "Image", "Images", "Label", "Pixels", "Source", "decode_image", "load_images"]
