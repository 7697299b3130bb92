"""A recording made by parts against one that was made at once, to the last bit."""

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import iconoscope as ico
from iconoscope.cli import main
from iconoscope.demo.photographs import keep_photographs
from iconoscope.errors import IconoscopeWarning, QuestionError, StoreError
from iconoscope.exemplars import parts, record
from iconoscope.exemplars.parts import Part, commands_for, read_part

SETTINGS: dict[str, Any] = {"k": 7, "batch": 8, "shard": 16, "workers": 0}


@pytest.fixture(scope="module")
def straight(network, images, tmp_path_factory):
    return record(network, images, store=tmp_path_factory.mktemp("straight") / "run", **SETTINGS)


def assert_same(recording, straight):
    """Every file but the tallies of shards, in which parts keep more: what they are merged to is the same."""
    names = {path.name for path in straight.folder.iterdir() if path.suffix in (".parquet", ".json")}
    assert {path.name for path in recording.folder.iterdir() if path.suffix in (".parquet", ".json")} == names
    for name in names:
        if not name.startswith("tally-"):
            assert (recording.folder / name).read_bytes() == (straight.folder / name).read_bytes(), name
    assert not list(recording.folder.glob(".*"))


def test_every_shard_is_in_one_part():
    for total in (1, 7, 64, 489):
        for count in (1, 2, 3, 64, 500):
            shards = [shard for number in range(1, count + 1) for shard in Part(number, count).shards(total)]
            assert shards == list(range(total))


@pytest.mark.parametrize(
    ("environment", "part"),
    [
        ({"RANK": "0", "WORLD_SIZE": "4"}, (1, 4)),
        ({"SLURM_ARRAY_TASK_ID": "0", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "0"}, (1, 4)),
        ({"SLURM_ARRAY_TASK_ID": "4", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "1"}, (4, 4)),
        (
            {
                "SLURM_ARRAY_TASK_ID": "20",
                "SLURM_ARRAY_TASK_COUNT": "4",
                "SLURM_ARRAY_TASK_MIN": "0",
                "SLURM_ARRAY_TASK_MAX": "30",
                "SLURM_ARRAY_TASK_STEP": "10",
            },
            (3, 4),
        ),
    ],
)
def test_parts_are_read_from_what_started_the_process(environment, part):
    assert read_part("auto", environment) == part


@pytest.mark.parametrize(
    ("part", "environment", "message"),
    [
        ("0/4", {}, "counted from 1"),
        ("5/4", {}, "counted from 1"),
        ("3 of 4", {}, "counted from 1"),
        ((1, 2, 3), {}, "counted from 1"),
        ("auto", {}, "nobody says"),
        ("auto", {"RANK": "one", "WORLD_SIZE": "4"}, "RANK=one is no number"),
        ("auto", {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_COUNT": "2", "SLURM_ARRAY_TASK_MIN": "3",
                  "SLURM_ARRAY_TASK_MAX": "7", "SLURM_ARRAY_TASK_STEP": "1"}, "not all that lie between"),
        ("auto", {"RANK": "0", "WORLD_SIZE": "4", "SLURM_ARRAY_TASK_ID": "0", "SLURM_ARRAY_TASK_COUNT": "2"}, "an array too"),
    ],
)  # fmt: skip
def test_what_is_no_part_is_said(part, environment, message):
    with pytest.raises(QuestionError, match=message):
        read_part(part, environment)


def test_parts_in_any_order_and_again_come_to_the_same_to_the_last_bit(network, images, straight, tmp_path):
    for part in ("3/4", (1, 4), "4/4", "3/4"):
        begun = record(network, images, store=tmp_path / "run", part=part, **SETTINGS)
        assert not begun.ended
    assert begun.missing == (2, 3, 4)
    assert "7 of 10 shards" in begun.summary() and begun.to_json()["missing"] == [2, 3, 4]
    with pytest.raises(StoreError, match="7 of its 10 shards"):
        _ = begun.responses
    whole = record(network, images, store=tmp_path / "run", part="2/4", **SETTINGS)
    assert whole.ended and whole.images is not None
    assert_same(whole, straight)
    assert np.array_equal(whole.responses, straight.responses)
    for name, values in straight.rankings.items():
        assert np.array_equal(whole.rankings[name], values), name


def test_a_merge_says_what_is_missing_and_which_commands_make_it(network, images, straight, tmp_path):
    record(network, images, store=tmp_path / "run", part="2/3", **SETTINGS)
    with pytest.raises(StoreError, match=r"7 of the 10 shards .* missing: 0, 1, 2, 6, 7") as raised:
        record(network, images, store=tmp_path / "run", merge=True, **SETTINGS)
    commands = raised.value.hint.partition(";")[0].split("--part ")[1:]
    whole = None
    for command in commands:
        whole = record(network, images, store=tmp_path / "run", part=command.strip(" ,"), **SETTINGS)
    assert whole is not None and whole.ended
    (whole.folder / "units.parquet").unlink()
    assert_same(record(network, images, store=tmp_path / "run", merge=True, **SETTINGS), straight)


