"""``perdure schema``: what was locked can be read for ever, or the exit code says that it cannot."""

import json
import sys
from pathlib import Path

import pytest

from perdure.cli.main import schema
from tests.cli.support import NOTES, Cli, Ended

HEAD = """
from dataclasses import dataclass
from perdure import Context

bank = Context("bank")
"""
FIRST = """
@bank.event
@dataclass(frozen=True)
class Deposited:
    amount: int
    note: str = ""

@bank.event
@dataclass(frozen=True)
class Closed:
    reason: str
"""
CLOSED = FIRST[FIRST.index("\n@bank.event", 2) :]


class Bank:
    """An application in a file, in one version after another."""

    def __init__(self, cli: Cli, directory: Path) -> None:
        self._cli, self._directory, self._count = cli, directory, 0
        self.file = directory / "lock.json"

    def run(self, command: str, text: str, *options: object) -> Ended:
        self._count += 1
        name = f"bank_application_{self._count}"
        (self._directory / f"{name}.py").write_text(HEAD + text)
        try:
            return self._cli("schema", command, f"{name}:bank", "--file", self.file, *options)
        finally:
            sys.modules.pop(name, None)

    def lock(self, text: str) -> None:
        assert self.run("lock", text).code == 0

    def check(self, text: str) -> tuple[int, dict[str, str]]:
        """Give the exit code, and the verdict of each type that is not the same."""
        ended = self.run("check", text, "--json")
        (answer,) = ended.rows
        assert ended.code == (not answer["is_compatible"] or answer["is_outdated"])
        return ended.code, {
            one["type"]: one["verdict"] for one in answer["types"] if one["verdict"] != "same"
        }


