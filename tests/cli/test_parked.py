"""``perdure parked``: what stands still is listed, shown, tried, released and discarded, beside a server."""

import asyncio
import os
import pty
import subprocess
from typing import Any
from uuid import UUID, uuid4

import pytest

import perdure
from perdure.runtime.hanging import code_of
from perdure.runtime.watchdog import Hung, mark
from perdure.vocabulary.commits import Commit
from tests.cli.applications import notes
from tests.cli.giving import directory_of
from tests.cli.support import (
    ENTITY,
    NOTES,
    ROOT,
    Cli,
    command,
    execute,
    id_at,
    note,
    record,
    wait_until,
)
from tests.system.serving import Served

OTHER = UUID("5a1e4c9e-3d8b-4b57-9a58-0b8d3a7c6f02")


def poison(store: str, *entities: UUID) -> list[dict[str, Any]]:
    """Park the journal of each entity at its second event of three."""
    events = []
    for place, entity in enumerate(entities or (ENTITY,)):
        texts = ("before", "poison", "after")
        events += [note(10 * place + n, text, entity) for n, text in enumerate(texts)]
    record(store, events)

    async def parked() -> list[dict[str, Any]]:
        async with perdure.open(notes, store=store, react=False) as app:
            return [{"id": str(one.id), "key": one.key} async for one in app.parked()]

    return asyncio.run(parked())


def listed(cli: Cli, store: str, *options: object) -> list[dict[str, Any]]:
    ended = cli("parked", "list", *options, "--store", store, "--json")
    assert (ended.code, ended.err) == (0, "")
    return ended.rows


def journal(cli: Cli, store: str) -> dict[str, Any]:
    ended = cli("model", "show", NOTES, "journal", ENTITY, "--store", store, "--json")
    found: dict[str, Any] = ended.rows[0]["model"]
    return found


def test_a_running_server_goes_on_without_a_discarded_event(cli: Cli, store: str) -> None:
    ((row),) = poison(store)
    with Served(directory_of(store), app=NOTES):
        told = execute(
            "parked", "discard", row["id"], "--yes", "--by", "ann", "--why", "a test", "--store", store
        )  # fmt: skip
        wait_until(lambda: not listed(cli, store))

        assert journal(cli, store)["texts"] == ["before", "after"]
    assert told.code == 0
    assert told.out == (
        f"{row['id']}  notes.journal {ENTITY}  goes on without the event at position 2\n"
    )
    (gone,) = listed(cli, store, "--discarded")
    assert (gone["by"], gone["why"], gone["position"]) == ("ann", "a test", 2)
    shown = cli("parked", "list", "--discarded", "--store", store).out
    assert f"notes.journal {ENTITY}  position 2  ValueError: cannot take poison" in shown
    assert "by ann: a test" in shown
    history = cli("model", "history", NOTES, "journal", ENTITY, "--store", store)
    assert "(discarded by ann)" in history.out
    as_json = cli("model", "history", NOTES, "journal", ENTITY, "--store", store, "--json")
    assert [row.get("discarded", {}).get("why") for row in as_json.rows] == [None, "a test", None]


def test_a_running_server_tries_a_released_key_again(cli: Cli, store: str) -> None:
    (row,) = poison(store)
    with Served(directory_of(store), app=NOTES):
        released = execute("parked", "release", row["id"], "--store", store, "--json")
        wait_until(lambda: listed(cli, store)[0]["asked"] == "")

        (again,) = listed(cli, store)
    assert (released.code, released.rows[0]["released"]) == (0, True)
    assert (again["id"], again["cause"]) == (row["id"], "ValueError: cannot take poison")


def test_what_stands_still_is_listed_and_shown_whole(cli: Cli, store: str) -> None:
    (row,) = poison(store)

    (known,) = listed(cli, store, NOTES)
    (unknown,) = listed(cli, store)
    shown = cli("parked", "list", NOTES, "--store", store).out
    whole = cli("parked", "show", row["id"], "--store", store)
    as_json = cli("parked", "show", NOTES, row["id"], "--store", store, "--json").rows

    assert (known["waiting"], unknown["waiting"]) == (1, None)
    assert known | {"waiting": None} == unknown
    assert (known["reactor"], known["key"], known["position"]) == ("journal", str(ENTITY), 2)
    assert known["event_id"] == str(id_at(1))
    assert known["traceback"] == ""
    assert shown == (
        f"{row['id']}  notes.journal {ENTITY}  position 2: ValueError: cannot take poison  "
        "1 event waiting\n"
    )
    assert "in noted" in whole.out
    assert "in noted" in as_json[0]["traceback"]


def test_nothing_that_stands_still_is_said_so(cli: Cli, store: str) -> None:
    record(store, [note(1)])

    assert cli("parked", "list", "--store", store) == (0, "nothing is parked\n", "")
    assert listed(cli, store) == []
    none = cli("parked", "list", "--discarded", "--store", store)
    assert none == (0, "nothing was discarded\n", "")
    all_ = cli("parked", "release", "--all", "--store", store)
    assert all_ == (0, "nothing of that kind is parked\n", "")


