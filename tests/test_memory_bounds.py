"""What a question will take is told before it is begun, and refused where the machine has not so much.

Nothing is allocated to find out: every test runs in a process that may take one gigabyte more than torch does.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
BEGIN = """
import resource, sys
from pathlib import Path
import numpy as np
import torch
import iconoscope as ico
from iconoscope.cli import main
from iconoscope.errors import IconoscopeError
network = ico.load_network("cars-honest", device="cpu")
image = ico.demo_images(2, seed=1)[0]
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 10**9, resource.getrlimit(resource.RLIMIT_AS)[1]))
def refused(ask, *words):
    try:
        ask()
    except IconoscopeError as error:
        missing = [word for word in words if word not in str(error)]
        assert not missing, (missing, str(error))
    else:
        raise AssertionError("it was begun")
"""


def bounded(code, folder):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", BEGIN + code]
    child = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert child.returncode == 0, child.stderr[-3000:]


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the memory of a process is read from /proc")
def test_techniques(tmp_path):
    bounded(
        """
own = {"size": 10**6, "mean": [0.5] * 3, "std": [0.25] * 3}
refused(lambda: ico.load_network("cars", preprocessing=own), "1000000x1000000", "12000.0GB", "free", "preprocessing=")
refused(lambda: ico.load_network("cars", preprocessing={**own, "size": [9000, 9000]}), "9000x9000", "free")
large = ico.load_network("cars", preprocessing={**own, "size": 2000})
refused(lambda: ico.predict(large, [np.zeros((8, 8, 3), np.uint8)] * 64), "64 images of 2000x2000", "batch")
flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 10_000))
many = ico.load_network(flat, classes=[str(i) for i in range(10_000)], preprocessing={**own, "size": 32})
pictures = [np.zeros((8, 8, 3), np.uint8)] * 200
refused(lambda: ico.occlude(many, pictures, patch=4, stride=1), "841 positions", "10,000 classes", "occlude_each")
assert next(ico.occlude_each(many, pictures, patch=16, stride=16)).map.shape == (2, 2)
refused(lambda: ico.optimize(network, "logit:lynx", size=10**6), "1000000x1000000", "memory=")
refused(lambda: ico.optimize(network, "logit:lynx", count=10**6, steps=8), "1,000,000 pictures", "free")
refused(lambda: ico.optimize(network, "logit:lynx", count=10**9, steps=8, size=16), "1,000,000,000 pictures")
refused(lambda: ico.optimize(network, "logit:lynx", steps=2**31), "steps=2147483648", "at most")
refused(lambda: ico.dream(network, image, "conv3", size=10**6), "1000000x1000000")
refused(lambda: ico.demo_images(2**31), "photographs", "Draw fewer")
refused(lambda: ico.fit_prior(ico.demo_images(2), size=10**6), "1000000x1000000", "smaller size")
refused(lambda: ico.interpolate("logit:0", "logit:1", 2**31), "steps=")
""",
        tmp_path,
    )


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the memory of a process is read from /proc")
def test_options_and_files(tmp_path):
    bounded(
        """
import io, os, warnings, zipfile
from contextlib import redirect_stderr
def said(arguments, *words):
    with redirect_stderr(io.StringIO()) as err:
        status = main(arguments.split())
    assert status in (1, 2) and all(word in err.getvalue() for word in words), (status, err.getvalue())
    assert "mistake" not in err.getvalue() and "enough memory" not in err.getvalue(), err.getvalue()
np.savez_compressed("bomb.npz", images=np.zeros((9000, 9000, 3), np.uint8))
assert Path("bomb.npz").stat().st_size < 10**6
said("predict --network cars --images bomb.npz", "bomb.npz", "free")
with zipfile.ZipFile("liar.npz", "w") as archive:  # a header that tells of more than there is
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (10**6, 10**6, 3)})
    archive.writestr("images.npy", header.getvalue())
said("predict --network cars --images liar.npz", "liar.npz", "ends before")
Path("p.json").write_text('{"size": 1000000, "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}')
said("predict --network cars --images . --preprocessing p.json", "1000000x1000000")
from safetensors.torch import save_file
import json
metadata = {"iconoscope": json.dumps({"preprocessing": json.loads(Path("p.json").read_text()), "classes": ["a", "b"]})}
save_file(network.module.state_dict(), "w.safetensors", metadata)
said("layers --network cars --checkpoint w.safetensors", "1000000x1000000", "the checkpoint")
os.mkfifo("pipe")
for place in ("/dev/zero", "/dev/random", "pipe", "."):
    said(f"predict --network cars --images bomb.npz --classes {place}", "class names")
    said(f"predict --network cars --images bomb.npz --preprocessing {place}", "reprocessing")
    said(f"predict --network cars --images bomb.npz --labels {place}")
    said(f"predict --network cars --images bomb.npz --boxes {place}")
    said(f"predict --network cars --images bomb.npz --masks {place}")
    said(f"predict --network cars --images bomb.npz --checkpoint {place}")
    said(f"optimize logit:lynx --network cars --prior {place}")
    said(f"optimize logit:lynx --network cars --start {place}")
    said(f"find {place} --store nowhere")
said("predict --network cars --images x-{000..300000000}.tar", "shards")
said("optimize logit:lynx --network cars --size 1000000", "1000000x1000000")
said("optimize logit:lynx --network cars --count 1000000000", "pictures")
said("demo --count 2147483648", "photographs")
said("predict --network " + "a" * 100_000 + " --images .", "aaa")
""",
        tmp_path,
    )


def test_memory_raises_the_bound(monkeypatch):
    import iconoscope as ico
    from iconoscope.errors import QuestionError

    monkeypatch.setattr("iconoscope.subject.memory.free_memory", lambda: 10**7)
    network = ico.load_network("cars-honest", device="cpu")
    ask: dict[str, Any] = {"count": 3, "steps": 1, "size": 448}
    with pytest.raises(
        QuestionError, match=r"1 picture of 448x448 pixels in 1 steps would take about 34\.9MB of memory, and 10\.0MB"
    ):
        ico.optimize(network, "logit:lynx", **ask)
    assert len(ico.optimize(network, "logit:lynx", memory="1GB", **ask)) == 3
