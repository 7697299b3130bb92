"""Valid input of every kind, small, of which the cases are made by changing it."""

from __future__ import annotations

import io
import json
import os
import tarfile
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

PREPROCESSING = {"size": 96, "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}


def make_samples(folder: Path) -> None:
    """Fill a folder, go there, and ask every command once, so that what it imports is there."""
    import iconoscope as ico
    from iconoscope.cli import main
    from iconoscope.demo.photographs import keep_photographs

    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    photographs = ico.demo_images(6, seed=5)
    keep_photographs(photographs, Path())
    pixels = np.stack([image.pixels for image in photographs])
    ids = [f"{image.label}/{image.id}.png" for image in photographs]
    labels = {id: id.partition("/")[0] for id in ids}
    _write_pictures(pixels[0])
    np.save("set.npy", pixels)
    np.savez("set.npz", images=pixels, labels=np.array(["a"] * 6))
    np.save("masks.npy", np.ones((6, 96, 96), np.uint8))
    np.save("maps.npy", np.random.default_rng(0).random((6, 96, 96)).astype(np.float32))
    _write_tables(ids, labels)
    _write_sets(ids)
    Path("preprocessing.json").write_text(json.dumps(PREPROCESSING))
    Path("classes.json").write_text('["lynx", "bison"]')
    Path("classes.txt").write_text("lynx\nbison\n")
    Path("concept.txt").write_text("\n".join(ids[:3]))
    _write_weights()
    os.mkfifo("pipe")
    Path("empty").touch()
    for command in (
        "layers --network cars",
        "predict --network cars --images photographs",
        "occlude --network cars --images photographs --limit 1 --patch 48 --stride 48 --store run",
        "attribute --network cars --images photographs --limit 1 --store run",
        "faithfulness --network cars --images photographs --limit 1 --patch 48 --steps 2 --store run",
        "optimize logit:lynx --network cars --steps 2 --size 32 --store run --out made.png",
        "record --network cars --images photographs --k 2 --store recorded",
        "top logit:lynx --k 2 --store recorded --out top.png",
        "map --store recorded --method pca --out map.html",
        "find lynx --store recorded --out find.png",
        "activations relu2 --network cars --images picture.png --store run --out sheet.png",
        "atlas relu3 --network cars --images photographs --grids 2 --positions 8 --steps 1 --store run --out a.html",
        "prior fit --images photographs --size 16 --out prior.safetensors",
        "audit --network cars --images photographs --quick --limit 6 --store run --out audit.html",
        "report --store run --out page.html",
    ):
        assert main([*command.split()]) == 0, command


def _write_pictures(pixels: np.ndarray) -> None:
    picture = Image.fromarray(pixels)
    for suffix in ("png", "jpg", "gif", "bmp", "tif", "webp", "ppm"):
        picture.save(f"picture.{suffix}")
    Image.fromarray(pixels[..., 0].astype(np.uint16) * 257).save("deep.png")
    Image.fromarray(np.full((96, 96), 255, np.uint8)).save("mask.png")


def _write_tables(ids: list[str], labels: dict[str, str]) -> None:
    boxes = {id: [[1, 2, 30, 40]] for id in ids}
    Path("labels.json").write_text(json.dumps(labels))
    Path("labels.csv").write_text("id,label\n" + "".join(f"{id},{label}\n" for id, label in labels.items()))
    Path("boxes.json").write_text(json.dumps(boxes))
    Path("boxes.csv").write_text("id,left,top,right,bottom\n" + "".join(f"{id},1,2,30,40\n" for id in ids))
    Path("list.csv").write_text("path,label\n" + "".join(f"photographs/{id},{label}\n" for id, label in labels.items()))
    Path("list.jsonl").write_text("".join(json.dumps({"path": f"photographs/{id}"}) + "\n" for id in ids))
    coco = {
        "images": [{"id": row, "file_name": id, "height": 96, "width": 96} for row, id in enumerate(ids)],
        "annotations": [
            {"id": row, "image_id": row, "category_id": 1, "bbox": [1, 2, 30, 40], "iscrowd": 0,
             "segmentation": [[1, 1, 40, 1, 40, 40, 1, 40]]}
            for row in range(len(ids))
        ],
        "categories": [{"id": 1, "name": "lynx"}],
    }  # fmt: skip
    Path("coco.json").write_text(json.dumps(coco))


def _write_sets(ids: list[str]) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    contents = [Path("photographs", id).read_bytes() for id in ids]
    with tarfile.open("set.tar", "w") as archive:
        for row, content in enumerate(contents):
            for name, data in ((f"{row:03d}.png", content), (f"{row:03d}.json", b'{"label": "lynx"}')):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    cells = [{"bytes": content, "path": id} for content, id in zip(contents, ids, strict=True)]
    pyarrow.parquet.write_table(pa.table({"image": cells, "label": [0, 1] * 3}), "set.parquet")
    for name in ("voc/JPEGImages", "voc/Annotations", "voc/ImageSets/Main"):
        Path(name).mkdir(parents=True)
    Path("voc/JPEGImages/a.png").write_bytes(contents[0])
    Path("voc/ImageSets/Main/all.txt").write_text("a\n")
    Path("voc/Annotations/a.xml").write_text(
        "<annotation><size><width>96</width><height>96</height></size><object><name>lynx</name><bndbox><xmin>2</xmin>"
        "<ymin>3</ymin><xmax>30</xmax><ymax>40</ymax></bndbox></object></annotation>"
    )


def _write_weights() -> None:
    import torch
    from safetensors.torch import save_file

    import iconoscope as ico

    module = ico.load_network("cars", device="cpu").module
    metadata = {"iconoscope": json.dumps({"preprocessing": PREPROCESSING, "classes": ["lynx", "bison"]})}
    save_file(module.state_dict(), "weights.safetensors", metadata)
    torch.save(module.state_dict(), "weights.pt")
    with warnings.catch_warnings():  # that TorchScript will go
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(module, torch.zeros(1, 3, 96, 96)), "script.pt")
    torch.export.save(torch.export.export(module, (torch.zeros(1, 3, 96, 96),)), "model.pt2")
    Path("factory.py").write_text("from iconoscope.subject.builtin.cars import car_network\n")
