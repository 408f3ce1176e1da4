import asyncio
from typing import Any

import perdure
from perdure.vocabulary.commits import Commit, Put
from tests.cli.applications import notes
from tests.cli.support import ENTITY, NOTES, Cli, line, note, record


def test_status_shows_what_is_held_and_how_far_reactors_are(cli: Cli, store: str) -> None:
    record(store, [note(1), note(2)])
    more = line(3) + line(4)
    cli("events", "import", "-", "--app", NOTES, "--store", store, stdin=more)

    (found,) = cli("status", NOTES, "--store", store, "--json").rows
    shown = cli("status", NOTES, "--store", store)

    reactors = {reactor["name"]: reactor for reactor in found.pop("reactors")}
    assert tuple(found[n] for n in ("context", "events", "entities", "head")) == ("notes", 4, 1, 4)
    assert {"journal", "totals"} == set(reactors)
    assert [reactor["lag"] for reactor in reactors.values()] == [2, 2]
    assert [reactor["holder"] for reactor in reactors.values()] == ["", ""]
    assert (shown.code, shown.err) == (0, "")
    assert "notes  events 4  entities 1  " in shown.out
    assert "nobody" in shown.out


def test_status_knows_less_without_the_declarations(cli: Cli, store: str) -> None:
    record(store, [note(1)])

    (found,) = cli("status", "--context", "notes", "--store", store, "--json").rows

    assert [reactor["lag"] for reactor in found["reactors"]] == [None, None]


def test_status_names_who_works_a_reactor(cli: Cli, store: str) -> None:
    async def look_meanwhile() -> list[dict[str, object]]:
        async with perdure.open(notes, store=store) as app:
            await app.append(note(1))
            return (await asyncio.to_thread(cli, "status", NOTES, "--store", store, "--json")).rows

    (found,) = asyncio.run(look_meanwhile())

    assert all(reactor["holder"] for reactor in found["reactors"])  # type: ignore[attr-defined]


def test_status_shows_how_far_subscriptions_are(cli: Cli, store: str) -> None:
    record(store, [note(1), note(2), note(3)])

    async def read_one() -> list[dict[str, Any]]:
        async with perdure.open(notes, store=store, react=False) as app:
            async with app.subscribe("index", slots=4) as events:
                await anext(events)
            async with app.subscribe("mailer") as events:
                await anext(events)
                args = ("status", NOTES, "--store", store, "--json")
                return (await asyncio.to_thread(cli, *args)).rows

    (found,) = asyncio.run(read_one())
    shown = cli("status", NOTES, "--store", store)

    index, mailer = found["subscriptions"]
    assert (index["name"], index["slots"], index["lag"], index["holders"]) == ("index", 4, 2, [])
    assert (mailer["name"], mailer["position"], mailer["lag"]) == ("mailer", 0, 3)
    assert len(mailer["holders"]) == 1
    assert "subscription" in shown.out
    assert "nobody" in shown.out


def test_a_parked_key_is_counted_and_found_by_the_doctor(cli: Cli, store: str) -> None:
    record(store, [note(1, "poison")])

    (found,) = cli("status", NOTES, "--store", store, "--json").rows
    examined = cli("doctor", NOTES, "--store", store)

    assert {r["name"]: r["parked"] for r in found["reactors"]}["journal"] == 1
    assert examined.code == 1
    assert f"✗ notes       journal {ENTITY} is parked at position 1" in examined.out


def test_a_sound_store_is_a_clean_bill(cli: Cli, store: str) -> None:
    record(store, [note(1), note(2)])

    examined = cli("doctor", NOTES, "--store", store)
    rows = cli("doctor", NOTES, "--store", store, "--json").rows

    assert (examined.code, examined.err) == (0, "")
    assert examined.out.endswith("0 errors, 0 warnings\n")
    assert {"ok"} == {row["level"] for row in rows}
    assert [row["check"] for row in rows] == [
        "machine",
        "sqlite",
        "contexts",
        "store",
        "notes",
        "notes",
    ]


def test_a_checkpoint_beyond_the_log_is_an_error(cli: Cli, store: str) -> None:
    record(store, [note(1)])

    async def spoil() -> None:
        async with perdure.open(notes, store=store, react=False) as app:
            put = Put("checkpoint", "lost/0", b'{"position":99}')
            await app.context("notes").log.commit([Commit(records=(put,))])

    asyncio.run(spoil())
    examined = cli("doctor", NOTES, "--store", store)

    assert examined.code == 1
    assert "lost/0 stands at 99, beyond the head" in examined.out


def test_a_store_that_is_not_there_and_broken_code_are_found(cli: Cli, store: str) -> None:
    absent = cli("doctor", "--store", store, "--json")
    broken = cli("doctor", "tests.cli.broken:app", "--store", store, "--json")

    assert (absent.code, broken.code) == (1, 1)
    assert "there is no store" in absent.rows[-1]["message"]
    assert "does not want to" in broken.rows[-1]["message"]


def test_without_an_application_all_that_is_in_the_store_is_looked_at(cli: Cli, store: str) -> None:
    record(store, [note(1)])
    cli("events", "append", "noted", ENTITY, "{}", "--context", "more", "--store", store)

    statuses = cli("status", "--store", store, "--json").rows
    examined = cli("doctor", "--store", store)

    assert [found["context"] for found in statuses] == ["more", "notes"]
    assert examined.code == 0
    assert "more, notes: every declaration can work" in examined.out
