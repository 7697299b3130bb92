"""Recording on a cluster of Ray: workers hold the network and are given runs of shards; what they answer lies in the store.

Where workers run, that those which die are replaced and who is told is Ray's business. Of a cluster we know how many there
are and which shards are not on disk, and nothing of them passes through the process that asks: so its memory stays flat.
"""

from __future__ import annotations

import os
import re
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iconoscope import __version__
from iconoscope.errors import IconoscopeError, NetworkError, QuestionError, StoreError, first_line, warn
from iconoscope.exemplars.parts import consecutive_runs
from iconoscope.extras import import_extra, interrupted_afterwards
from iconoscope.progress import advancing
from iconoscope.store.recording import INDEX
from iconoscope.store.remote_recording import RemoteRecordingWriter
from iconoscope.subject.network import Network, load_network

if TYPE_CHECKING:
    from iconoscope.exemplars.recording_pass import RecordingPass
    from iconoscope.exemplars.shard import Tally

__all__ = ["ShardRecorder", "check_travels", "record_by_ray"]

_RUN = 4
"""Shards at most that a worker is given at once: their images are read in one stream."""

_RUNS_EACH = 4
"""Runs for every worker that are left at least when one is cut: the last are of one shard, and none waits long for another."""

_DEATHS = 3
"""Workers that a run of shards may end before nobody asks about it again."""

_PATIENCE = 60.0
"""Seconds without any worker after which it is said that the cluster has no room."""


def check_travels(network: Network) -> None:
    """See that a network can be loaded on other machines. Raises `QuestionError`."""
    if not network.loaded_by:
        raise QuestionError(
            f"{network.name} was given as a module, which cannot be loaded on other machines: workers load it by its name.",
            hint="Load it so: load_network('path/to/file.py:factory', checkpoint='weights.safetensors'), 'tv:...', 'timm:...', "
            "'hf:...', 'model.pt2', where all machines have the files. Or record it by parts, each in a process of its own.",
        )


@dataclass(frozen=True, eq=False)
class NetworkAddress:
    """How a worker loads the network that is asked here, and how it knows that it is the same.

    Attributes
    ----------
    arguments : dict
        Of `load_network`.
    weights : str
        The digest of all that decides its answers.
    folder : str
        Where relative paths begin.
    version : str
        Of iconoscope.
    """

    arguments: dict[str, Any]
    weights: str
    folder: str = field(default_factory=os.getcwd)
    version: str = __version__

    def load(self) -> Network:
        """Load it on the best device that is there. Raises `NetworkError` if that is another network."""
        if self.version != __version__:
            raise NetworkError(
                f"{socket.gethostname()} has iconoscope {__version__}, and this machine {self.version}.",
                hint="All machines want the same.",
            )
        if Path(self.folder).is_dir():
            os.chdir(self.folder)
        network = load_network(**self.arguments)
        with network.questioned():
            weights = network.digest()
        if weights != self.weights:
            raise NetworkError(
                f"What {socket.gethostname()} loads as {network.name} is not the network that is asked here: weights or code "
                "are others.",
                hint="Was it changed after it was loaded, or is another version of Python or of a file there? Keep its weights "
                "in a file that all machines read, and load it with checkpoint=.",
            )
        return network


class ShardRecorder:
    """A worker: it loads the network when it is first asked, and asks it about runs of shards.

    Attributes
    ----------
    recording_pass : RecordingPass or None
        The pass, once its network is loaded.
    """

    def __init__(self) -> None:
        self.recording_pass: RecordingPass | None = None
        self._earlier: tuple[int, Tally | None] = (0, None)

    def ready(self) -> None:
        """Answer as soon as it is there."""

    def record(self, address: NetworkAddress, shipped: Sequence[Any], shards: range) -> None:
        """Ask about those of some shards that are not on disk.

        Parameters
        ----------
        address
            Of the network.
        shipped
            What Ray keeps the pass under: it is fetched once, and not with every run.
        shards
            The run.
        """
        import torch

        from iconoscope.exemplars.activation_summary import channels_last

        if self.recording_pass is None:
            self.recording_pass = _loaded(address, import_extra("ray", "ray", "a worker").get(shipped[0]))
        network = self.recording_pass.network
        # Runs come in their order but for those that others have lost: only images that lie before tell what can be left out.
        last, earlier = self._earlier
        with network.questioned(), channels_last(network), torch.inference_mode():
            total = self.recording_pass.run(shards, earlier if shards.start >= last else None)
        if shards.start >= last:
            self._earlier = shards.stop, total