@pytest.fixture
def bank(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bank:
    monkeypatch.syspath_prepend(tmp_path)
    return Bank(cli, tmp_path)


def test_what_was_locked_and_has_not_changed_is_the_same(bank: Bank) -> None:
    bank.lock(FIRST)

    ended = bank.run("check", FIRST)

    assert (ended.code, ended.out) == (0, f"Everything is as {bank.file} says.\n")


def test_the_lock_file_is_sorted_and_readable_and_always_the_same(bank: Bank) -> None:
    bank.lock(FIRST)
    text = bank.file.read_text()
    bank.lock(CLOSED + FIRST.removesuffix(CLOSED))

    assert bank.file.read_text() == text
    assert text.endswith("}\n")
    assert json.loads(text) == {
        "perdure_schema_lock": 1,
        "contexts": {
            "bank": {
                "events": {
                    "closed": {
                        "version": 1,
                        "shape": {
                            "type": "object",
                            "properties": {"reason": {"type": "string"}},
                            "required": ["reason"],
                        },
                    },
                    "deposited": {
                        "version": 1,
                        "shape": {
                            "type": "object",
                            "properties": {
                                "amount": {"type": "integer"},
                                "note": {"type": "string"},
                            },
                            "required": ["amount"],
                        },
                    },
                },
                "upcast": {},
            }
        },
    }


@pytest.mark.parametrize(
    ("before", "after", "verdicts"),
    [
        ("    amount: int\n", "    amount: float\n", {"deposited": "compatible"}),
        ("    amount: int\n", "    amount: int | None\n", {"deposited": "compatible"}),
        ("    amount: int\n", "    amount: int\n    by: str = ''\n", {"deposited": "compatible"}),
        ('    note: str = ""\n', "", {"deposited": "compatible"}),
        ("    amount: int\n", "    amount: int\n    by: str\n", {"deposited": "incompatible"}),
        ("    amount: int\n", "    amount: str\n", {"deposited": "incompatible"}),
        ("    amount: int\n", "    cents: int\n", {"deposited": "incompatible"}),
        (CLOSED, "", {"closed": "incompatible"}),
        ("class Closed", "class Ended", {"closed": "incompatible", "ended": "new"}),
        (CLOSED, CLOSED + CLOSED.replace("Closed", "Opened"), {"opened": "new"}),
    ],
)
def test_each_change_has_its_verdict_and_none_goes_unseen(
    bank: Bank, before: str, after: str, verdicts: dict[str, str]
) -> None:
    bank.lock(FIRST)
    assert before in FIRST

    assert bank.check(FIRST.replace(before, after)) == (1, verdicts)
    bank.lock(FIRST.replace(before, after))
    assert bank.check(FIRST.replace(before, after)) == (0, {})


SECOND = FIRST.replace("amount: int", "cents: int").replace(
    "@bank.event\n@dataclass(frozen=True)\nclass Deposited",
    '@bank.event("deposited", version=2)\n@dataclass(frozen=True)\nclass Deposited',
)
UPCAST = '\nbank.upcast("deposited", 1)(lambda data: {"cents": data["amount"] * 100})\n'
RENAMED = '\nbank.upcast("closed", 1, into="ended")(lambda data: data)\n'


def test_a_change_with_a_new_version_and_an_upcaster_is_covered(bank: Bank) -> None:
    bank.lock(FIRST)

    assert bank.check(SECOND + UPCAST) == (1, {"deposited": "covered"})
    bank.lock(SECOND + UPCAST)
    assert bank.check(SECOND + UPCAST) == (0, {})


def test_a_rename_with_an_upcaster_is_covered(bank: Bank) -> None:
    bank.lock(FIRST)
    renamed = FIRST.replace("class Closed", "class Ended") + RENAMED

    assert bank.check(renamed) == (1, {"closed": "covered", "ended": "new"})


def test_an_upcaster_that_was_locked_cannot_be_taken_away(bank: Bank) -> None:
    bank.lock(FIRST.replace("class Closed", "class Ended") + RENAMED)

    assert bank.check(FIRST.replace("class Closed", "class Ended")) == (
        1,
        {"closed": "incompatible"},
    )


def test_a_version_cannot_go_back(bank: Bank) -> None:
    bank.lock(SECOND + UPCAST)

    code, verdicts = bank.check(FIRST)

    assert (code, verdicts) == (1, {"deposited": "incompatible"})


def test_versions_before_the_first_upcaster_are_missed(bank: Bank) -> None:
    bank.lock(FIRST)
    third = SECOND.replace("version=2", "version=3")

    assert bank.check(third + UPCAST.replace("1)", "2)")) == (1, {"deposited": "incompatible"})


def test_a_context_that_is_gone_is_told(bank: Bank, cli: Cli) -> None:
    bank.lock(FIRST)

    ended = cli("schema", "check", NOTES, "--file", bank.file)

    assert ended.code == 1
    assert "bank.deposited: incompatible (version 1 → none)" in ended.out
    assert "its context is gone" in ended.out
    assert "notes.noted: new (version none → 1)" in ended.out


def test_for_people_it_says_what_where_and_what_to_do(bank: Bank) -> None:
    bank.lock(FIRST)

    ended = bank.run("check", FIRST.replace("amount: int", "cents: int"))

    assert ended.code == 1
    assert ended.out == (
        "bank.deposited: incompatible (version 1)\n"
        "  · /amount removed: what is recorded of it is no longer read\n"
        "  ✗ /cents added without a default\n"
        "  → declare it with version=2, and add a function with upcast('deposited', 1)\n"
        "What is recorded cannot all be read.\n"
    )


def test_a_class_that_was_renamed_is_told_to_pin_its_name(bank: Bank) -> None:
    bank.lock(FIRST)

    ended = bank.run("check", FIRST.replace("class Closed", "class Ended"))

    assert (
        "was its class renamed to that of 'ended'? Pin the name: @bank.event('closed')" in ended.out
    )


def test_a_compatible_change_asks_to_lock_again(bank: Bank) -> None:
    bank.lock(FIRST)

    ended = bank.run("check", FIRST.replace("amount: int", "amount: int | None"))

    assert ended.code == 1
    assert (
        "bank.deposited: compatible (version 1)\n  · /amount was integer, is integer | null\n"
        in (ended.out)
    )
    assert f"{bank.file} is out of date: run `perdure schema lock bank_application_2:bank`" in (
        ended.out
    )


def test_json_says_all_of_it_in_one_document(bank: Bank) -> None:
    bank.lock(FIRST)

    (answer,) = bank.run("check", FIRST.replace("amount: int", "amount: str"), "--json").rows

    assert answer["file"] == str(bank.file)
    assert (answer["is_compatible"], answer["is_outdated"]) == (False, True)
    assert answer["types"][1] == {
        "context": "bank",
        "type": "deposited",
        "verdict": "incompatible",
        "locked_version": 1,
        "version": 1,
        "changes": [{"where": "/amount", "what": "was integer, is string", "breaks": True}],
        "advice": "declare it with version=2, and add a function with upcast('deposited', 1)",
    }


def test_locking_says_what_it_wrote(bank: Bank) -> None:
    assert bank.run("lock", FIRST).out == f"{bank.file}: 2 types of event. Commit it.\n"
    assert bank.run("lock", FIRST, "--json").rows == [
        {"file": str(bank.file), "contexts": 1, "types": 2}
    ]


def test_without_a_lock_file_it_says_how_to_make_one(bank: Bank) -> None:
    ended = bank.run("check", FIRST)

    assert (ended.code, ended.out) == (3, "")
    assert "run `perdure schema lock bank_application_1:bank`" in ended.err


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not a schema lock"),
        ('{"contexts":{"bank":{"events":{"x":{"version":"1"}}}}}', "not a schema lock"),
        ('{"contexts":{},"perdure_schema_lock":2}', "a newer Perdure wrote it, in form 2"),
    ],
)
def test_a_file_that_is_no_lock_is_wrong_usage(bank: Bank, text: str, reason: str) -> None:
    bank.file.write_text(text)

    ended = bank.run("check", FIRST)

    assert (ended.code, ended.out) == (2, "")
    assert str(bank.file) in ended.err
    assert reason in ended.err


def test_an_application_that_cannot_be_opened_is_wrong_usage(bank: Bank) -> None:
    bank.lock(FIRST)

    ended = bank.run("check", SECOND)

    assert ended.code == 2
    assert "nothing leads 'deposited' on from version 1" in ended.err


@pytest.mark.parametrize("lazy", schema.lazy.values(), ids=lambda lazy: lazy.name)
def test_each_command_has_help_and_debug(lazy) -> None:
    command = lazy.load()

    assert command.help
    assert "--debug" in {name for option in command.params for name in option.opts}