def test_a_mistaken_merge_or_part_hides_no_recording(network, images, tmp_path):
    few, other = images[:40], {**SETTINGS, "shard": 10}
    whole = record(network, few, store=tmp_path / "run", **SETTINGS)
    with pytest.raises(StoreError, match="nothing to put together"):
        record(network, few, store=tmp_path / "run", merge=True, **other)
    assert [path.name for path in (tmp_path / "run" / "record").iterdir()] == [whole.folder.name]
    with pytest.raises(StoreError, match="nothing to put together"):
        record(network, few, store=tmp_path / "none", merge=True, **SETTINGS)
    assert not (tmp_path / "none").exists()
    record(network, few, store=tmp_path / "run", part="1/2", **other)
    with pytest.warns(IconoscopeWarning, match="was not ended. The latest that was is taken"):
        assert ico.load_recording(tmp_path / "run").folder == whole.folder


def test_parts_with_different_settings_are_noticed(network, images, tmp_path):
    record(network, images[:40], store=tmp_path / "run", part="1/2", **SETTINGS)
    other = {**SETTINGS, "shard": 10}
    with pytest.warns(IconoscopeWarning, match=r"not ended, with other settings: .* \(shard 16, here 10\)"):
        record(network, images[:40], store=tmp_path / "run", part="2/2", **other)
    with pytest.raises(StoreError, match="nothing to put together") as raised:
        record(network, images[:40], store=tmp_path / "run", merge=True, **{**SETTINGS, "batch": 4})
    assert "batch 8, here 4" in raised.value.hint


@pytest.mark.parametrize("total", [1, 10, 489])
def test_the_commands_ask_about_just_what_is_missing(total):
    rng = np.random.default_rng(total)
    for _ in range(20):
        missing = sorted(rng.choice(total, rng.integers(1, min(total, 8) + 1), replace=False).tolist())
        parts = [read_part(text.strip(" ,")) for text in commands_for(missing, total).split("--part ")[1:]]
        assert sorted(shard for part in parts for shard in part.shards(total)) == missing


def test_the_commands_of_thousands_of_missing_shards_are_named_at_once(monkeypatch):
    """No more parts are looked for than are shown, nor for a single shard: that took 15 s of 3,000 shards."""
    tried = []
    exact = parts._exact
    monkeypatch.setattr(parts, "_exact", lambda *run: tried.append(run) or exact(*run))
    assert commands_for(range(0, 3000, 2), 3000).startswith("--part 1/3000, --part 3/3000, ")
    assert not tried
    pairs = [shard for shard in range(3000) if shard % 3]
    assert commands_for(pairs, 3000).endswith("--part 9/1081 and others")
    assert len(tried) < 50_000


def test_a_damaged_shard_of_another_part_is_asked_again_by_whoever_merges_in_time(network, images, straight, tmp_path):
    record(network, images, store=tmp_path / "run", part="1/2", **SETTINGS)
    path = next((tmp_path / "run").glob("record/*/rows-00001.parquet"))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.warns(IconoscopeWarning, match=r"rows-00001.parquet is damaged"):
        record(network, images, store=tmp_path / "run", part="1/2", **SETTINGS)
    assert_same(record(network, images, store=tmp_path / "run", part="2/2", **SETTINGS), straight)


def test_ways_that_exclude_each_other_are_said(network, images, tmp_path):
    ways: list[tuple[dict[str, Any], str]] = [
        ({"part": "1/2", "merge": True}, "part and merge"),
        ({"part": "1/2", "engine": "ray"}, "part and engine"),
        ({"part": "1/2", "resume": False}, "would take away"),
        ({"address": "auto"}, "cluster of Ray"),
        ({"engine": "rays"}, "Did you mean ray"),
    ]
    for settings, message in ways:
        with pytest.raises(QuestionError, match=message):
            record(network, images, store=tmp_path / "run", **settings)


def test_two_processes_on_one_folder_at_once_come_to_the_same(network, tmp_path, capsys):
    """Each asks about all; what one has written half, the other may sweep away."""
    keep_photographs(ico.demo_images(60, seed=1), tmp_path)
    command = ["record", "--network", "cars", "--device", "cpu", "--images", str(tmp_path / "photographs"), "--k", "7"]
    command += ["--batch", "4", "--shard", "4", "--workers", "0", "--quiet", "--store"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "iconoscope", *command, str(tmp_path / "run"), *part],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for part in (["--part", "1/1"], ["--part", "1/1"])
    ]  # fmt: skip
    for process in running:
        said, errors = process.communicate()
        assert process.returncode == 0, errors
        assert "60 images" in said
    assert main([*command, str(tmp_path / "straight")]) == 0
    assert main([*command, str(tmp_path / "run"), "--merge"]) == 0
    straight, recording = (ico.load_recording(tmp_path / name) for name in ("straight", "run"))
    assert_same(recording, straight)
