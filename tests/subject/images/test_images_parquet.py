from __future__ import annotations

import io
import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image as PillowImage

from iconoscope.errors import IconoscopeWarning, ImageFileError, ImagesError, QuestionError
from iconoscope.subject.images import load_images

NAMES = {"huggingface": json.dumps({"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}})}


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (4, 6, 3), np.uint8)


def encode(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    PillowImage.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write(
    path: Path, cells: list, column: str = "image", group: int = 3, metadata: dict | None = None, **others
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({column: cells, **others}).replace_schema_metadata(metadata)
    pq.write_table(table, path, row_group_size=group)
    return path


def cells(count: int, *, paths: list | None = None) -> list:
    return [{"bytes": encode(picture(i)), "path": paths[i] if paths else None} for i in range(count)]


def test_rows_ids_and_names(tmp_path: Path) -> None:
    path = write(tmp_path / "set.parquet", cells(7), metadata=NAMES, label=[0, 1, 0, 1, -1, None, 1])
    images = load_images(path)
    assert images.ids == tuple(f"set#{i}" for i in range(7))
    assert images.labels == ["cat", "dog", "cat", "dog", None, None, "dog"]
    assert images.label_names == ("cat", "dog")
    for index, image in enumerate(images):
        np.testing.assert_array_equal(image.pixels, picture(index))
    assert images.where(label="dog").ids == images.where(label=1).ids == ("set#1", "set#3", "set#6")


def test_ids_are_the_paths_where_they_are_unique(tmp_path: Path) -> None:
    path = write(tmp_path / "s.parquet", cells(5, paths=["a.png", "b.png", "a.png", None, "x#3"]))
    assert load_images(path).ids == ("s#0", "b.png", "s#2", "s#3", "s#4")


@pytest.mark.parametrize("column", ["image", "img", "picture"])
def test_a_plain_column_of_bytes(tmp_path: Path, column: str) -> None:
    path = write(tmp_path / "s.parquet", [encode(picture(i)) for i in range(2)], column, fine_label=["x", "y"])
    images = load_images(path)
    assert images.labels == ["x", "y"] and images.label_names == ()
    np.testing.assert_array_equal(images[1].pixels, picture(1))


@pytest.mark.parametrize("metadata", [None, {"huggingface": "{"}, {"huggingface": '{"info": {"features": []}}'}])
def test_numbers_stay_numbers_without_names(tmp_path: Path, metadata: dict | None) -> None:
    images = load_images(write(tmp_path / "s.parquet", cells(2), metadata=metadata, label=[3, 4]))
    assert images.labels == [3, 4] and images.label_names == ()
    assert images.where(label="4").ids == ("s#1",)


def test_every_row_group_is_read_once_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "s.parquet", cells(10), label=list(range(10)))
    reads = []
    read = pq.ParquetFile.read_row_group

    def counted(self, group, columns=None, **settings):
        reads.append((group, columns))
        return read(self, group, columns=columns, **settings)

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", counted)
    images = load_images(path)
    assert images.labels == list(range(10)) and len(images.ids) == 10
    assert reads == []  # nothing of the image column is read to open it
    assert len(list(images.readable())) == 10
    assert reads == [(group, ["image"]) for group in range(4)]


def test_shards_of_a_folder(tmp_path: Path) -> None:
    for shard, count in enumerate([2, 0, 3]):
        paths = [f"{shard}{i}.png" for i in range(count)]
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        table = pa.table(
            {"image": pa.array(cells(count, paths=paths), kind), "label": pa.array([shard] * count, pa.int64())}
        )
        (tmp_path / "data").mkdir(exist_ok=True)
        pq.write_table(table, tmp_path / "data" / f"train-0000{shard}-of-00003.parquet", row_group_size=2)
    images = load_images(tmp_path)
    assert images.ids == ("00.png", "01.png", "20.png", "21.png", "22.png")
    assert images.labels == [0, 0, 2, 2, 2]
    np.testing.assert_array_equal(images[4].pixels, picture(2))
    assert load_images(tmp_path / "data").ids == images.ids


def test_splits_of_shards_are_asked_about(tmp_path: Path) -> None:
    for name in ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"):
        write(tmp_path / "data" / f"{name}.parquet", cells(2))
    with pytest.raises(QuestionError, match="splits test, train") as caught:
        load_images(tmp_path)
    pattern = str(tmp_path / "data" / "train-*.parquet")
    assert pattern in caught.value.hint
    assert load_images(pattern).ids == tuple(f"train-0000{s}-of-00002#{i}" for s in range(2) for i in range(2))


def test_a_missing_shard_is_said(tmp_path: Path) -> None:
    write(tmp_path / "train-00000-of-00002.parquet", cells(2))
    with pytest.warns(IconoscopeWarning, match=r"1 of the 2 shards"):
        assert len(load_images(tmp_path)) == 2


def test_rows_are_right_from_several_threads(tmp_path: Path) -> None:
    images = load_images(write(tmp_path / "s.parquet", cells(12), group=2))
    rows = np.random.default_rng(0).integers(0, 12, 300).tolist()
    with ThreadPoolExecutor(8) as pool:
        for row, pixels in zip(rows, pool.map(lambda row: images[row].pixels, rows), strict=True):
            np.testing.assert_array_equal(pixels, picture(row))


def test_parquet_beside_images_is_asked_about(tmp_path: Path) -> None:
    write(tmp_path / "s.parquet", cells(1))
    (tmp_path / "a.png").touch()
    with pytest.raises(QuestionError, match="both image files and parquet"):
        load_images(tmp_path)


def test_a_row_may_name_a_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.png").write_bytes(encode(picture(9)))
    rows = [{"bytes": None, "path": "files/a.png"}, {"bytes": None, "path": "files/gone.png"}, None]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({"image": pa.array(rows, kind)}), tmp_path / "s.parquet")
    images = load_images(tmp_path / "s.parquet")
    assert images.ids == ("files/a.png", "files/gone.png", "s#2")
    np.testing.assert_array_equal(images[0].pixels, picture(9))
    with pytest.raises(ImageFileError, match=r"files/gone\.png cannot be read: there is no such file"):
        _ = images[1].pixels
    with pytest.raises(ImageFileError, match="s#2 cannot be read: the row holds neither bytes nor a path"):
        _ = images[2].pixels


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImagesError, match=r"no column of images; its columns are a \(int64\)"):
        load_images(write(tmp_path / "a.parquet", [1, 2], "a"))
    with pytest.raises(ImagesError, match="label 2 is outside the 2 class names"):
        load_images(write(tmp_path / "b.parquet", cells(1), metadata=NAMES, label=[2]))
    (tmp_path / "c.parquet").write_text("no parquet")
    with pytest.raises(ImagesError, match=r"c\.parquet cannot be read as parquet"):
        load_images(tmp_path / "c.parquet")
    (tmp_path / "d.parquet").touch()
    with pytest.raises(ImagesError, match="cannot be read as parquet"):
        load_images(tmp_path / "d.parquet")


def test_a_damaged_row_group_is_an_unreadable_image(tmp_path: Path) -> None:
    path = write(tmp_path / "s.parquet", cells(4), group=2)
    images = load_images(path)
    start = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\xff" * 60)
    np.testing.assert_array_equal(images[0].pixels, picture(0))
    with pytest.raises(ImageFileError, match="s#2 cannot be read: its row group is damaged"):
        _ = images[2].pixels


def test_it_can_be_sent_to_another_process(tmp_path: Path) -> None:
    images = load_images(write(tmp_path / "s.parquet", cells(3), label=[1, 2, 3]))
    _ = images[0].pixels
    again = pickle.loads(pickle.dumps(images))
    assert again.ids == images.ids
    np.testing.assert_array_equal(again[2].pixels, picture(2))


def test_real_parquet_against_its_own_rows(data: Path) -> None:
    path = data / "cifar10" / "test.parquet"
    images = load_images(path)
    table = pq.read_table(path)
    names = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]["label"]["names"]
    assert len(images) == table.num_rows == 10_000 and images.label_names == tuple(names)
    assert len(set(images.ids)) == 10_000
    for row in (0, 999, 1000, 7777, 9999):
        cell = table["image"][row].as_py()
        np.testing.assert_array_equal(
            images[row].pixels, np.asarray(PillowImage.open(io.BytesIO(cell["bytes"])).convert("RGB"))
        )
        assert images[row].id == cell["path"] and images[row].label == names[table["label"][row].as_py()]