def _loaded(address: NetworkAddress, recording_pass: RecordingPass) -> RecordingPass:
    """Give the pass with its network. Raises `StoreError` where this machine does not see the store."""
    if not (recording_pass.writer.folder / INDEX).is_file():
        raise StoreError(
            f"{socket.gethostname()} does not see the store {recording_pass.writer.folder}.",
            hint="Give a folder that all machines of the cluster share.",
        )
    network = address.load()
    return replace(recording_pass, network=network, plan=replace(recording_pass.plan, device=network.device))


def record_by_ray(recording_pass: RecordingPass, weights: str, workers: int | None, address: str | None) -> None:
    """Ask about all shards that are not on disk, on a cluster of Ray.

    Parameters
    ----------
    recording_pass
        The pass; its recording has begun.
    weights
        The digest of its network.
    workers
        Processes beside each worker that read images; of workers with a GPU by default as many as there are processors for.
    address
        Of the cluster; None starts one on this machine, and ends it.

    Raises
    ------
    MissingExtraError
        If Ray is not installed.
    QuestionError
        If there is no cluster at the address, or it has no room for a worker.
    IconoscopeError
        What a worker fails with. What was written stays.
    """
    ray = import_extra("ray", "ray", "engine='ray'")
    missing = recording_pass.not_stored()
    if not missing:
        return
    if weights.startswith("?"):
        raise QuestionError(
            f"Not all that decides the answers of {recording_pass.network.name} can be seen, so no worker can tell whether it "
            f"has loaded the same: {weights[1:].strip()}.",
            hint="Record it by parts, each in a process of its own.",
        )
    if isinstance(recording_pass.writer, RemoteRecordingWriter):
        raise QuestionError(
            f"Workers of Ray write into a folder that all machines share, and {recording_pass.writer} is an address.",
            hint="Name such a folder, or record by parts (--part), which write to addresses.",
        )
    network = NetworkAddress(_absolute(recording_pass.network.loaded_by), weights)
    recording_pass.writer.folder = recording_pass.writer.folder.resolve()
    with _cluster(ray, address):
        count, resources = _room(ray, workers)
        recording_pass = replace(recording_pass, network=None, workers=resources["num_cpus"] - 1)
        runs = _runs(missing, count)
        shipped = [ray.put(recording_pass)]
        kind = ray.remote(max_restarts=-1, **resources)(ShardRecorder)
        recorders = [kind.remote() for _ in range(min(count, len(runs)))]
        try:
            _hand_out(
                ray,
                recorders,
                runs,
                recording_pass,
                lambda recorder, run: recorder.record.remote(network, shipped, run),
            )
        finally:  # also where Ctrl-C has ended it: a shard is on disk whole, or not at all
            for recorder in recorders:
                ray.kill(recorder)


