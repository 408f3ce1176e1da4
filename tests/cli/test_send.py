"""``perdure send``: what is printed, how it ends, and what it leaves to the server."""

import json
from pathlib import Path

import pytest

from tests.cli.support import ENTITY, Cli, execute, wait_until
from tests.system.serving import Served

POST = "tests.cli.postbox:post"
BOTH = "tests.cli.postbox:both"
BOX = f"box/{ENTITY}"


def as_json(text: str, **more: object) -> str:
    return json.dumps({"text": text, **more})


def test_an_accepted_command_is_told_with_the_state_it_made(cli: Cli, store: str) -> None:
    shown = cli("send", POST, BOX, "post", as_json("one"), "--id", "a", "--store", store)
    told = cli("send", POST, BOX, "post", as_json("two"), "--id", "b", "--store", store, "--json")

    first, _, state = shown.out.partition("\n")
    assert (shown.code, shown.err) == (0, "")
    assert first == "accepted  version 1  position 1  command a"
    assert json.loads(state.removeprefix("state ")) == {"texts": ["one"]}
    (row,) = told.rows
    assert len(row.pop("events")) == 1
    assert (told.code, row) == (
        0,
        {
            "outcome": "accepted",
            "command_id": "b",
            "version": 2,
            "position": 2,
            "reply": None,
            "repeated": False,
            "state": {"texts": ["one", "two"]},
        },
    )


def test_a_rejected_command_is_an_answer_with_exit_code_4(cli: Cli, store: str) -> None:
    shown = cli("send", POST, BOX, "post", as_json(""), "--store", store)
    told = cli("send", POST, BOX, "post", as_json(""), "--id", "a", "--store", store, "--json")

    assert shown == (4, "rejected: there is nothing in it\n", "")
    assert told.code == 4
    assert told.rows == [
        {"outcome": "rejected", "command_id": "a", "reason": "there is nothing in it"}
    ]


def test_the_same_command_id_gives_the_first_outcome(cli: Cli, store: str) -> None:
    sending = ["send", POST, BOX, "post", as_json("one"), "--id", "a", "--store", store]
    first = cli(*sending, "--json").rows[0]
    cli("send", POST, BOX, "post", as_json("between"), "--store", store)

    again = cli(*sending, "--json")
    shown = cli(*sending)
    other = cli("send", POST, BOX, "post", as_json("two"), "--id", "a", "--store", store)

    assert again.rows == [first | {"repeated": True}]
    assert "command a  (handled before)" in shown.out
    assert (other.code, other.out) == (4, "")
    assert "was used for another command" in other.err


def test_a_command_is_handled_only_at_the_version_that_is_asked_for(cli: Cli, store: str) -> None:
    sending = ["send", POST, BOX, "post", as_json("one"), "--if-version", 0, "--store", store]

    fits, late = cli(*sending), cli(*sending)

    assert (fits.code, late.code, late.out) == (0, 4, "")
    assert f"{ENTITY} is at version 1, not 0" in late.err


def test_the_json_may_come_from_standard_input_or_a_file(
    cli: Cli, store: str, tmp_path: Path
) -> None:
    file = tmp_path / "command.json"
    file.write_text(as_json("from a file"))
    sending = ["send", POST, BOX, "post"]
    cli(*sending, "-", "--store", store, stdin=as_json("piped").encode())
    cli(*sending, "--data", "-", "--store", store, stdin=as_json("piped too").encode())

    told = cli(*sending, "--data", file, "--store", store, "--json")
    absent = cli(*sending, "--data", tmp_path / "nowhere", "--store", store)

    assert told.rows[0]["state"] == {"texts": ["piped", "piped too", "from a file"]}
    assert (absent.code, absent.out) == (3, "")
    assert "nowhere: No such file" in absent.err


def test_an_entity_may_be_named_by_its_natural_key(cli: Cli, store: str) -> None:
    sending = ["send", POST, "box/ann/1", "post", as_json("one"), "--store", store]

    first, second = cli(*sending, "--named", "--json"), cli(*sending, "--named", "--json")
    unnamed = cli(*sending)

    assert [ended.rows[0]["version"] for ended in (first, second)] == [1, 2]
    assert (unnamed.code, unnamed.out) == (2, "")
    assert "Add --named when it is a natural key" in unnamed.err


def test_a_query_is_told_in_place_of_the_state(cli: Cli, store: str) -> None:
    sending = ["send", POST, BOX, "post", as_json("one"), "--store", store]

    shown = cli(*sending, "--query", "count")
    told = cli(*sending, "--query", "count", "--json")

    assert shown.out.endswith("\nstate 1\n")
    assert told.rows[0]["state"] == 2


def test_a_query_that_fails_is_not_taken_for_a_command_that_does(cli: Cli, store: str) -> None:
    sending = ["send", POST, BOX, "post", as_json("one"), "--query", "newest", "--store", store]

    told = cli(*sending, "--id", "a", "--json")
    shown = cli(*sending, "--id", "a")

    assert (told.code, shown.code) == (1, 1)
    assert (told.rows[0]["outcome"], "state" in told.rows[0]) == ("accepted", False)
    assert shown.out == "accepted  version 1  position 1  command a  (handled before)\n"
    assert "accepted, but what was asked for of the state cannot be told: IndexError" in shown.err


