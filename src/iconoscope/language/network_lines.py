"""What a network says of itself in English, in Spanish: where its classes come from, and what happens to a photograph."""

from __future__ import annotations

import re

__all__ = ["in_spanish"]

_PHRASES = (
    (r"both sides resized to (\S+), middle (\S+) cut", r"ambos lados llevados a \1, recortado el centro de \2"),
    (r"both sides resized to (\S+)", r"ambos lados llevados a \1"),
    (r"sides resized until both cover (\S+), middle (\S+) cut", r"llevada a cubrir \1, recortado el centro de \2"),
    (r"sides resized until both fit into (\S+), middle (\S+) cut", r"llevada a caber en \1, recortado el centro de \2"),
    (r"short side resized to (\S+), middle (\S+) cut", r"lado corto llevado a \1, recortado el centro de \2"),
    (
        r"short side resized as far as is needed, middle (\S+) cut",
        r"lado corto según haga falta, recortado el centro de \1",
    ),
    (r"\(bilinear\)$", "(bilineal)"),
    (r"\(bicubic\)$", "(bicúbica)"),
    (r"\(nearest\)$", "(vecino más próximo)"),
    (r"^mean (?=[-\d])", "media "),
    (r"^std (?=[-\d])", "desviación típica "),
    (r"^classes from ", "clases según "),
    (r"^from ", "según "),
    (r"\ban assumption: ", "un supuesto: "),
    (r"\bthe module (?=\S+$)", "el módulo "),
    (r"\bthe checkpoint$", "el archivo de pesos"),
    (r"\bthe call$", "lo que se indicó"),
    (r"\bgiven$", "lo que se indicó"),
    (r"\bthe recording$", "la grabación"),
    (r"\btorchvision's (?=\S+$)", "torchvision: "),
    (r"\btimm's configuration of it$", "su configuración en timm"),
    (r"\btimm's configuration of (?=\S+$)", "la configuración en timm de "),
    (r"\bits configuration's id2label$", "id2label de su configuración"),
    (r"\bthe configuration and the processor of (?=\S+$)", "la configuración y el procesador de "),
)
"""From a phrase of a line to that in Spanish; names, as those of files, stay."""


def in_spanish(line: str) -> str:
    """Say a line about a network in Spanish; numbers get commas, and semicolons between them.

    >>> in_spanish("short side resized to 256, middle 224x224 cut (bilinear)")
    'lado corto llevado a 256, recortado el centro de 224x224 (bilineal)'
    >>> in_spanish("mean 0.5, 0.25, 0"), in_spanish("classes from the module ResNet20")
    ('media 0,5; 0,25; 0', 'clases según el módulo ResNet20')
    """
    for phrase, spanish in _PHRASES:
        line = re.sub(phrase, spanish, line)
    if re.match(r"(media|desviación típica) ", line):
        line = line.replace(", ", "; ").replace(".", ",")
    return line
