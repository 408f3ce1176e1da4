"""``perdure intents list`` and ``show``: what is still to be delivered."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import perdure
from perdure import Context
from perdure.core.parcels import Parcel, pack
from perdure.vocabulary.commits import Commit, Intent
from perdure.vocabulary.ids import decided_id, parse_id
from tests.cli.giving import ABSENT, BOTH, OTHER, POST, give_out, listed, park
from tests.cli.postbox import File, PassOn, Post, Remind, Wait, post
from tests.cli.support import ENTITY, Cli


@dataclass(frozen=True)
class Passed:
    year: int


def test_all_that_is_to_be_delivered_is_listed_by_kind_and_time(cli: Cli, store: str) -> None:
    give_out(
        store, Remind("later"), PassOn("now", OTHER), File("kept"), Post("w", "/nowhere/written")
    )

    rows = listed(cli, store, BOTH)
    commands = listed(cli, store, "--context", "post", "--kind", "command")

    assert [(row["kind"], row["target"], row["name"], row["state"]) for row in rows] == [
        ("emit", "archive", "filed", "due"),
        ("command", "post", "box.post", "due"),
        ("command", "post", "box.post", "waiting"),
        ("effect", "write", "write", "due"),
    ]
    assert [row["ordering"] for row in rows] == [str(e) for e in (ENTITY, OTHER, ENTITY, ENTITY)]
    assert [row["due"] is None for row in rows] == [True, True, False, True]
    assert commands == rows[1:3]


def test_for_people_it_is_a_line_an_intent(cli: Cli, store: str) -> None:
    give_out(store, Remind("later"), Post("w", "/nowhere/written"))

    ended = cli("intents", "list", "--store", store)
    header, timer, effect = ended.out.splitlines()

    assert (ended.code, ended.err) == (0, "")
    assert header.split("  ")[0] == "id"
    assert timer.split()[1:3] == ["command", "waiting"]
    assert timer.split()[3].endswith("Z")
    assert effect.split()[1:] == ["effect", "due", "at", "once", "write", str(ENTITY)]


def test_when_there_is_nothing_that_is_said(cli: Cli, store: str) -> None:
    give_out(store, Post("w"))

    assert cli("intents", "list", "--store", store) == (0, "nothing is left to be delivered\n", "")
    assert cli("intents", "list", "--parked", "--store", store) == (0, "nothing is parked\n", "")
    assert cli("intents", "retry", "--all", "--store", store) == (0, "nothing is parked\n", "")
    assert cli("intents", "list", "--store", store, "--json") == (0, "", "")


def test_parked_ones_say_how_often_and_of_what_they_failed(cli: Cli, store: str) -> None:
    park(store, Post("w", "/nowhere/written"))
    give_out(store, Post("behind", "/nowhere/written"), Remind("later"))
    park(store, Wait(), count=1)

    rows = listed(cli, store)
    still = listed(cli, store, "--parked")
    shown = cli("intents", "list", "--parked", "--store", store).out.splitlines()

    assert [row["state"] for row in rows] == ["waiting", "parked", "due", "due"]
    assert still == [rows[1]]
    assert (still[0]["attempts"], still[0]["outcome"]) == (1, "failed")
    assert "No such file or directory: '/nowhere/written'" in str(still[0]["cause"])
    assert still[0]["since"]
    assert shown[1].startswith(str(still[0]["id"]))
    assert "failed after 1 attempt: FileNotFoundError" in shown[1]


def test_one_that_may_have_happened_is_unknown(cli: Cli, store: str) -> None:
    park(store, Wait())

    (row,) = listed(cli, store, "--parked", "--kind", "effect")

    assert (row["name"], row["outcome"]) == ("stall", "unknown")
    assert listed(cli, store, "--parked", "--kind", "command") == []


def test_a_parked_effect_is_shown_whole(cli: Cli, store: str) -> None:
    park(store, Post("w", "/nowhere/written"))
    (row,) = listed(cli, store)

    (told,) = cli("intents", "show", row["id"], "--store", store, "--json").rows
    shown = cli("intents", "show", POST, row["id"], "--store", store)

    assert told["content"] == {"name": "write", "data": {"file": "/nowhere/written", "text": "w"}}
    assert told["metadata"]["command_id"]
    assert "FileNotFoundError" in told["traceback"]
    assert row.items() <= told.items()
    assert shown.code == 0
    assert shown.out.startswith(f"{row['id']}  effect write  parked\n")
    assert "Traceback (most recent call last)" in shown.out
    assert '"file": "/nowhere/written"' in shown.out


def test_events_and_commands_are_shown_as_what_they_are(cli: Cli, store: str) -> None:
    give_out(store, Remind("later"), File("kept"))
    event, timer = listed(cli, store, BOTH)

    ended = cli("intents", "show", event["id"], timer["id"], "--store", store, "--json")
    held = [row["content"] for row in ended.rows]

    assert held[0].pop("event_id") == event["id"]
    assert held == [
        {
            "type": "filed",
            "domain": None,
            "entity_id": str(ENTITY),
            "data": {"text": "kept"},
            "tags": ["kept"],
        },
        {
            "name": "post",
            "data": {"text": "later", "file": "", "momentary": False},
            "domain": "box",
            "entity_id": str(ENTITY),
            "timer": f"box/{ENTITY}/reminder",
        },
    ]


def test_however_many_there_are_each_is_listed_once(cli: Cli, store: str) -> None:
    give_out(store, Post("w"))
    ids = [decided_id("test", 140_000_000_000_000_000 + n, n) for n in range(350)]

    async def write() -> None:
        async with perdure.open(post, store=store, react=False) as app:
            payload = pack(Parcel(name="write", data=b"{}"))
            intents = tuple(
                Intent(id=id_, kind="effect", target="write", ordering=str(n), payload=payload)
                for n, id_ in enumerate(ids)
            )
            await app.context("post").log.commit([Commit(intents=intents)])

    asyncio.run(write())

    assert [parse_id(str(row["id"])) for row in listed(cli, store)] == ids
    (found,) = cli("status", "--context", "post", "--store", store, "--json").rows
    assert found["undelivered"]["effect"] == 350


def test_one_that_nobody_can_read_is_listed_all_the_same(cli: Cli, store: str) -> None:
    id_ = decided_id("test", 140_000_000_000_000_000, 0)

    async def write() -> None:
        async with perdure.open(post, store=store, react=False) as app:
            intent = Intent(id=id_, kind="effect", target="write", ordering="x", payload=b"\xc1")
            await app.context("post").log.commit([Commit(intents=(intent,))])

    asyncio.run(write())

    assert listed(cli, store)[0]["name"] == ""
    assert "(unreadable)" in cli("intents", "list", "--store", store).out


def test_a_tick_is_listed_with_its_schedule(cli: Cli, store: str) -> None:
    clock = Context("clock")
    clock.event(Passed)
    clock.tick("yearly", "0 0 1 1 *", lambda at: Passed(at.year))

    async def serve() -> None:
        async with perdure.open(clock, store=store) as app:
            while not await app.context("clock").log.intents("tick"):
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(serve(), 20))
    (row,) = listed(cli, store, "--kind", "tick")
    shown = cli("intents", "show", row["id"], "--store", store)

    assert (row["name"], row["state"]) == ("yearly 0 0 1 1 *", "waiting")
    assert shown.code == 0
    assert f"{row['id']}  tick yearly 0 0 1 1 *  waiting" in shown.out
    (found,) = cli("status", "--store", store, "--json").rows
    assert found["undelivered"]["tick"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["show", ABSENT], 3, f"no intent is open under {ABSENT}"),
        (["retry", ABSENT], 3, f"no intent is open under {ABSENT}"),
        (["discard", ABSENT, "--yes"], 3, f"no intent is open under {ABSENT}"),
        (["show", "x"], 2, "'x' is not a UUID"),
        (["show"], 2, "Missing argument"),
        (["show", POST], 2, "name the intents by their ids"),
        (["retry"], 2, "or give --all"),
        (["retry", ABSENT, "--all"], 2, "or give --all"),
        (["retry", ABSENT, "--target", "write"], 2, "--target goes with --all"),
        (["list", "--kind", "letter"], 2, "'letter' is not one of"),
        (["list", "--context", "other"], 3, "there is no context 'other'"),
        (["lst"], 2, "did you mean 'list'?"),
    ],
)
def test_what_cannot_be_done_is_said(
    cli: Cli, store: str, arguments: Sequence[str], code: int, complaint: str
) -> None:
    give_out(store, Post("w", "/nowhere/written"))

    ended = cli("intents", *arguments, "--store", store)

    assert (ended.code, ended.out) == (code, "")
    assert complaint in ended.err
    assert len(listed(cli, store)) == 1


def test_what_was_done_is_told_by_its_id(cli: Cli, store: str, tmp_path: Path) -> None:
    file = tmp_path / "written"
    give_out(store, Post("w", str(file)))
    (row,) = listed(cli, store)

    async def deliver() -> None:
        async with perdure.open(post, store=store) as app:
            while await app.context("post").log.intent(parse_id(str(row["id"]))):
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(deliver(), 20))
    ended = cli("intents", "show", row["id"], "--store", store)

    assert ended.code == 3
    assert "The effect write under this id is done with: succeeded" in ended.err
