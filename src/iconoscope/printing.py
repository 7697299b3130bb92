"""Output of the commands: lines for a person, and a value for ``--json``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iconoscope.errors import shortened
from iconoscope.language import current_language, listed, number, say

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from iconoscope.results import Audit, ImageMap, Visualization
    from iconoscope.store import Recording
    from iconoscope.subject.images import Images
    from iconoscope.subject.network import Layer, Network


def page(path: Path, arguments: dict[str, Any]) -> tuple[list[str], Any]:
    """Say where a page was written."""
    return [say("The report is at {path}", path=path.resolve())], {"report": str(path.resolve())}


def demo(path: Path, arguments: dict[str, Any]) -> tuple[list[str], Any]:
    """Say where the report was written, and the line that explores what was found."""
    from iconoscope.demo.journey import NETWORKS, RECORDED

    lines, value = page(path, arguments)
    out = Path(arguments["out"])
    network, other = NETWORKS
    weights = out / "weights"
    trained = ["--checkpoint", str(weights / f"{network}.safetensors")] if arguments["retrain"] else []
    second = f"{other}={weights / f'{other}.safetensors'}" if arguments["retrain"] else other
    images = out / RECORDED / "photographs"
    words = ["iconoscope", "explore", "--network", network, *trained, "--compare", second, "--images", str(images)]
    line = shlex.join([*words, "--store", str(out / "store")])
    return [*lines, say("Move about in both networks: {line}", line=line)], {**value, "explore": line}


def explored(_: None, arguments: dict[str, Any]) -> tuple[list[str], Any]:
    """Say that the explorer has ended; of an export where it is has been said."""
    exported = arguments["export"] is not None
    return [] if exported else [say("The explorer has ended.")], {"explored": str(arguments["store"])}


def layers(layers: list[Layer], arguments: dict[str, Any]) -> tuple[list[str], Any]:
    """List the layers of a network."""
    network: Network = arguments["network"]
    shapes = ["x".join(map(str, layer.shape)) or "-" for layer in layers]
    heads = say("layer"), say("answers"), say("weights"), say("kind")
    name_width = max(map(len, (heads[0], *(layer.name for layer in layers))))
    shape_width = max(map(len, (heads[1], *shapes)))
    rows = [
        f"{layer.name:<{name_width}}  {shape:<{shape_width}}  {number(layer.parameters, ','):>10}  {layer.kind}"
        for layer, shape in zip(layers, shapes, strict=True)
    ]
    head = f"{heads[0]:<{name_width}}  {heads[1]:<{shape_width}}  {heads[2]:>10}  {heads[3]}"
    value = {
        "network": network.name,
        "weights": network.digest(),
        "preprocessing": {**network.preprocessing.to_json(), "origin": network.preprocessing.origin},
        "classes": list(network.classes),
        "layers": [
            {"name": layer.name, "kind": layer.kind, "shape": list(layer.shape), "parameters": layer.parameters}
            for layer in layers
        ],
    }
    return [head, *rows], value


def predictions(probabilities: NDArray[np.float32], arguments: dict[str, Any]) -> tuple[list[str], Any]:
    """Give the three likeliest classes of every image, and how many images are right."""
    import numpy as np

    from iconoscope.vocabulary.labels import match_labels

    network: Network = arguments["network"]
    images: Images = arguments["images"]
    targets = match_labels(network.names, images.labels)
    lines: list[str] = []
    entries: list[dict[str, Any]] = []
    for identity, target, row in zip(images.ids, targets.tolist(), probabilities, strict=True):
        if np.isnan(row).any():
            entries.append({"id": identity, "unreadable": images.unreadable.get(identity, "")})
            continue
        best = np.argsort(-row)[:3].tolist()
        label = network.classes[target] if target >= 0 else None
        # A list, not an object by name: two classes may have one name.
        ranked = [
            {"class": network.classes[index], "index": index, "probability": round(float(row[index]), 6)}
            for index in best
        ]
        entries.append(
            {"id": identity, "label": label, "prediction": network.classes[best[0]], "probabilities": ranked}
        )
        mark = ""
        if label is not None:
            mark = say("  right") if best[0] == target else say("  wrong: {label}", label=label)
        lines.append(
            f"{identity}  " + listed([f"{x['class']} {number(x['probability'], '.3f')}" for x in ranked]) + mark
        )
    judged = (targets >= 0) & ~np.isnan(probabilities[:, 0])
    value: dict[str, Any] = {"network": network.name, "images": entries}
    if judged.any():
        value["top1"] = float((probabilities[judged].argmax(1) == targets[judged]).mean())
        lines.append(say("top-1: {share:.4f} of {count} labelled images", share=value["top1"], count=int(judged.sum())))
    return lines, value


def results(answer: Any, arguments: dict[str, Any]) -> tuple[list[str], Any]:
    """Summarise one finding or a list of them, the folders where results are kept, and the figures written."""
    from iconoscope.results import Result
    from iconoscope.results.result import figure_names, is_page
    from iconoscope.store import Store

    store = Store(arguments["store"])
    findings = answer if isinstance(answer, list) else [answer]
    lines: list[str] = []
    values: list[dict[str, Any]] = []
    for finding in findings:
        parts: tuple[Result, ...] = (finding,) if isinstance(finding, Result) else finding.results
        folders = [str(store.folder_of(part.question)) for part in parts]
        lines += [finding.summary(), *(f"  {folder}" for folder in folders)]
        kept_in = {"folder": folders[0]} if isinstance(finding, Result) else {"folders": folders}
        values.append({**finding.to_json(), **kept_in})
    if arguments.get("out") is not None and is_page(arguments["out"]):
        page = _written(arguments)
        lines.append(say("The page is at {path}", path=page))
        values = [{**value, "page": page} for value in values]
    elif arguments.get("out") is not None:
        figures = [str(path.resolve()) for path in figure_names(len(findings), arguments["out"])]
        paths = shortened(figures, most=4)
        lines.append(
            say("The figure is at {path}", path=paths)
            if len(figures) == 1
            else say("The figures are {paths}", paths=paths)
        )
        for value, figure in zip(values, figures, strict=True):
            value["figure"] = figure
    return lines, values if isinstance(answer, list) else values[0]


def occlusions(answer: Any, arguments: dict[str, Any]) -> tuple[list[str], Any]:
    """Summarise results as `results` does, and of several fills how often they tell the same."""
    lines, value = results(answer, arguments)
    robust = [getattr(finding, "robust", None) for finding in answer] if isinstance(answer, list) else []
    if robust and None not in robust:
        lines.append(say("robust: {robust} of {count} images", robust=sum(map(bool, robust)), count=len(robust)))
    return lines, value


def recording(recording: Recording, arguments: dict[str, Any]) -> tuple[list[str], Any]:
    """Say what was recorded, where it is kept, and which units are dead; of a part what is missing yet."""
    if not recording.ended:
        missing = shortened(map(str, recording.missing), most=12)
        return [
            recording.summary(),
            f"  {recording.place}",
            say("  missing shards: {shards}", shards=missing),
        ], recording.to_json()
    names = [layer.name for layer in recording.layers]
    dead = recording.dead_units()
    lines = [
        recording.summary(),
        *([say("  layers: {names}", names=shortened(names, most=8))] if names else []),
        f"  {recording.place}",
    ]
    return [*lines, *([say("dead: {names}", names=shortened(dead, most=12))] if dead else [])], recording.to_json()


def image_map(image_map: ImageMap, arguments: dict[str, Any]) -> tuple[list[str], Any]:
    """Say how good the map is and where it was written."""
    from iconoscope.results.result import is_page
    from iconoscope.show.map_page import page_path

    lines, value = results(image_map, {"store": arguments["store"]})
    out = Path(_written(arguments))
    path = page_path(image_map, out) if is_page(out) or not out.suffix else out
    del value["images"]
    # A folder's page fetches images, which browsers allow no page that was opened as a file.
    served = (
        []
        if path == out
        else [
            say(
                "  to look at it: python -m http.server --directory {folder}, then open localhost:8000",
                folder=path.parent,
            )
        ]
    )
    return [*lines, say("The map is at {path}", path=path), *served], {**value, "map": str(path)}


def prior(prior: Any, arguments: dict[str, Any]) -> tuple[list[str], Any]:
    """Say what was learnt and where it is kept."""
    path = _written(arguments)
    reference = 0 if prior.reference is None else len(prior.reference.pixels)
    explained = prior.base.explained
    lines = [
        say(
            "{prior}; {explained:.1%} of what whole pictures vary by, {count} images kept beside it.",
            prior=repr(prior),
            explained=explained,
            count=reference,
        ),
        f"  {path}",
    ]
    return lines, {**prior.to_json(), "classes": list(prior.classes), "explained": explained, "file": path}


def visualization(visualization: Visualization, arguments: dict[str, Any]) -> tuple[list[str], Any]:
    """Say what was made, and where the pictures of every unit are kept."""
    from dataclasses import replace

    from iconoscope.store import Store

    store = Store(arguments["store"])
    questions = [replace(visualization.question, unit=unit) for unit in dict.fromkeys(visualization.units)]
    folders = [str(folder) for folder in map(store.folder_of, questions) if folder.is_dir()]
    folders = folders or [str(store.folder_of(visualization.question))]
    pictures = [f"  {folder}/picture.png" for folder in folders[:16]]
    more = [say("  and {count} more", count=len(folders) - 16)] if len(folders) > 16 else []
    path = _written(arguments)
    lines = [visualization.summary(), *pictures, *more, say("The figure is at {path}", path=path)]
    return lines, {**visualization.to_json(), "folders": folders, "figure": path}


def audit(audit: Audit, arguments: dict[str, Any]) -> tuple[list[str], Any]:
    """Give the verdicts, first in all and then by class, and say where the report was written."""
    path = _written(arguments)
    classes = audit.findings(current_language())
    text = audit.sentences(current_language())
    # What would have been found where nothing was is said once, of all.
    verdicts = [
        f"  {name}: {text.short(finding.conclusion) if finding.conclusion.word == 'nothing' else finding.verdict}"
        for name, finding in list(classes.items())[:12]
    ]
    more = [f"  {text.say('and more', count=len(classes) - 12)}"] if len(classes) > 12 else []
    lines = [f"{audit.question.network}: {text.overall(audit.conclusions)}.", *verdicts, *more]
    return [*lines, text.say("the report is at", place=path)], {**audit.to_json(), "report": path}


def _written(arguments: dict[str, Any]) -> str:
    return str(Path(arguments["out"]).expanduser().resolve())
