"""Runs the gateway for many minutes under mixed load and injected faults, and checks every response.

Exits with 1 if a response was wrong, memory or descriptors grew, or the log has a panic.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import faults
import gateway as gateways
from faults import Run
from load import Load
from oracle import Timeline, User, World

CLIENTS = 6
#: What memory (KiB) and descriptors may grow between the first and the last fifth of a process's life. In a short run
#: the caches still fill (16 MiB), and a password that is being checked takes 19 MiB.
MEMORY_GROWTH = 40 << 10
DESCRIPTOR_GROWTH = 64


def main() -> int:
    """Runs the soak; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", type=Path, required=True, help="the program private-media")
    parser.add_argument("--minutes", type=float, default=30.0, help="how long to run")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="the seed of all random choices")
    parser.add_argument("--fault", action="append", help="inject only faults with this name")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with gateways.folder() as folder:
        soak = Soak(options.program.absolute(), Path(folder), options.seed, set(options.fault or ()))
        return soak.run(options.minutes * 60)


class Soak:
    """One run: a world, a gateway, clients and faults."""

    def __init__(self, program: Path, folder: Path, seed: int, names: set[str]) -> None:
        self.rng = random.Random(seed)
        self.names = names
        self.gateway = gateways.Gateway(program, folder)
        self.world = World()
        self._create_files(folder / "private")
        self.users = [
            User("alice", "7", "correct horse 7"),
            User("bob", "8", "correct horse 8"),
            User("carol", "9", "correct horse 9", staff=True),
            User("dave", "10", "correct horse 10"),
        ]
        for user in self.users:
            self.gateway.add_account(user.name, user.id, user.password, staff=user.staff)
        self.gateway.add_account("victim", "666", "never guessed at all")
        self.load = Load(self.world, self.gateway.address, self.users, seed)
        self.injected: Counter[str] = Counter()
        self.samples: list[tuple[float, int, int]] = []
        self.begin = time.monotonic()

    def run(self, seconds: float) -> int:
        """Three quarters of the time with one process, then restarts with every kind of log."""
        self.gateway.start("pipe")
        clients = [
            threading.Thread(target=self.load.run, args=(number,), daemon=True) for number in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        sampler = threading.Thread(target=self._sample, daemon=True)
        sampler.start()
        run = Run(self.gateway, self.world, self.load, self.rng)
        self._lasting(run, self.begin + seconds * 0.75)
        self._check_growth()
        self._restarting(run, self.begin + seconds)
        self.load.stopping.set()
        for client in clients:
            client.join(30)
        try:
            self.gateway.stop(signal.SIGTERM, 20)
        except subprocess.TimeoutExpired:
            self.load.finding("SIGTERM did not end the process within 20 s")
        return self._report()

    def _lasting(self, run: Run, end: float) -> None:
        order: list[faults.Fault] = []
        while time.monotonic() < end and self.gateway.process and self.gateway.process.poll() is None:
            if not order:
                order = [fault for fault in faults.LASTING if not self.names or fault.__name__ in self.names]
                self.rng.shuffle(order)
            self._inject(run, order.pop())
            time.sleep(1)

    def _restarting(self, run: Run, end: float) -> None:
        logs = ["closed", "full", "pipe"]
        number = 0
        while time.monotonic() < end:
            log = logs[number % 3]
            name = f"restart by {'SIGKILL' if number % 2 else 'SIGTERM'}, log {log}"
            self.load.fault = name
            self.injected[name] += 1
            faults.restart(run, signal.SIGKILL if number % 2 else signal.SIGTERM, log)
            fitting = [
                fault for fault in faults.WITH_ANY_LOG if not self.names or fault.__name__ in self.names
            ]
            for fault in self.rng.sample(fitting, min(2, len(fitting))):
                self._inject(run, fault)
            number += 1

    def _inject(self, run: Run, fault: faults.Fault) -> None:
        self.load.fault = fault.__name__
        self.injected[fault.__name__] += 1
        try:
            fault(run)
        except Exception as error:  # a fault that fails is a finding, and the run goes on
            self.load.finding(f"the fault failed: {error!r}")
        self.load.fault = "none"

    def _sample(self) -> None:
        while not self.load.stopping.is_set():
            try:
                memory, descriptors = self.gateway.usage()
            except (OSError, StopIteration):
                memory, descriptors = 0, 0
            if memory:
                self.samples.append((time.monotonic() - self.begin, memory, descriptors))
            time.sleep(1)

    def _check_growth(self) -> None:
        samples = self.samples[min(30, len(self.samples) // 3) :]
        fifth = max(1, len(samples) // 5)
        for column, name, growth in (
            (1, "memory in KiB", MEMORY_GROWTH),
            (2, "descriptors", DESCRIPTOR_GROWTH),
        ):
            first = statistics.median(sample[column] for sample in samples[:fifth])
            last = statistics.median(sample[column] for sample in samples[-fifth:])
            print(f"{name}: median {first:.0f} in the first fifth, {last:.0f} in the last")
            if last > first + growth:
                self.load.finding(f"{name} grew from {first:.0f} to {last:.0f}")

    def _report(self) -> int:
        load = self.load
        for line in self.gateway.log_lines:
            if "panic" in line:
                load.finding(f"the log has a panic: {line}")
        total = sum(load.counts.values())
        print(
            f"\n{total} responses checked in {time.monotonic() - self.begin:.0f} s: {dict(load.counts.most_common())}"
        )
        print(
            f"peak memory {max(sample[1] for sample in self.samples)} KiB,"
            f" descriptors {max(sample[2] for sample in self.samples)}"
        )
        print("\n| fault | times | responses meanwhile | slowest without a password, s |\n|---|--:|--:|--:|")
        for fault, times in sorted(self.injected.items()):
            print(f"| {fault} | {times} | {load.requests_by_fault[fault]} | {load.latency[fault]:.2f} |")
        print(f"\n{len(load.findings)} findings")
        # Findings that differ in their numbers and cookies alone are shown once.
        kinds: dict[str, list[str]] = {}
        for finding in load.findings:
            kinds.setdefault(re.sub(r"[\w%&-]*\d[\w%&-]*", "#", finding), []).append(finding)
        for alike in sorted(kinds.values(), key=len, reverse=True)[:30]:
            print(f"- {len(alike)} x {alike[0]}")
        return 1 if load.findings or not total else 0

    def _create_files(self, root: Path) -> None:
        for folder in ("cars/7", "cars/8", "cars/10", "shared", "open"):
            (root / folder).mkdir(parents=True)
            sizes = [0, 1, 700, 5000, 16_000, 60_000]
            names = [*(f"photo-{number}.jpg" for number in range(6)), "grüße & 100 %.png"]
            for name, size in zip(names, [*sizes, 900], strict=True):
                self._create(root, f"{folder}/{name}", size)
        self._create(root, "cars/7/mapped.bin", 9000)
        self._create(root, "cars/7/large.mp4", 6 << 20)
        self._create(root, "open/large.mp4", 6 << 20)

    def _create(self, root: Path, path: str, size: int) -> None:
        content = self.rng.randbytes(size)
        (root / path).write_bytes(content)
        self.world.files[path] = Timeline(content)


if __name__ == "__main__":
    sys.exit(main())