def test_a_low_handler_is_sent_to_without_an_entity(cli: Cli, store: str) -> None:
    shown = cli("send", POST, "greet", '{"name": "Ann"}', "--store", store, "--id", "a")
    told = cli("send", POST, "greet", '{"name": "Ann"}', "--store", store, "--json")

    assert (shown.code, shown.err) == (0, "")
    assert shown.out.startswith("accepted  position 0  command a\nreply {")
    (row,) = told.rows
    assert (row["reply"], "state" in row, "version" in row) == (
        {"said": "hello Ann"},
        False,
        False,
    )


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["box/x", "post"], 2, "'x' is not a UUID"),
        ([BOX, "post", "{]"], 2, "not JSON: "),
        ([BOX, "post", "[1]"], 2, "the JSON must be an object"),
        ([BOX, "post"], 2, "missing required field `text`"),
        ([BOX, "post", "{}", "more"], 2, "COMMAND [JSON]"),
        ([BOX], 2, "COMMAND [JSON]"),
        ([BOX, "post", "{}", "--data", "-"], 2, "not both"),
        ([BOX, "post", '{"text": "x"}', "--id", "a b"], 2, "is not a command id"),
        (["greet", '{"name": "x"}', "--if-version", "1"], 2, "go with DOMAIN/ENTITY"),
        ([BOX, "psot"], 3, "does not handle 'psot'; there are post"),
        (["psot"], 3, "does not handle 'psot'; there are greet"),
        ([f"bix/{ENTITY}", "post"], 3, "no kind of entity is named 'bix'"),
        ([BOX, "post", '{"text": "x"}', "--query", "cuont"], 3, "there are: count"),
        ([BOX, "post", '{"text": "x"}', "--context", "other"], 3, "has no context 'other'"),
    ],
)
def test_what_cannot_be_sent_is_said_and_changes_nothing(
    cli: Cli, store: str, words: list[str], code: int, complaint: str
) -> None:
    cli("send", POST, BOX, "post", as_json("one"), "--store", store)

    ended = cli("send", POST, *words, "--store", store)

    assert (ended.code, ended.out) == (code, "")
    assert complaint in ended.err
    assert cli("status", POST, "--store", store, "--json").rows[0]["events"] == 1


def test_a_store_that_is_damaged_is_exit_code_5(cli: Cli, store: str) -> None:
    cli("send", POST, BOX, "post", as_json("to be damaged"), "--store", store)
    file = Path(store.removeprefix("sqlite:///")) / "post.db"
    file.write_bytes(file.read_bytes().replace(b"to be damaged", b"to be DAMAGED"))

    ended = cli("send", POST, BOX, "post", as_json("two"), "--store", store)

    assert (ended.code, ended.out) == (5, "")
    assert "Run `perdure doctor`" in ended.err


def test_of_several_contexts_one_is_named_and_the_others_may_be_given_to(
    cli: Cli, store: str
) -> None:
    sending = ["send", BOTH, BOX, "file", as_json("one"), "--store", store]

    vague, named = cli(*sending), cli(*sending, "--context", "post")
    (intent,) = cli("intents", "list", BOTH, "--store", store, "--json").rows

    assert (vague.code, named.code) == (2, 0)
    assert "Give --context, one of post, archive" in vague.err
    assert (intent["kind"], intent["target"], intent["name"]) == ("emit", "archive", "filed")


def test_what_is_carried_out_at_least_once_is_left_to_a_server(
    cli: Cli, store: str, tmp_path: Path
) -> None:
    file = tmp_path / "written"

    sent = execute("send", POST, BOX, "post", as_json("one", file=str(file)), "--store", store)
    (intent,) = cli("intents", "list", "--store", store, "--json").rows

    assert sent.code == 0
    assert (intent["kind"], intent["name"], intent["state"]) == ("effect", "write", "due")
    assert not file.exists()


def test_what_is_carried_out_at_most_once_has_happened_when_the_command_ends(
    cli: Cli, store: str, tmp_path: Path
) -> None:
    file = tmp_path / "written"
    data = as_json("one", file=str(file), momentary=True)

    sent = execute("send", POST, BOX, "post", data, "--id", "a", "--store", store)
    again = execute("send", POST, BOX, "post", data, "--id", "a", "--store", store)

    assert (sent.code, sent.err, again.code) == (0, "", 0)
    assert file.read_text() == "one\n"
    assert cli("intents", "list", "--store", store, "--json").rows == []


def test_a_command_beside_a_running_server_is_seen_and_carried_on_by_it(
    store: str, tmp_path: Path
) -> None:
    file = tmp_path / "written"
    with Served(Path(store.removeprefix("sqlite:///")), app=POST) as server:
        data = as_json("one", file=str(file))
        sent = execute("send", POST, BOX, "post", data, "--store", store, "--json")
        status, _, model = server.ask("GET", f"/post/{BOX}/model")
        wait_until(file.exists)

    assert (sent.code, status) == (0, 200)
    assert model["model"] == sent.rows[0]["state"] == {"texts": ["one"]}
