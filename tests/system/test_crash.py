"""Promise 1 over HTTP: what was acknowledged survives ``kill -9``, at its place, once."""

import http.client
import random
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from perdure.vocabulary.ids import make_event_id
from tests.system.serving import Served

ELEPHANT = {"quantity": 1, "price": 31.99, "item": "Elephant snacks"}
TICKS = 0x01F1_0000_0000_0000


class Poster(threading.Thread):
    """Posts events one after another, each under its own id until it is acknowledged."""

    def __init__(self, served: Served, number: int, carts: list[str]) -> None:
        super().__init__()
        self._served, self._number, self._carts = served, number, carts
        self._chance = random.Random(number)
        self.ended = threading.Event()
        self.acknowledged: dict[str, int] = {}
        self.attempted: set[str] = set()

    def run(self) -> None:
        count = 0
        while not self.ended.is_set():
            count += 1
            event = str(UUID(bytes=make_event_id(TICKS + count * 10_000, 0, self._number + 1)))
            cart = self._chance.choice(self._carts)
            body = ELEPHANT | {"item_id": str(uuid4())}
            self.attempted.add(event)
            while not self.ended.is_set():
                try:
                    status, headers, _ = self._served.ask(
                        "POST", f"/store/item_added/{cart}/{event}", body
                    )
                except (OSError, http.client.HTTPException):
                    time.sleep(0.005)  # the server is down: nothing to wait for but its return
                    continue
                assert status == 204, status
                self.acknowledged[event] = int(headers["perdure-position"])
                break


def check_log(served: Served, posters: list[Poster]) -> None:
    events: list[dict[str, Any]] = []
    path = "/store/events?limit=1000"
    while path:
        status, headers, page = served.ask("GET", path)
        assert status == 200
        events += page["events"]
        path = headers["link"].split(">")[0].lstrip("<") if "link" in headers else ""
        path = path[path.find("/store") :] if path else ""
    by_id = {event["event_id"]: event for event in events}
    acknowledged = {k: v for poster in posters for k, v in poster.acknowledged.items()}
    attempted = set().union(*(poster.attempted for poster in posters))
    versions: defaultdict[str, list[int]] = defaultdict(list)
    for event in events:
        versions[event["entity_id"]].append(event["version"])

    assert len(by_id) == len(events), "an event is stored twice"
    assert {k: by_id[k]["position"] for k in acknowledged} == acknowledged, "lost or moved"
    assert set(by_id) <= {*attempted, *(e for e in by_id if by_id[e]["type"] == "cart_emptied")}
    assert all(found == list(range(1, len(found) + 1)) for found in versions.values())
    for cart, numbers in versions.items():
        token = {"perdure-after": str(max(e["position"] for e in events))}
        status, _, answer = served.ask("GET", f"/store/cart/{cart}/model", headers=token)
        assert status == 200, answer
        assert len(answer["model"]["items"]) == len(numbers)


def crash_cycles(store: Path, cycles: int, seed: int) -> None:
    chance = random.Random(seed)
    served = Served(store)
    carts = [str(uuid4()) for _ in range(5)]
    served.start()
    posters = [Poster(served, number, carts) for number in range(4)]
    for poster in posters:
        poster.start()
    try:
        for _ in range(cycles):
            time.sleep(chance.uniform(0.05, 0.5))  # the moment of the power cut
            served.kill()
            served.start()
    finally:
        for poster in posters:
            poster.ended.set()
        for poster in posters:
            poster.join(30)
    check_log(served, posters)
    assert served.stop() == 0
    assert sum(len(poster.acknowledged) for poster in posters) > cycles


def test_what_was_acknowledged_survives_kill_nine(tmp_path: Path) -> None:
    crash_cycles(tmp_path / "store", cycles=4, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("seed", range(3))
def test_what_was_acknowledged_survives_many_times(tmp_path: Path, seed: int) -> None:
    crash_cycles(tmp_path / "store", cycles=40, seed=seed)
