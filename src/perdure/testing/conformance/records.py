"""Records: small keyed values that are replaced, with a revision to compare and set by."""

from itertools import permutations

import pytest

from perdure.ports.engine import Log
from perdure.testing.conformance.samples import commit, committed
from perdure.testing.conformance.subject import EngineUnderTest
from perdure.vocabulary.commits import Commit, EntityAt, Put, Record, RecordAt

#: Keys that a careless comparison, pattern or encoding would take for one another.
AWKWARD = [
    "\x00",
    " ",
    "%",
    "'; --",
    "*",
    "A",
    "[a]",
    "_",
    "a",
    "a\x00",
    "a\x00b",
    "a ",
    "a%",
    "a%b",
    "a/1",
    "a/10",
    "a/2",
    "aXb",
    "a_b",
    "ab",
    "b",
    "e\u0301",
    "\u00e9",
    "\ufb01",
    "\uffff",
    "\U0001f600",
    "\U0010ffff",
    "\U0010ffffz",
]


async def put(log: Log, *values: tuple[str, bytes | None], kind: str = "model") -> None:
    """Write records, unconditionally, in one commit."""
    records = tuple(Put(kind, key, value) for key, value in values)
    committed(await commit(log, Commit(records=records)))


def keys(records: list[Record]) -> list[str]:
    """Give the keys of records."""
    return [record.key for record in records]


class Records(EngineUnderTest):
    """Kept by kind and key."""

    async def test_a_record_that_was_never_put_is_none(self, log: Log) -> None:
        assert await log.record("model", "k") is None
        assert await log.records("model") == []
        assert await log.records("model", ["k"]) == []

    async def test_each_put_replaces_and_counts(self, log: Log) -> None:
        for revision, value in enumerate((b"a", b"b", b"b"), 1):
            await put(log, ("k", value))
            assert await log.record("model", "k") == Record("model", "k", value, revision)

    async def test_each_put_of_one_commit_counts(self, log: Log) -> None:
        await put(log, ("k", b"a"), ("l", b"x"), ("k", b"b"))

        assert await log.records("model") == [
            Record("model", "k", b"b", 2),
            Record("model", "l", b"x", 1),
        ]

    async def test_a_removed_record_is_gone_and_starts_anew(self, log: Log) -> None:
        await put(log, ("k", b"a"))
        await put(log, ("k", b"b"))

        await put(log, ("k", None), ("never", None))

        assert await log.record("model", "k") is None
        assert await log.records("model") == []
        await put(log, ("k", b"c"))
        assert await log.record("model", "k") == Record("model", "k", b"c", 1)

    async def test_puts_and_removals_of_one_commit_go_in_order(self, log: Log) -> None:
        await put(log, ("k", b"a"), ("k", None), ("k", b"b"), ("l", b"c"), ("l", None))

        assert await log.records("model") == [Record("model", "k", b"b", 1)]

    @pytest.mark.parametrize(
        "value",
        [b"", b"\x00", bytes(range(256)), b"\xff" * (1 << 20)],
        ids=["empty", "zero", "all", "1 MiB"],
    )
    async def test_a_value_is_any_bytes(self, log: Log, value: bytes) -> None:
        await put(log, ("k", value))

        assert await log.record("model", "k") == Record("model", "k", value, 1)

    async def test_kinds_keep_apart(self, log: Log) -> None:
        for kind in ("model", "models", "Model", "mode"):
            await put(log, ("k", kind.encode()), kind=kind)
        await put(log, ("k", None), kind="models")

        assert await log.records("model") == [Record("model", "k", b"model", 1)]
        assert await log.records("models", ["k"]) == []
        assert await log.record("Model", "k") == Record("Model", "k", b"Model", 1)

    async def test_a_key_is_any_text_compared_letter_by_letter(self, log: Log) -> None:
        await put(log, *((key, key.encode()) for key in reversed(AWKWARD)))

        for key in AWKWARD:
            assert await log.record("model", key) == Record("model", key, key.encode(), 1), repr(
                key
            )

    async def test_records_come_in_order_of_key(self, log: Log) -> None:
        await put(log, *((key, b"v") for key in reversed(AWKWARD)))

        assert keys(await log.records("model")) == sorted(AWKWARD)
        assert keys(await log.records("model", list(reversed(AWKWARD)))) == sorted(AWKWARD)

    async def test_records_by_key_leave_out_what_is_not_there(self, log: Log) -> None:
        await put(log, ("a", b"1"), ("c", b"3"), ("d", b"4"))
        await put(log, ("b", b"2"), kind="other")

        found = await log.records("model", ["c", "b", "a", "c"])

        assert found == [Record("model", "a", b"1", 1), Record("model", "c", b"3", 1)]
        assert await log.records("model", []) == []

    async def test_thousands_of_records_are_found_by_key(self, log: Log) -> None:
        names = [f"{number:04}" for number in range(3000)]
        await put(log, *((name, b"v") for name in names))

        assert keys(await log.records("model", list(reversed(names)))) == names

    async def test_a_prefix_selects_the_keys_that_begin_with_it(self, log: Log) -> None:
        await put(log, *((key, b"v") for key in AWKWARD))

        for prefix in [*AWKWARD, "a/", "no"]:
            expected = sorted(key for key in AWKWARD if key.startswith(prefix))
            assert keys(await log.records("model", prefix=prefix)) == expected, repr(prefix)
            for after in AWKWARD:
                page = await log.records("model", prefix=prefix, after=after, limit=2)
                assert keys(page) == [key for key in expected if key > after][:2], (prefix, after)

    async def test_pages_of_a_prefix_join_up(self, log: Log) -> None:
        names = sorted(f"{shelf}/{number}" for shelf in ("a", "b", "b0") for number in range(25))
        await put(log, *((name, b"v") for name in names))
        await put(log, ("b/x", b"v"), kind="other")

        pages, after = list[str](), ""
        while page := await log.records("model", prefix="b/", after=after, limit=4):
            pages, after = pages + keys(page), page[-1].key

        assert pages == [name for name in names if name.startswith("b/")]
        assert await log.records("model", limit=0) == []

    async def test_a_refused_commit_leaves_revisions_alone(self, log: Log) -> None:
        await put(log, ("k", b"a"))

        for guard in (RecordAt("model", "k", 2), EntityAt(b"x" * 16, 1)):
            await commit(log, Commit(guards=(guard,), records=(Put("model", "k", b"b"),)))

        assert await log.record("model", "k") == Record("model", "k", b"a", 1)

    async def test_compare_and_set_takes_turns(self, log: Log) -> None:
        first, second = (
            Commit(guards=(RecordAt("model", "k", 0),), records=(Put("model", "k", value),))
            for value in (b"a", b"b")
        )
        third = Commit(guards=(RecordAt("model", "k", 1),), records=(Put("model", "k", b"c"),))

        verdicts = await log.commit([first, second, third])

        assert [type(verdict).__name__ for verdict in verdicts] == [
            "Committed",
            "GuardFailed",
            "Committed",
        ]
        assert await log.record("model", "k") == Record("model", "k", b"c", 2)

    async def test_a_key_may_hold_the_separator_of_another(self, log: Log) -> None:
        pairs = list(permutations(("a", "a/", "/a", "a\x00", "/"), 2))
        for kind, key in pairs:
            await put(log, (key, f"{kind}|{key}".encode()), kind=kind)

        for kind, key in pairs:
            record = await log.record(kind, key)
            assert record == Record(kind, key, f"{kind}|{key}".encode(), 1)
