"""Two hosts train together, one of them dies, comes back, and nothing is lost.

    python -m benchmarks.two_hosts

The hosts are two network namespaces of this machine joined by a virtual cable: each sees an address of its own and the
other one's, and nothing else. That needs the right to make namespaces; without it, the hosts are two addresses of the
loopback device (127.0.0.2 and 127.0.0.3), and the result says so. On each host runs one torchrun with one process, as a
person would type it. The second host is killed (SIGKILL to everything on it) in the middle of the training and started
again by the same command. The weights at the end are compared with those of one process that nobody disturbed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from benchmarks.common import record, save, say
from safetensors.torch import load_file

from limner.runs import RunFolder

PORT = 29411
EVERY = 50  # steps between checkpoints
MODEL = ["--model", "vae", "--set", "width=16", "--set", "widest=32", "--set", "scores=0", "--batch", "16"]
HOW = [*MODEL, "--precision", "float64", "--limit", "400", "--tracker", "none", "--set", f"checkpoint_every={EVERY}"]

LAUNCHER = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
"""Without it, torchrun (2.13) remembers where the first meeting was, and a host that comes back waits there in vain."""


@dataclass(frozen=True)
class Host:
    """Where a command runs: a network namespace (or none), its address and its network device."""

    namespace: str | None
    address: str
    device: str

    def start(self, command: list[str], log: Path) -> subprocess.Popen[bytes]:
        """The command on this host."""
        there = ["ip", "netns", "exec", self.namespace] if self.namespace else []
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": self.device, **LAUNCHER}
        with log.open("ab") as file:
            return subprocess.Popen([*there, *command], stdout=file, stderr=file, env=environment)


@contextlib.contextmanager
def hosts() -> Iterator[tuple[Host, Host]]:
    """Two hosts with a cable between them, or two addresses of this one."""
    names = f"limner-a-{os.getpid()}", f"limner-b-{os.getpid()}"
    cable = f"lma{os.getpid()}"[:14], f"lmb{os.getpid()}"[:14]
    addresses = "10.77.7.1", "10.77.7.2"
    made = []
    try:
        for name in names:
            ip("netns", "add", name)
            made.append(name)
        ip("link", "add", cable[0], "netns", names[0], "type", "veth", "peer", "name", cable[1], "netns", names[1])
        for name, device, address in zip(names, cable, addresses, strict=True):
            ip("-n", name, "addr", "add", f"{address}/24", "dev", device)
            ip("-n", name, "link", "set", device, "up")
            ip("-n", name, "link", "set", "lo", "up")
    except (subprocess.CalledProcessError, FileNotFoundError) as error:
        remove(made)
        say(f"no network namespaces here ({error}): two addresses of the loopback device instead")
        yield Host(None, "127.0.0.2", "lo"), Host(None, "127.0.0.3", "lo")
        return
    try:
        yield Host(names[0], addresses[0], cable[0]), Host(names[1], addresses[1], cable[1])
    finally:
        remove(made)


def remove(names: list[str]) -> None:
    """Take the namespaces away, and their cable with them."""
    for name in names:
        ip("netns", "del", name)


def ip(*words: str) -> None:
    """The command `ip`."""
    subprocess.run(["ip", *words], check=True, capture_output=True)


def train(out: Path, steps: int) -> list[str]:
    """What a person types after `python -m`; `--resume`, so that the same command begins, and goes on."""
    return ["limner", "train", "digits", *HOW, "--steps", str(steps), "--out", str(out), "--resume"]


def torchrun(first: Host, here: Host, command: list[str]) -> list[str]:
    """torchrun with one process on this host of two; the first host is where they meet."""
    return [
        *(sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", "--max-restarts=3"),
        *("--rdzv-backend=c10d", f"--rdzv-endpoint={first.address}:{PORT}", "--rdzv-id=limner"),
        *(f"--rdzv-conf=is_host={int(here == first)}", f"--local-addr={here.address}", "-m", *command),
    ]


def kill(job: subprocess.Popen[bytes]) -> None:
    """End a host's launcher and all that it has started, without a word to anybody."""
    for process in [*psutil.Process(job.pid).children(recursive=True), psutil.Process(job.pid)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    job.wait()


def checkpoint(out: Path) -> int:
    """The step of the newest checkpoint."""
    return max((int(path.name[5:]) for path in (out / "checkpoints").glob("step-[0-9]*")), default=-1)


def wait_for(jobs: list[subprocess.Popen[bytes]], out: Path, step: int, seconds: float = 600.0) -> float:
    """Seconds until there is a checkpoint at or beyond `step`."""
    began = time.monotonic()
    while checkpoint(out) < step:
        if any(job.poll() not in (None, 0) for job in jobs) or time.monotonic() - began > seconds:
            raise RuntimeError(f"no checkpoint at step {step}: see the logs in {out.parent}")
        time.sleep(0.05)
    return time.monotonic() - began


def measured(place: Path, steps: int) -> dict[str, Any]:
    """The whole story, with its times."""
    out, logs = place / "run", [place / "first.log", place / "second.log"]
    with hosts() as (first, second):
        commands = [torchrun(first, here, train(out, steps)) for here in (first, second)]
        jobs = [here.start(command, log) for here, command, log in zip((first, second), commands, logs, strict=True)]
        try:
            to_begin = wait_for(jobs, out, 0)
            wait_for(jobs, out, steps // 2 // EVERY * EVERY)
            kill(jobs[1])
            killed_at = time.monotonic()
            say(f"the second host is dead, the newest checkpoint is at step {(kept := checkpoint(out))}")
            time.sleep(1)
            jobs[1] = second.start(commands[1], logs[1])
            back = wait_for(jobs, out, kept + EVERY) + (time.monotonic() - killed_at)
            codes = [job.wait(timeout=600) for job in jobs]
        finally:
            for job in jobs:
                if job.poll() is None:
                    kill(job)
        namespaces = first.namespace is not None
    if codes != [0, 0]:
        raise RuntimeError(f"exit codes {codes}: see the logs in {place}")
    return {
        "hosts": "two network namespaces with a virtual cable"
        if namespaces
        else "two addresses of one loopback device",
        "steps": steps,
        "seconds_to_first_checkpoint": round(to_begin, 1),
        "killed_after_checkpoint": kept,
        "seconds_from_kill_to_next_checkpoint": round(back, 1),
        "state": RunFolder(out).status["state"],
        "last_step": RunFolder(out).status["step"],
        "processes": RunFolder(out).status["processes"],
        "said_by_the_survivor": said(logs[0]),
        "largest_difference_of_a_weight": difference(place, out, steps),
    }


def said(log: Path) -> str:
    """The survivor's line about the loss."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if "another process has ended" in line]
    return lines[0] if lines else ""


def difference(place: Path, out: Path, steps: int) -> float:
    """How far the weights lie from those of one undisturbed process."""
    alone = place / "alone"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-m", *train(alone, steps), "--quiet"], check=True, env=environment)
    ours, theirs = load_file(out / "model.safetensors"), load_file(alone / "model.safetensors")
    return max(float((ours[key].double() - theirs[key].double()).abs().max()) for key in ours)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=400)
    args = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="two-hosts-"))
    found = measured(place, args.steps)
    say(str(save("two-hosts", {**record(), **found})))
    shutil.rmtree(place)


if __name__ == "__main__":
    main()
