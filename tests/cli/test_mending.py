"""``perdure intents retry`` and ``discard``, and who tells of it: ``status``, ``doctor``."""

import asyncio
import json
import os
import pty
import subprocess
from pathlib import Path

import pytest

import perdure
from perdure.runtime import undelivered
from perdure.vocabulary.commits import Commit, Settle
from perdure.vocabulary.ids import parse_id
from tests.cli.giving import ABSENT, OTHER, POST, directory_of, give_out, listed, park
from tests.cli.postbox import PassOn, Post, Remind, Wait, box, post
from tests.cli.support import ENTITY, ROOT, Cli, command, execute, wait_until
from tests.system.serving import Served


def test_what_is_mended_is_delivered_by_the_running_server_and_what_waits_behind_it(
    cli: Cli, store: str, tmp_path: Path
) -> None:
    file = tmp_path / "missing" / "written"
    with Served(directory_of(store), app=POST):
        for text in ("first", "second"):
            data = json.dumps({"text": text, "file": str(file)})
            assert execute("send", POST, f"box/{ENTITY}", "post", data, "--store", store).code == 0
        wait_until(lambda: listed(cli, store, "--parked"))
        (row,) = listed(cli, store, "--parked")
        assert "  delivered by process " in cli("status", POST, "--store", store).out
        file.parent.mkdir()
        retried = execute("intents", "retry", str(row["id"]), "--store", store)
        wait_until(lambda: not listed(cli, store))

    assert retried == (0, f"{row['id']}  effect write  is tried again\n", "")
    assert file.read_text() == "first\nsecond\n"


def test_what_is_given_up_no_longer_stands_in_the_way(cli: Cli, store: str, tmp_path: Path) -> None:
    missing, present = tmp_path / "missing" / "written", tmp_path / "written"
    with Served(directory_of(store), app=POST):
        for text, file in (("first", missing), ("second", present)):
            data = json.dumps({"text": text, "file": str(file)})
            assert execute("send", POST, f"box/{ENTITY}", "post", data, "--store", store).code == 0
        wait_until(lambda: listed(cli, store, "--parked"))
        (row,) = listed(cli, store, "--parked")
        assert not present.exists()
        discarded = execute("intents", "discard", str(row["id"]), "--yes", "--store", store)
        wait_until(present.exists)

    assert discarded == (0, f"{row['id']}  effect write  is given up\n", "")
    assert not missing.exists()
    again = cli("intents", "show", row["id"], "--store", store)
    assert again.code == 3
    assert "The effect write under this id is done with: discarded" in again.err


def test_all_of_a_target_are_tried_again_and_no_others(cli: Cli, store: str) -> None:
    park(store, Post("w", "/nowhere/written"))

    async def elsewhere() -> None:
        async with perdure.open(post, store=store) as app:
            await app.send(box[OTHER], Wait())
            while len(await undelivered.load(app.context("post").log)) < 2:
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(elsewhere(), 20))
    retrying = ["intents", "retry", "--all", "--store", store, "--json"]

    none = cli(*retrying, "--target", "nothing")
    some = cli(*retrying, "--target", "stall")
    rest = cli(*retrying, "--context", "post")

    assert (none.code, none.rows) == (0, [])
    assert [(row["target"], row["retried"]) for row in some.rows] == [("stall", True)]
    assert [(row["target"], row["retried"]) for row in rest.rows] == [("write", True)]
    assert listed(cli, store, "--parked") == []
    assert len(listed(cli, store)) == 2


def test_what_is_not_parked_need_not_be_tried_again(cli: Cli, store: str) -> None:
    give_out(store, Post("w", "/nowhere/written"))
    (row,) = listed(cli, store)

    shown = cli("intents", "retry", row["id"], "--store", store)
    told = cli("intents", "retry", row["id"], "--store", store, "--json")

    assert (shown.code, shown.err) == (0, "")
    assert "is not parked" in shown.out
    assert told.rows[0]["retried"] is False
    assert listed(cli, store) == [row]