def test_a_trial_says_whether_it_would_go_on(cli: Cli, store: str) -> None:
    (row,) = poison(store)

    fails = cli("parked", "try", NOTES, row["id"], "--store", store)
    as_json = cli("parked", "try", NOTES, row["id"], "--store", store, "--json")
    goes = cli("parked", "try", "tests.cli.mended:notes", row["id"], "--store", store)
    nobody = cli("parked", "try", row["id"], "--store", store)

    assert fails.code == as_json.code == 1
    assert "would fail at position 2: ValueError: cannot take poison" in fails.out
    assert as_json.rows[0]["succeeds"] is False
    assert "in noted" in as_json.rows[0]["traceback"]
    assert (goes.code, "would go on: " in goes.out) == (0, True)
    assert (nobody.code, nobody.out) == (2, "")
    assert [one["id"] for one in listed(cli, store)] == [row["id"]]


def test_all_of_a_cause_or_a_reactor_are_released_and_no_others(cli: Cli, store: str) -> None:
    rows = poison(store, ENTITY, OTHER)
    releasing = ["parked", "release", "--all", "--store", store, "--json"]

    assert cli(*releasing, "--cause", "another").rows == []
    assert cli(*releasing, "--reactor", "totals").rows == []
    done = cli(*releasing, "--reactor", "journal", "--cause", "cannot take")

    assert sorted(one["id"] for one in done.rows) == sorted(one["id"] for one in rows)
    assert {one["asked"] for one in listed(cli, store)} == {"release"}
    assert cli("parked", "list", "--store", store).out.count("release is asked for") == 2


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["release"], 2),
        (["release", "ID", "--all"], 2),
        (["release", "ID", "--cause", "x"], 2),
        (["release", "nonsense"], 2),
        (["release", str(uuid4())], 3),
        (["discard", str(uuid4()), "--yes"], 3),
        (["discard", "ID"], 2),
        (["show", str(uuid4())], 3),
        (["list", "--context", "elsewhere"], 3),
    ],
)
def test_what_cannot_be_done_is_refused_and_nothing_is_asked(
    cli: Cli, store: str, words: list[str], code: int
) -> None:
    (row,) = poison(store)
    given = [row["id"] if word == "ID" else word for word in words]

    ended = cli("parked", *given, "--store", store)

    assert (ended.code, ended.out) == (code, "")
    assert ended.err
    assert listed(cli, store)[0]["asked"] == ""


def test_several_are_found_before_one_is_discarded(cli: Cli, store: str) -> None:
    first, second = poison(store, ENTITY, OTHER)
    discarding = ["parked", "discard", "--yes", "--store", store]

    refused = cli(*discarding, first["id"], uuid4())
    left = {one["asked"] for one in listed(cli, store)}
    done = cli(*discarding, first["id"], second["id"], first["id"], "--json")

    assert (refused.code, left) == (3, {""})
    assert [row["id"] for row in done.rows] == [first["id"], second["id"]]
    assert {one["asked"] for one in listed(cli, store)} == {"discard"}


@pytest.mark.parametrize(("answer", "code", "asked"), [("y", 0, "discard"), ("n", 130, "")])
def test_on_a_terminal_a_person_is_asked(
    cli: Cli, store: str, answer: str, code: int, asked: str
) -> None:
    (row,) = poison(store)
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())

    done = subprocess.run(
        command("parked", "discard", row["id"], "--store", store),
        cwd=ROOT, stdin=theirs, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip

    os.close(ours)
    os.close(theirs)
    assert (done.returncode, listed(cli, store)[0]["asked"]) == (code, asked)
    assert "position 2: ValueError: cannot take poison" in done.stderr
    assert "Leave out for ever?" in done.stderr


def test_what_did_not_return_is_released_only_when_that_is_said(cli: Cli, store: str) -> None:
    async def hang() -> None:
        async with perdure.open(notes, store=store, react=False) as app:
            live = app.context("notes")
            token = (await app.append(note(1))).position
            hung = Hung(
                context="notes",
                loop="react/journal",
                key=str(ENTITY),
                label="notes.journal: noted",
                type="noted",
                position=1,
                since=1,
                event_id=str(id_at(1)),
                code=code_of(live.definition.reactors["journal"], "noted"),
                seconds=3600,
            )
            await live.log.commit([Commit(records=(mark(hung),))])
        async with perdure.open(notes, store=store) as app:
            live = app.context("notes")
            await live.models.wait(live.definition.reactors["journal"], token, 10)

    asyncio.run(hang())
    (row,) = listed(cli, store)

    refused = cli("parked", "release", row["id"], "--store", store)
    spared = cli("parked", "release", "--all", "--store", store)
    done = cli("parked", "release", "--all", "--hung", "--store", store)

    assert row["hung"] is True
    assert (refused.code, "did not return" in refused.err) == (2, True)
    assert spared.out == "nothing of that kind is parked\n"
    assert (done.code, listed(cli, store)[0]["asked"]) == (0, "release")


def test_the_doctor_says_where_to_look(cli: Cli, store: str) -> None:
    poison(store)

    examined = cli("doctor", NOTES, "--store", store)

    assert examined.code == 1
    assert "is parked at position 2: ValueError: cannot take poison. See `perdure parked list`" in (
        examined.out
    )
