"""What a command prints of what was found: lines for a person, and a value for ``--json``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from iconoscope.errors import shortened

if TYPE_CHECKING:
    from iconoscope.subject.images import Images
    from iconoscope.subject.network import Network


def page(path: Path, arguments: dict[str, Any]) -> tuple[list[str], Any]:
    """Say where a page was written."""
    return [f"The report is at {path.resolve()}"], {"report": str(path.resolve())}


def layers(found: list[Any], arguments: dict[str, Any]) -> tuple[list[str], Any]:
    """List the layers of a network."""
    network: Network = arguments["network"]
    shape = {layer.name: "x".join(map(str, layer.shape)) or "-" for layer in found}
    wide = max(map(len, ("layer", *shape))), max(map(len, ("answers", *shape.values())))
    rows = [
        f"{layer.name:<{wide[0]}}  {shape[layer.name]:<{wide[1]}}  {layer.parameters:>10,}  {layer.kind}"
        for layer in found
    ]
    head = f"{'layer':<{wide[0]}}  {'answers':<{wide[1]}}  {'weights':>10}  kind"
    value = {
        "network": network.name,
        "weights": network.digest(),
        "preprocessing": {**network.preprocessing.to_json(), "origin": network.preprocessing.origin},
        "classes": list(network.classes),
        "layers": [{"name": x.name, "kind": x.kind, "shape": list(x.shape), "parameters": x.parameters} for x in found],
    }
    return [head, *rows], value


def predictions(found: Any, arguments: dict[str, Any]) -> tuple[list[str], Any]:
    """Give the three likeliest classes of every image, and how many images are right."""
    import numpy as np

    from iconoscope.vocabulary.labels import match_labels

    network: Network = arguments["network"]
    images: Images = arguments["images"]
    targets = match_labels(network.names, images.labels)
    lines: list[str] = []
    rows: list[dict[str, Any]] = []
    for identity, target, answer in zip(images.ids, targets.tolist(), found, strict=True):
        if np.isnan(answer).any():
            rows.append({"id": identity, "unreadable": images.unreadable.get(identity, "")})
            continue
        best = np.argsort(-answer)[:3].tolist()
        label = network.classes[target] if target >= 0 else None
        # A list, not an object by name: two classes may have one name.
        ranked = [
            {"class": network.classes[index], "index": index, "probability": round(float(answer[index]), 6)}
            for index in best
        ]
        rows.append({"id": identity, "label": label, "prediction": network.classes[best[0]], "probabilities": ranked})
        mark = "" if label is None else "  right" if best[0] == target else f"  wrong: {label}"
        lines.append(f"{identity}  " + ", ".join(f"{x['class']} {x['probability']:.3f}" for x in ranked) + mark)
    judged = (targets >= 0) & ~np.isnan(found[:, 0])
    value: dict[str, Any] = {"network": network.name, "images": rows}
    if judged.any():
        value["top1"] = float((found[judged].argmax(1) == targets[judged]).mean())
        lines.append(f"top-1: {value['top1']:.4f} of {int(judged.sum())} labelled images")
    return lines, value


def results(found: Any, arguments: dict[str, Any]) -> tuple[list[str], Any]:
    """Say what was found and where it is kept; of what compares several results, where each of them is."""
    from iconoscope.results import Result
    from iconoscope.store import Store

    store = Store(arguments["store"])
    lines: list[str] = []
    values: list[dict[str, Any]] = []
    for each in found if isinstance(found, list) else [found]:
        results: tuple[Result, ...] = (each,) if isinstance(each, Result) else each.results
        folders = [str(store.folder_of(result.question)) for result in results]
        lines += [each.summary(), *(f"  {folder}" for folder in folders)]
        values.append({**each.to_json(), **({"folder": folders[0]} if each is results[0] else {"folders": folders})})
    return lines, values if isinstance(found, list) else values[0]


def figures(found: Any, arguments: dict[str, Any]) -> tuple[list[str], Any]:
    """Say what was found, where it is kept and, if figures were asked for, where they were written."""
    from iconoscope.results.result import figure_names

    lines, value = results(found, arguments)
    if arguments.get("out") is None:
        return lines, value
    count = len(found) if isinstance(found, list) else 1
    names = [str(name.resolve()) for name in figure_names(count, arguments["out"])]
    told = f"The figure is at {names[0]}" if count == 1 else f"The figures are {', '.join(names[:4])}"
    more = f" and {count - 4} more" if count > 4 else ""
    return [*lines, f"{told}{more}"], value


def agreements(found: Any, arguments: dict[str, Any]) -> tuple[list[str], Any]:
    """Say what two fills tell, and how often it is the same."""
    lines, value = results(found, arguments)
    if isinstance(found, list):
        lines.append(f"robust: {sum(agreement.robust for agreement in found)} of {len(found)} images")
    return lines, value


def recording(found: Any, arguments: dict[str, Any]) -> tuple[list[str], Any]:
    """Say what was recorded, where it is kept, and which units are dead."""
    names = [layer.name for layer in found.layers]
    taken = [f"  layers: {shortened(names, most=8)}"] if names else []
    lines = [found.summary(), *taken, f"  {found.folder}"]
    dead = found.dead_units()
    if dead:
        lines.append(f"dead: {', '.join(dead[:12])}" + (f" and {len(dead) - 12} more" if len(dead) > 12 else ""))
    return lines, found.to_json()


def figure(found: Any, arguments: dict[str, Any]) -> tuple[list[str], Any]:
    """Say what was found and where its figure was written."""
    lines, value = results(found, arguments)
    place = str(Path(arguments["out"]).expanduser().resolve())
    return [*lines, f"The figure is at {place}"], {**value, "figure": place}


def image_map(found: Any, arguments: dict[str, Any]) -> tuple[list[str], Any]:
    """Say how good the map is and where it was written."""
    lines, value = results(found, arguments)
    place = str(Path(arguments["out"]).expanduser().resolve())
    del value["images"]
    return [*lines, f"The map is at {place}"], {**value, "map": place}


def prior(found: Any, arguments: dict[str, Any]) -> tuple[list[str], Any]:
    """Say what was learnt and where it is kept."""
    place = str(Path(arguments["out"]).expanduser())
    kept = 0 if found.reference is None else len(found.reference.pixels)
    lines = [
        f"{found!r}; {found.base.explained:.1%} of what whole pictures vary by, {kept} images kept beside it.",
        f"  {place}",
    ]
    return lines, {**found.to_json(), "classes": list(found.classes), "explained": found.base.explained, "file": place}


def visualization(found: Any, arguments: dict[str, Any]) -> tuple[list[str], Any]:
    """Say what was found, and where the pictures of every unit are kept."""
    from dataclasses import replace

    from iconoscope.store import Store

    store = Store(arguments["store"])
    questions = [replace(found.question, unit=unit) for unit in dict.fromkeys(found.units)]
    folders = [str(store.folder_of(question)) for question in questions if store.folder_of(question).is_dir()]
    folders = folders or [str(store.folder_of(found.question))]
    pictures = [f"  {folder}/picture.png" for folder in folders[:16]]
    more = [f"  and {len(folders) - 16} more"] if len(folders) > 16 else []
    place = str(Path(arguments["out"]).expanduser().resolve())
    told = f"The figure is at {place}"
    return [found.summary(), *pictures, *more, told], {**found.to_json(), "folders": folders, "figure": place}


def audit(found: Any, arguments: dict[str, Any]) -> tuple[list[str], Any]:
    """Give the verdicts, first in all and then by class, and say where the report was written."""
    place = str(Path(arguments["out"]).expanduser().resolve())
    classes = found.findings(arguments["lang"])
    whole = found.told(arguments["lang"]).overall(found)
    told = [f"  {name}: {finding.verdict}" for name, finding in list(classes.items())[:12]]
    say = found.told(arguments["lang"]).say
    more = [f"  {say('and more', count=len(classes) - 12)}"] if len(classes) > 12 else []
    lines = [f"{found.question.network}: {whole}.", *told, *more, say("the report is at", place=place)]
    return lines, {**found.to_json(), "report": place}