def _runs(missing: Sequence[int], workers: int) -> deque[range]:
    """Cut shards into runs for so many workers, shorter towards the end.

    >>> [len(run) for run in _runs(range(49), 2)]
    [4, 4, 4, 4, 4, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
    """
    runs: deque[range] = deque()
    first = 0
    while first < len(missing):
        size = max(1, min(_RUN, (len(missing) - first) // (_RUNS_EACH * workers)))
        runs.extend(consecutive_runs(missing[first : first + size]))
        first += size
    return runs


def _hand_out(
    ray: Any,
    recorders: list[Any],
    runs: deque[range],
    recording_pass: RecordingPass,
    record: Callable[[Any, range], Any],
) -> None:
    """Give every worker that is there a run, until none is left; one whose worker has died is given to the next.

    A worker that has died is started again by Ray, where there is room, and asked when it is there.
    """
    flying: dict[Any, tuple[Any, range | None]] = {_ready(recorder): (recorder, None) for recorder in recorders}
    deaths: Counter[range] = Counter()
    began = last_answer = time.monotonic()
    count = 0
    with advancing(
        f"recording by {len(recorders)} workers", sum(len(recording_pass.rows_of(run)) for run in runs)
    ) as advance:
        while runs or any(run is not None for _, run in flying.values()):
            answers, _ = ray.wait(list(flying), timeout=1.0)
            for answer in answers:
                recorder, run = flying.pop(answer)
                last_answer = time.monotonic()
                try:
                    ray.get(answer)
                except ray.exceptions.RayTaskError as error:
                    cause = error.cause
                    raise cause if isinstance(cause, IconoscopeError) else _failed(error) from error
                except ray.exceptions.RayError as error:  # the worker or its machine has gone
                    if run is not None:
                        deaths[run] += 1
                        runs.appendleft(run)
                        if deaths[run] == _DEATHS:
                            raise _deadly(recording_pass, run, error) from error
                    flying[_ready(recorder)] = recorder, None
                    continue
                if run is not None:
                    count += len(recording_pass.rows_of(run))
                    advance(len(recording_pass.rows_of(run)), f"{count / max(last_answer - began, 1e-9):,.0f} images/s")
                if runs:
                    run = runs.popleft()
                    flying[record(recorder, run)] = recorder, run
            if time.monotonic() - last_answer > _PATIENCE and all(run is None for _, run in flying.values()):
                warn("The cluster has no room for a worker at present: what is missing waits for it. Ctrl-C ends that.")
                last_answer = float("inf")


def _ready(recorder: Any) -> Any:
    """Ask whether a worker is there: the answer comes when it is, however often it is started again."""
    return recorder.ready.options(max_task_retries=-1).remote()


def _failed(error: Exception) -> NetworkError:
    return NetworkError(f"A worker fails: {first_line(error.cause or error, most=300)}.")  # type: ignore[attr-defined]


def _deadly(recording_pass: RecordingPass, run: range, error: Exception) -> NetworkError:
    images = recording_pass.rows_of(run)
    return NetworkError(
        f"{_DEATHS} workers died over the images {images.start:,} to {images.stop - 1:,}: {first_line(error, most=300)}",
        hint="For lack of memory? Give a smaller batch, or fewer workers a machine. All other shards that were asked are kept.",
    )


def _room(ray: Any, workers: int | None) -> tuple[int, dict[str, int]]:
    """Give how many workers the cluster has room for, and what each takes: a GPU if there are any, and processors."""
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    with_gpu = [machine for machine in machines if machine.get("GPU", 0) >= 1]
    if with_gpu:
        cpus_per_gpu = min(int(machine.get("CPU", 1) // machine["GPU"]) for machine in with_gpu)
        cpus = max(1, min(cpus_per_gpu, 9)) if workers is None else 1 + workers
        count = sum(min(int(machine["GPU"]), int(machine.get("CPU", 0)) // cpus) for machine in with_gpu)
        resources = {"num_gpus": 1, "num_cpus": cpus}
    else:
        cpus = 1 + (workers or 0)
        count = sum(int(machine.get("CPU", 0)) // cpus for machine in machines)
        resources = {"num_cpus": cpus}
    if not count:
        raise QuestionError(
            f"No machine of the cluster has {cpus} processors for a worker.", hint="Give fewer workers (--workers)."
        )
    return count, resources


def _absolute(arguments: dict[str, Any]) -> dict[str, Any]:
    """Give the arguments of `load_network` with the whole paths of files that are here."""
    absolute = dict(arguments)
    for name in ("network", "checkpoint", "classes", "preprocessing"):
        value = arguments.get(name)
        if isinstance(value, str | Path):
            path, colon, factory = str(value).rpartition(".py:")
            file = Path(f"{path}.py" if colon else str(value)).expanduser()
            if len(str(file)) < 4096 and file.exists() and (colon or "/" in str(value) or file.suffix):
                absolute[name] = f"{file.resolve()}{f':{factory}' if colon else ''}"
    return absolute


@contextmanager
def _cluster(ray: Any, address: str | None) -> Iterator[None]:
    """Join a cluster for the time of a block, or start one on this machine; one that this process has joined stays joined."""
    if ray.is_initialized():
        yield
        return
    if address is not None and (host := re.fullmatch(r"(?:ray://)?([^/]+):(\d{1,5})", address)):
        _check_reachable(address, host[1], int(host[2]))
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
    usage = os.environ.get("RAY_USAGE_STATS_ENABLED")
    try:
        if address is None:  # what Ray tells its makers of use is theirs to ask for on clusters of their users
            os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
            ray.init(address="local", include_dashboard=False, **quiet)
        else:
            ray.init(address=address, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise _no_cluster(address or "this machine", error) from error
    finally:
        if usage is None:
            os.environ.pop("RAY_USAGE_STATS_ENABLED", None)
        else:
            os.environ["RAY_USAGE_STATS_ENABLED"] = usage
    try:
        yield
    finally:
        with interrupted_afterwards():  # Ray loses the Ctrl-C that comes while it goes
            ray.shutdown()


def _check_reachable(address: str, host: str, port: int) -> None:
    """See that somebody listens there: Ray itself would ask for minutes. Raises `QuestionError`."""
    try:
        socket.create_connection((host, port), timeout=10).close()
    except OSError as error:
        raise _no_cluster(address, error) from error


def _no_cluster(address: str, error: Exception) -> QuestionError:
    return QuestionError(
        f"There is no cluster of Ray at {address}: {first_line(error, most=240)}.",
        hint="ray start --head starts one; --address auto joins that of this machine, host:port another.",
    )
