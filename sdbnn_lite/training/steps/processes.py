"""Training on several processes, which torch's own launcher starts; a run without it is a single process.

    torchrun --nnodes N --nproc-per-node M -m sdbnn_lite train RECIPE ...        N·M processes, one per GPU or CPU core

torchrun's environment variables tell each process its rank, how many there are and where to connect. Communication is
torch.distributed's: NCCL between GPUs, gloo between CPUs.

    batch size       always that of all processes together: what it stands for doesn't depend on their number
    batch norm       synchronised (``data_parallel``): mean and variance of the whole batch
    gradients        summed over the whole batch, by DistributedDataParallel
    test images      each scored by exactly one process, counts summed
    files            written by the main process alone; every machine must see the run's folder, as all read it

So 1, 2 and 8 processes compute the same up to the order of sums, and a checkpoint can be resumed on any number.

**Restarts.** Where a process dies, the others stop with a RunError, torchrun ends them all and, with
``--max-restarts R``, restarts them up to R times. A restarted process (TORCHELASTIC_RESTART_COUNT above 0) resumes
from the last checkpoint without ``--resume`` if the folder's run.json was written under the same launch: torchrun's run
id (``--rdzv-id``, or ``--standalone``'s own), or where it has none (a single machine) torchrun's process id.
"""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist
from torch.distributed.rendezvous import rendezvous

from ...errors import RunError, UsageError
from ...system.devices import pick_device
from ...system.files import read_json
from ...system.interrupt import last_words
from ..evaluate import Score

T = TypeVar("T")
Problem = tuple[type[UsageError | RunError], str] | None  # of one process
PATIENCE = timedelta(minutes=30)  # decoding a set for the first time takes that long; a dead process is noticed at once
LOST = ("peer", "gloo", "nccl", "broken pipe", "connection", "timed out", "store")  # what torch calls it, in lower case


@dataclass(frozen=True)
class Processes:
    """All ``count`` processes of a run, as one of them sees them.

    ``rank``: its number, 0 … ``count`` - 1; ``local``: that on its machine; ``device``: what it computes on.
    """

    rank: int = 0
    count: int = 1
    local: int = 0
    device: torch.device = torch.device("cpu")

    @property
    def single(self) -> bool:
        return self.count == 1

    @property
    def is_main(self) -> bool:
        """Whether this is the main process, which writes the files and prints."""
        return self.rank == 0

    def total(self, *values: float) -> tuple[float, ...]:
        """Each value summed over all processes, in float64 (counts below 2^53 stay exact); of one process, as it is."""
        if self.single:
            return values
        sums = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(sums)
        return tuple(sums.tolist())

    def combine(self, score: Score) -> Score:
        """The score of all test images from every process's score of its shard."""
        if self.single:
            return score
        n = score.images
        loss, first, five, images = self.total(score.loss * n, round(score.top1 * n), round(score.top5 * n), n)
        return replace(score, loss=loss / images, top1=first / images, top5=five / images, images=int(images))

    def agree(self, work: Callable[[], T]) -> T:
        """``work()``; where it is refused or fails on any process, every one of them raises the first one's error."""
        if self.single:
            return work()
        problem: Problem = None
        problems: list[Problem] = [None] * self.count
        try:
            result = work()
        except (UsageError, RunError) as error:
            problem = type(error), str(error)
        dist.all_gather_object(problems, problem)
        for kind, message in filter(None, problems):
            said = kind(message)
            said.everywhere = True  # type: ignore[union-attr]  # the command line prints it once
            raise said
        return result

    def one_first(self, work: Callable[[], T]) -> T:
        """:meth:`agree`, on each machine first in one process, then in the others: they find what it downloaded."""
        first = self.agree(lambda: work() if self.local == 0 else None)
        return first if self.single else self.agree(lambda: first if self.local == 0 else work())  # type: ignore[return-value]

    @contextmanager
    def watch_peers(self, kept: Callable[[], str]) -> Iterator[None]:
        """Say that a peer is lost: by a RunError, or before torchrun's SIGTERM; ``kept()``: what is on the disk."""
        if self.single:
            yield
            return

        def gone() -> str:
            return (f"another of the {self.count} processes is gone (killed, out of memory, or its machine is down); "
                    f"{kept()}; resume with --resume, on any number of processes, or start torchrun with "
                    "--max-restarts 3, which resumes automatically")  # fmt: skip

        try:
            with last_words(lambda: f"process {self.rank}: ended by torchrun: it was stopped, or {gone()}"):
                yield
        except RuntimeError as error:
            if isinstance(error, RunError) or not any(word in str(error).lower() for word in LOST):
                raise
            raise RunError(f"{gone()} ({str(error).splitlines()[0][:160]})") from error


SINGLE = Processes()


def join(device: str = "auto") -> Processes:
    """The processes of this run, connected; UsageError without a GPU for each of a machine, or without the device."""
    chosen, env = pick_device(device), os.environ
    count = int(env.get("WORLD_SIZE", 1)) if "RANK" in env else 1
    if count == 1:
        return Processes(device=chosen)
    local, here = int(env.get("LOCAL_RANK", 0)), int(env.get("LOCAL_WORLD_SIZE", 1))
    if chosen.type == "cuda":
        if here > torch.cuda.device_count():
            raise UsageError(f"--nproc-per-node {here}: this machine has {torch.cuda.device_count()} GPUs; start at "
                             f"most one process for each (or give --device cpu)")  # fmt: skip
        chosen = torch.device("cuda", local)
        torch.cuda.set_device(chosen)
    if not dist.is_initialized():
        backend = "nccl" if chosen.type == "cuda" and dist.is_nccl_available() else "gloo"
        store, rank, _ = next(rendezvous("env://", timeout=PATIENCE))
        # torchrun may keep its store when it restarts: without a prefix, dead processes' addresses would be read there
        store = dist.PrefixStore(f"attempt {attempt()}", store)  # type: ignore[attr-defined]
        dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=PATIENCE)
    return Processes(dist.get_rank(), count, local, chosen)


def is_main() -> bool:
    """Whether this is the main process, as torchrun's environment says it: known before :func:`join`."""
    return int(os.environ.get("RANK", 0)) == 0


def leave() -> None:
    """Destroy the process group, when all is done."""
    if dist.is_initialized():
        dist.destroy_process_group()


def check_batch(batch_size: int, count: int) -> None:
    """Raise UsageError unless ``count`` processes can share the global batch evenly."""
    if batch_size % count:
        lower = batch_size // count * count
        near = " or ".join(str(n) for n in (lower, lower + count) if n)
        raise UsageError(f"batch size {batch_size} (of all processes together) doesn't divide by {count} "
                         f"processes: give --batch-size {near}")  # fmt: skip


def check_images(label: str, train: int, test: int, count: int) -> None:
    """Raise UsageError where there are more processes than training or test images."""
    if count > min(train, test):
        raise UsageError(f"{count} processes: {label} has {train:,} training and {test:,} test images; start at "
                         f"most {min(train, test)}")  # fmt: skip


def attempt() -> int:
    """How often torchrun has restarted these processes."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0))


def launch() -> str | None:
    """The name of this launch of torchrun, the same after each of its restarts; None without torchrun."""
    run = os.environ.get("TORCHELASTIC_RUN_ID")
    return f"{socket.gethostname()}:{os.getppid()}" if run == "none" else run


def restarted(run_file: Path) -> bool:
    """Whether torchrun restarted this process, and the run of ``run_file`` is the one that it trained before."""
    try:
        return attempt() > 0 and read_json(run_file).get("launch") == launch()
    except (AttributeError, OSError, ValueError):
        return False