def test_several_are_found_before_one_is_given_up(cli: Cli, store: str) -> None:
    give_out(store, Post("w", "/nowhere/written"), Remind("later"))
    timer, effect = (str(row["id"]) for row in listed(cli, store))
    discarding = ["intents", "discard", "--yes", "--store", store]

    refused = cli(*discarding, timer, ABSENT)
    left = listed(cli, store)
    done = cli(*discarding, timer, effect, timer, "--json")

    assert (refused.code, refused.out, len(left)) == (3, "", 2)
    assert [(row["id"], row["discarded"]) for row in done.rows] == [(timer, True), (effect, True)]
    assert listed(cli, store) == []


def test_where_nobody_can_be_asked_nothing_is_given_up(cli: Cli, store: str) -> None:
    give_out(store, Post("w", "/nowhere/written"))
    (row,) = listed(cli, store)

    ended = cli("intents", "discard", row["id"], "--store", store)

    assert (ended.code, ended.out) == (2, "")
    assert "add --yes" in ended.err
    assert listed(cli, store) == [row]


@pytest.mark.parametrize(("answer", "code", "left"), [("y", 0, 0), ("n", 130, 1)])
def test_on_a_terminal_a_person_is_asked(
    cli: Cli, store: str, answer: str, code: int, left: int
) -> None:
    give_out(store, Post("w", "/nowhere/written"))
    id_ = str(listed(cli, store)[0]["id"])
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())

    done = subprocess.run(
        command("intents", "discard", id_, "--store", store),
        cwd=ROOT, stdin=theirs, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip

    os.close(ours)
    os.close(theirs)
    assert (done.returncode, len(listed(cli, store))) == (code, left)
    assert f"{id_}  effect write" in done.stderr
    assert "Give up for good?" in done.stderr
    assert done.stdout == (f"{id_}  effect write  is given up\n" if code == 0 else "")


# -- status and doctor ---------------------------------------------------------------------------


def test_status_counts_what_is_to_be_delivered_and_says_why_it_is_not(cli: Cli, store: str) -> None:
    park(store, Post("w", "/nowhere/written"))
    give_out(store, Remind("later"), PassOn("now", OTHER))

    (found,) = cli("status", POST, "--store", store, "--json").rows
    shown = cli("status", POST, "--store", store).out

    assert found["undelivered"] == {"emit": 0, "command": 2, "effect": 1, "tick": 0}
    assert found["due"] == {"emit": 0, "command": 1, "effect": 1, "tick": 0}
    assert found["parked"]["count"] == 1
    assert found["parked"]["since"]
    assert found["parked"]["cause"].startswith("effect write failed: FileNotFoundError")
    assert "  undelivered commands 2, due 1\n  undelivered effects 1, due 1\n" in shown
    assert (found["deliverer"], "  delivered by nobody\n" in shown) == ("", True)
    assert "emits" not in shown
    assert "  parked deliveries 1, the oldest since 20" in shown


def test_the_doctor_finds_parked_deliveries(cli: Cli, store: str) -> None:
    park(store, Post("w", "/nowhere/written"))

    examined = cli("doctor", POST, "--store", store)

    assert examined.code == 1
    assert "✗ post        1 parked delivery of effect write, the oldest since 20" in examined.out
    assert "See `perdure intents list --parked`" in examined.out


def test_a_record_that_outlived_its_intent_is_no_parked_delivery(cli: Cli, store: str) -> None:
    park(store, Post("w", "/nowhere/written"))
    (row,) = listed(cli, store)

    async def settle() -> None:
        async with perdure.open(post, store=store, react=False) as app:
            settling = Settle(parse_id(str(row["id"])))
            await app.context("post").log.commit([Commit(intents=(settling,))])

    asyncio.run(settle())

    assert listed(cli, store, "--parked") == []
    assert cli("status", "--store", store, "--json").rows[0]["parked"]["count"] == 0
    assert cli("doctor", "--store", store).code == 0
