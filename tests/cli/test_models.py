import json
from uuid import UUID

import pytest

from tests.cli.support import ENTITY, NOTES, Cli, id_at, line, note, record


@pytest.fixture
def recorded(store: str) -> str:
    """A store with three notes of one entity: positions 1, 2 and 3."""
    for number in (1, 2, 3):
        record(store, [note(number)])
    return store


def show(cli: Cli, store: str, *arguments: object) -> object:
    ended = cli("model", "show", NOTES, *arguments, "--store", store, "--json")
    assert (ended.code, ended.err) == (0, "")
    return [row["model"] for row in ended.rows]


def test_a_model_is_shown_as_it_stands(cli: Cli, recorded: str) -> None:
    assert show(cli, recorded, "journal", ENTITY) == [
        {"texts": ["note 1", "note 2", "note 3"], "stars": 6}
    ]
    assert show(cli, recorded, "totals") == [{"notes": 3}]


def test_a_model_is_shown_as_of_a_position_or_a_time(cli: Cli, recorded: str) -> None:
    happened = [row["happened_at"] for row in events(cli, recorded) if row["type"] == "noted"]

    assert show(cli, recorded, "totals", "--as-of", 1) == [{"notes": 1}]
    assert show(cli, recorded, "totals", "--at", happened[1]) == [{"notes": 2}]
    assert show(cli, recorded, "totals", "--at", "2001-01-01T00:00Z") == [{"notes": 0}]


def test_a_model_for_people_is_indented_below_its_name(cli: Cli, recorded: str) -> None:
    ended = cli("model", "show", NOTES, "totals", "--store", recorded)
    name, _, text = ended.out.partition("\n")

    assert name.startswith("totals  position ")
    assert json.loads(text) == {"notes": 3}


def test_without_a_key_the_models_of_a_domain_are_listed(cli: Cli, recorded: str) -> None:
    other = UUID("9b2d7a54-1c7e-4f3a-8e21-6c4f5d0a9b02")
    record(recorded, [note(9, entity=other)])

    listed = cli("model", "show", NOTES, "journal", "--store", recorded, "--json")
    table = cli("model", "show", NOTES, "journal", "--store", recorded, "--limit", 1).out

    assert [str(ENTITY), str(other)] == [row["key"] for row in listed.rows]
    header, row = table.splitlines()
    assert header.split() == ["key", "position", "model"]
    assert row.startswith(str(ENTITY))


def test_a_model_that_no_server_has_brought_up_to_date_says_so(cli: Cli, recorded: str) -> None:
    more = line(4, data={"text": "more"})
    cli("events", "import", "-", "--app", NOTES, "--store", recorded, stdin=more)

    ended = cli("model", "show", NOTES, "totals", "--store", recorded, "--json")

    assert [row["model"] for row in ended.rows] == [{"notes": 3}]
    assert "--as-of 4 folds the rest here" in ended.err
    assert show(cli, recorded, "totals", "--as-of", 4) == [{"notes": 4}]


def test_the_history_of_a_model_says_what_each_event_changed(cli: Cli, recorded: str) -> None:
    rows = cli("model", "history", NOTES, "journal", ENTITY, "--store", recorded, "--json").rows
    shown = cli("model", "history", NOTES, "totals", "--store", recorded).out.splitlines()

    assert [str(id_at(number)) for number in (1, 2, 3)] == [row["event_id"] for row in rows]
    assert rows[1]["changes"] == [
        {"path": "/texts/1", "after": "note 2"},
        {"path": "/stars", "before": 1, "after": 3},
    ]
    assert [row.split("noted")[1].strip() for row in shown] == [
        "~/notes 0 → 1",
        "~/notes 1 → 2",
        "~/notes 2 → 3",
    ]


def test_a_difference_is_exit_code_1_and_none_is_0(cli: Cli, recorded: str) -> None:
    differing = ["model", "diff", NOTES, "journal", ENTITY]

    changed = cli(*differing, 1, 2, "--store", recorded)
    same = cli(*differing, 3, 3, "--store", recorded)
    single = cli("model", "diff", NOTES, "totals", 0, 3, "--store", recorded, "--json")

    assert changed == (1, '+/texts/1 "note 2"\n~/stars 1 → 3\n', "")
    assert same == (0, "", "")
    assert single.rows[0]["changes"] == [{"path": "/notes", "before": 0, "after": 3}]


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["show", NOTES, "nowhere"], 3, "no service keeps a model under 'nowhere'"),
        (["show", NOTES, "totals", "key"], 2, "has a single model: ask without a key"),
        (["show", NOTES, "journal", "key"], 2, "is not a UUID"),
        (["show", NOTES, "totals", "--as-of", "99"], 2, "position 99 is not recorded yet"),
        (["show", NOTES, "totals", "--at", "noon"], 2, "neither a position nor a time"),
        (["show", NOTES, "totals", "--at", "2026-11-20"], 2, "does not say its time zone"),
        (["diff", NOTES, "totals", "1"], 2, "then FROM and TO"),
        (["history", NOTES, "journal"], 2, "name one"),
    ],
)
def test_what_cannot_be_shown_is_said(
    cli: Cli, recorded: str, arguments: list[str], code: int, complaint: str
) -> None:
    ended = cli("model", *arguments, "--store", recorded)

    assert (code, "") == (ended.code, ended.out)
    assert complaint in ended.err


def test_a_parked_model_is_not_shown_as_if_it_were_fresh(cli: Cli, store: str) -> None:
    record(store, [note(1), note(2, "poison")])

    shown = cli("model", "show", NOTES, "journal", ENTITY, "--store", store)
    told = cli("model", "history", NOTES, "journal", ENTITY, "--store", store, "--json")

    assert (shown.code, shown.out) == (4, "")
    assert "cannot take poison" in shown.err
    assert (told.code, len(told.rows)) == (4, 1)


def events(cli: Cli, store: str) -> list[dict[str, str]]:
    return cli("events", "export", "--context", "notes", "--store", store).rows
