"""Promise 9 under ``kill -9``: at least once under one key, at most once, exactly once to an entity."""

import json
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@dataclass
class Office:
    """Processes one after another over one store, each killed at some moment but the last."""

    path: Path
    acknowledged: set[str] = field(default_factory=set)
    started: int = 0

    @property
    def journal(self) -> Path:
        return self.path / "journal"

    @property
    def errors(self) -> Path:
        return self.path / "errors"

    def start(self, task: str) -> subprocess.Popen[str]:
        self.started += 1
        command = [sys.executable, "-m", "tests.system.posting", task]
        with self.errors.open("a") as errors:
            process = subprocess.Popen(
                [*command, str(self.path / "store"), str(self.journal), f"run{self.started}"],
                cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True,
            )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n", self.errors.read_text()
        return process

    def run_and_kill(self, seconds: float) -> None:
        """Let a process work for a while, then end it as a power cut would end the process."""
        process = self.start("flow")
        assert process.stdout is not None
        timer = threading.Timer(seconds, process.send_signal, (signal.SIGKILL,))
        timer.start()
        whole = [line.strip() for line in process.stdout if line.endswith("\n")]
        self.acknowledged.update(whole)
        process.stdout.close()
        assert process.wait(30) == -signal.SIGKILL, self.errors.read_text()

    def settle(self) -> dict[str, list[list[str]]]:
        """Let a last process deliver everything, and give what it tells."""
        process = self.start("drain")
        told, _ = process.communicate(timeout=60)
        assert process.returncode == 0, self.errors.read_text()
        answer: dict[str, list[list[str]]] = json.loads(told)
        return answer

    def happened(self) -> dict[str, dict[str, list[str]]]:
        """Give what the effects did: by effect and by what it was about, the keys, in order."""
        found: dict[str, dict[str, list[str]]] = {"mail": {}, "ring": {}}
        for line in self.journal.read_text().splitlines():
            effect, what, key = line.split()
            found[effect].setdefault(what, []).append(key)
        return found


def crash_cycles(path: Path, cycles: int, seed: int) -> None:
    chance, office = random.Random(seed), Office(path)
    for _ in range(cycles):
        office.run_and_kill(chance.uniform(0.02, 0.4))
    told, happened = office.settle(), office.happened()
    posted = [what for lines in told["book"] for what in lines]
    entered = [what for lines in told["ledger"] for what in lines]

    assert len(office.acknowledged) > cycles
    assert office.acknowledged <= set(posted)
    assert max(Counter(posted).values()) == 1
    assert Counter(entered) == Counter(posted), "a command between entities: exactly once"
    check_order(told)
    assert happened["mail"].keys() == set(posted), "at least once: for all, and for nothing else"
    assert all(len(set(keys)) == 1 for keys in happened["mail"].values()), "one key"
    assert {key for keys in happened["mail"].values() for key in keys} == {*told["outcomes"][0]}
    assert happened["ring"].keys() <= set(posted), "at most once: after the commit"
    assert all(len(keys) == 1 for keys in happened["ring"].values()), "at most once"


def check_order(told: dict[str, list[list[str]]]) -> None:
    """Insist that what one book sent to one ledger was entered in the order it was posted."""
    for lines in told["book"]:
        places = {what: place for place, what in enumerate(lines)}
        for ledger in told["ledger"]:
            mine = [places[what] for what in ledger if what in places]
            assert mine == sorted(mine)


def test_what_was_given_out_is_delivered_over_kill_nine(tmp_path: Path) -> None:
    crash_cycles(tmp_path, cycles=4, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(3))
def test_what_was_given_out_is_delivered_over_many_of_them(tmp_path: Path, seed: int) -> None:
    crash_cycles(tmp_path, cycles=40, seed=seed)
