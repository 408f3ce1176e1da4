"""An event id is stored once, for ever: repeats get their first receipt, contradictions are refused."""

import asyncio

import pytest
from msgspec.structs import replace

from perdure.ports.engine import Log
from perdure.testing.conformance.samples import (
    ANN,
    BEN,
    Maker,
    commit,
    committed,
    holdings,
    ids,
    intent,
    read,
    store,
)
from perdure.testing.conformance.subject import EngineUnderTest
from perdure.vocabulary.commits import (
    Commit,
    EntityAt,
    GuardFailed,
    IdsTaken,
    NothingAfter,
    Put,
)
from perdure.vocabulary.criteria import EVERYTHING


class Idempotence(EngineUnderTest):
    """The same again is the same; something else under the same id is nothing at all."""

    async def test_a_repeat_gets_its_first_receipts(self, log: Log, make: Maker) -> None:
        events = make.events(3)
        first = await store(log, *events)
        await store(log, make.event())
        before = await holdings(log)

        again = await store(log, *events)

        assert (again.receipts, again.repeated, first.repeated) == (first.receipts, True, False)
        assert again.position >= first.position
        assert await holdings(log) == before

    async def test_a_repeat_is_answered_whatever_its_guards_say(
        self, log: Log, make: Maker
    ) -> None:
        guarded = Commit(
            guards=(EntityAt(ANN, 0), NothingAfter(EVERYTHING, 0)), events=(make.event(),)
        )
        first = committed(await commit(log, guarded))

        again = committed(await commit(log, guarded))

        assert (again.receipts, again.repeated) == (first.receipts, True)

    async def test_a_repeat_applies_nothing(self, log: Log, make: Maker) -> None:
        event = make.event()
        once = Commit(
            events=(event,),
            records=(Put("model", "k", b"once"),),
            intents=(intent(b"1" * 16, b"once"),),
        )
        await commit(log, once)
        before = await holdings(log)

        same = committed(await commit(log, once))
        more = Commit(
            events=(event,),
            records=(Put("model", "k", b"twice"), Put("model", "l", b"twice")),
            intents=(intent(b"2" * 16, b"twice"),),
        )

        assert same.repeated
        assert committed(await commit(log, more)).repeated
        assert await holdings(log) == before

    async def test_events_of_several_commits_repeat_as_one(self, log: Log, make: Maker) -> None:
        events = make.events(3)
        receipts = [(await store(log, event)).receipts[0] for event in events]

        again = await store(log, *reversed(events))
        part = await store(log, events[1])

        assert (again.receipts, again.repeated) == (tuple(reversed(receipts)), True)
        assert (part.receipts, part.repeated) == ((receipts[1],), True)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("type", "Noted"),
            ("entity", BEN),
            ("domain", "Notes"),
            ("domain", None),
            ("tags", ("a",)),
            ("tags", ("a", "b", "c")),
            ("data", b'{"n":2}'),
            ("data", b'{"n":true}'),
            ("data", b'{"n":"1"}'),
            ("data", b'{"n":1,"m":null}'),
        ],
    )
    async def test_an_id_with_other_content_is_taken(
        self, log: Log, make: Maker, field: str, value: object
    ) -> None:
        event = make.event(domain="notes", tags=("a", "b"))
        await store(log, event)
        before = await holdings(log)

        verdict = await commit(
            log,
            Commit(
                events=(make.event(), replace(event, **{field: value}), make.event()),
                records=(Put("model", "k", b"v"),),
                intents=(intent(b"1" * 16),),
            ),
        )

        assert verdict == IdsTaken((1,))
        assert await holdings(log) == before

    async def test_every_taken_id_is_named(self, log: Log, make: Maker) -> None:
        events = make.events(5)
        await store(log, *events)
        changed = [
            replace(event, type="other") if i % 2 else event for i, event in enumerate(events)
        ]

        assert await commit(log, Commit(events=tuple(changed))) == IdsTaken((1, 3))

    @pytest.mark.parametrize(
        "data",
        [
            b'{"b":{"y":[1,true,null],"x":"\xc3\xa9"},"a":0.5}',
            b'{"a":0.5,"b":{"x":"\xc3\xa9","y":[1,true,null]}}',
            b'{ "b" : { "y" : [ 1, true, null ],\n "x" : "\\u00e9" }, "a" : 5e-1 }',
        ],
        ids=["the same bytes", "another order of keys", "spaces and escapes"],
    )
    async def test_a_payload_is_compared_as_parsed(
        self, log: Log, make: Maker, data: bytes
    ) -> None:
        event = make.event(data=b'{"b":{"y":[1,true,null],"x":"\xc3\xa9"},"a":0.5}')
        first = await store(log, event)

        again = await store(log, replace(event, data=data))

        assert (again.receipts, again.repeated) == (first.receipts, True)
        assert [stored.data for stored in await read(log)] == [event.data]

    async def test_metadata_is_not_content(self, log: Log, make: Maker) -> None:
        event = make.event(metadata=b'{"principal":"ann"}')
        await store(log, event)

        again = await store(log, replace(event, metadata=b'{"principal":"ben"}'))

        assert again.repeated
        assert [stored.metadata for stored in await read(log)] == [event.metadata]

    async def test_old_and_new_events_mix(self, log: Log, make: Maker) -> None:
        old, new, newer = make.events(3)
        first = await store(log, old)

        mixed = committed(
            await commit(log, Commit(events=(new, old, newer), records=(Put("model", "k", b"v"),)))
        )

        assert mixed.receipts[1] == first.receipts[0]
        assert [receipt.version for receipt in mixed.receipts] == [2, 1, 3]
        assert not mixed.repeated
        assert ids(await read(log)) == ids([old, new, newer])
        assert await log.record("model", "k") is not None

    async def test_a_mixed_commit_must_pass_its_guards(self, log: Log, make: Maker) -> None:
        old, new = make.events(2)
        await store(log, old)
        before = await holdings(log)
        guard = EntityAt(ANN, 0)

        verdict = await commit(log, Commit(guards=(guard,), events=(old, new)))

        assert verdict == GuardFailed(guard, 1)
        assert await holdings(log) == before

    async def test_an_event_twice_in_one_commit_is_stored_once(self, log: Log, make: Maker) -> None:
        event, other = make.events(2)

        verdict = await store(log, event, other, event)

        assert verdict.receipts[0] == verdict.receipts[2]
        assert [receipt.version for receipt in verdict.receipts] == [1, 2, 1]
        assert not verdict.repeated
        assert ids(await read(log)) == [event.id, other.id]

    async def test_a_commit_that_contradicts_itself_is_refused(self, log: Log, make: Maker) -> None:
        event = make.event()

        verdict = await commit(log, Commit(events=(event, make.event(), replace(event, type="no"))))

        assert verdict == IdsTaken((2,))
        assert await read(log) == []

    async def test_a_repeat_in_the_same_call_gets_the_first_receipt(
        self, log: Log, make: Maker
    ) -> None:
        one = Commit(guards=(EntityAt(ANN, 0),), events=(make.event(),))
        other = Commit(events=(replace(one.events[0], data=b'{"n":2}'),))

        first, again, taken = await log.commit([one, one, other])

        assert committed(again).receipts == committed(first).receipts
        assert (committed(first).repeated, committed(again).repeated) == (False, True)
        assert taken == IdsTaken((0,))
        assert len(await read(log)) == 1

    async def test_of_a_hundred_copies_at_once_one_is_stored(self, log: Log, make: Maker) -> None:
        copy = Commit(
            guards=(EntityAt(ANN, 0),), events=make.events(2), intents=(intent(b"1" * 16),)
        )

        answers = await asyncio.gather(*(log.commit([copy]) for _ in range(100)))

        verdicts = [committed(verdict) for (verdict,) in answers]
        assert len({verdict.receipts for verdict in verdicts}) == 1
        assert sum(not verdict.repeated for verdict in verdicts) == 1
        assert ids(await read(log)) == ids(copy.events)
        assert len(await log.intents("emit")) == 1

    async def test_of_contradicting_copies_at_once_one_wins(self, log: Log, make: Maker) -> None:
        event = make.event()
        rivals = [replace(event, data=b'{"n":%d}' % n) for n in range(32)]

        answers = await asyncio.gather(*(log.commit([Commit(events=(rival,))]) for rival in rivals))

        won = [
            rival
            for rival, (verdict,) in zip(rivals, answers, strict=True)
            if verdict != IdsTaken((0,))
        ]
        assert len(won) == 1
        assert [stored.data for stored in await read(log)] == [won[0].data]
