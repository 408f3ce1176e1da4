import json

import pytest

from perdure.cli.template import compile_template
from perdure.vocabulary.errors import InvalidInput
from tests.cli.support import ENTITY, NOTES, Cli, id_at, line

WRITTEN = json.dumps(
    {
        "event_id": str(id_at(1)),
        "type": "noted",
        "domain": None,
        "entity_id": str(ENTITY),
        "data": {"item": {"name": "tea", "prices": [9.50, 2]}, "open": True},
        "tags": ["a", "b"],
        "position": 7,
    }
).encode()


def test_an_appended_event_gets_its_place(cli: Cli, store: str) -> None:
    appending = ["events", "append", "noted", ENTITY, '{"text": "one"}', "--app", NOTES]

    first = cli(*appending, "--store", store, "--json")
    second = cli(*appending, "--store", store, "--id", id_at(1))

    assert (first.code, first.err) == (0, "")
    assert {name: value for name, value in first.rows[0].items() if name != "event_id"} == {
        "position": 1,
        "version": 1,
        "repeated": False,
    }
    assert (0, f"{id_at(1)}  position 2  version 2\n", "") == second


def test_the_same_event_again_is_told_its_first_place(cli: Cli, store: str) -> None:
    appending = ["events", "append", "noted", ENTITY, "--id", id_at(1), "--context", "notes"]
    cli(*appending, '{"a": 1}', "--store", store)

    same = cli(*appending, '{"a": 1.0}', "--store", store)
    other = cli(*appending, '{"a": 2}', "--store", store)

    assert (0, f"{id_at(1)}  position 1  version 1 (stored before)\n", "") == same
    assert (other.code, other.out) == (4, "")
    assert "an event never changes" in other.err


def test_the_data_may_come_from_standard_input(cli: Cli, store: str) -> None:
    appending = ["events", "append", "noted", ENTITY, "-", "--context", "notes", "--store", store]
    cli(*appending, "--domain", "diary", "--tag", "a", "--tag", "b", stdin=b'{"text": "piped"}')

    (row,) = cli("events", "tail", "--context", "notes", "--store", store, "--json").rows

    assert (row["data"], row["domain"], row["tags"]) == ({"text": "piped"}, "diary", ["a", "b"])


@pytest.mark.parametrize(
    ("type_", "entity", "data", "complaint"),
    [
        ("noted", ENTITY, '{"text": 7}', "Expected `str`, got `int` at /text"),
        ("noted", ENTITY, "{", "not JSON"),
        ("no name", ENTITY, "{}", "is not a event type"),
        ("noted", id_at(1), "{}", "is not an entity id"),
        ("noted", "nobody", "{}", "is not a UUID"),
    ],
)
def test_what_is_malformed_is_not_recorded(
    cli: Cli, store: str, type_: str, entity: object, data: str, complaint: str
) -> None:
    ended = cli("events", "append", type_, entity, data, "--app", NOTES, "--store", store)

    assert (ended.code, ended.out) == (2, "")
    assert complaint in ended.err


def test_tail_prints_the_newest_in_their_order(cli: Cli, store: str) -> None:
    lines = b"".join(line(n, domain="even" if n % 2 == 0 else "odd") for n in range(1, 31))
    cli("events", "import", "-", "--context", "notes", "--store", store, stdin=lines)

    def positions(*options: object) -> list[int]:
        ended = cli("events", "tail", "--context", "notes", "--store", store, *options, "--json")
        return [row["position"] for row in ended.rows]

    assert list(range(21, 31)) == positions()
    assert positions("-n", 2) == [29, 30]
    assert positions("-n", 3, "--domain", "even") == [26, 28, 30]
    assert positions("-n", 0) == []
    assert list(range(28, 31)) == positions("--after", 27)


def test_tail_prints_lines_for_people_and_by_a_template(cli: Cli, store: str) -> None:
    tailing = ["events", "tail", "--context", "notes", "--store", store]
    escape = line(1, data={"text": "a\x1b[31mred\u202e"})
    cli("events", "import", "-", "--context", "notes", "--store", store, stdin=escape)

    shown = cli(*tailing).out
    filled = cli(*tailing, "--format", "{position}|{type}|{data.text}|{data.missing.deep}|").out

    assert shown.startswith("1  2025-11-05T")
    assert shown.endswith(f'  noted  {ENTITY}  {{"text":"a\\u001b[31mred\\u202e"}}\n')
    assert filled == "1|noted|a\\u001b[31mred\\u202e||\n"


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{position} {type}", "7 noted"),
        ("{data.item.name} {data.item.prices.1} {data.item.prices.9}", "tea 2 "),
        ("{data.item.prices.0} {data.open} {domain}", "9.5 true "),
        ("{tags}", '["a","b"]'),
        ("{data}", '{"item":{"name":"tea","prices":[9.5,2]},"open":true}'),
        ("nothing", "nothing"),
    ],
)
def test_a_template_is_filled_from_the_json_of_an_event(template: str, text: str) -> None:
    assert text == compile_template(template)(WRITTEN)


def test_a_template_with_a_name_no_event_has_is_refused_before_anything_is_read() -> None:
    with pytest.raises(InvalidInput, match="an event has no 'postion'"):
        compile_template("{postion}")


def test_criteria_are_checked_as_any_other_input(cli: Cli, store: str) -> None:
    tailing = ["events", "tail", "--context", "notes", "--store", store]

    assert "is not an entity id" in cli(*tailing, "--entity", id_at(1)).err
    assert "looks like a UUID" in cli(*tailing, "--type", "a" * 32).err
    assert cli(*tailing, "--entity", "x").code == 2
