"""The network that is questioned: loading it, its preprocessing, its layers and classes."""

from iconoscope.subject.network.checkpoint import load_weights, read_checkpoint
from iconoscope.subject.network.layers import Layer, layers
from iconoscope.subject.network.loading import load_network
from iconoscope.subject.network.network import Network, find_device
from iconoscope.subject.network.preprocessing import Preprocessing, read_preprocessing

__all__ = [
    "Layer",
    "Network",
    "Preprocessing",
    "find_device",
    "layers",
    "load_network",
    "load_weights",
    "read_checkpoint",
    "read_preprocessing",
]
