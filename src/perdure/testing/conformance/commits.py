"""What a commit gives back, and what everybody sees from then on."""

import asyncio
from itertools import pairwise

from perdure.ports.engine import Log
from perdure.testing.conformance.samples import (
    ANN,
    BEN,
    DAWN,
    Maker,
    commit,
    committed,
    holdings,
    id_at,
    ids,
    intent,
    read,
    store,
)
from perdure.testing.conformance.subject import EngineUnderTest
from perdure.vocabulary.commits import Commit, EntityAt, Put, Receipt
from perdure.vocabulary.ids import event_ticks, id_version


class Commits(EngineUnderTest):
    """One write verb: whole, in order, and visible when it returns."""

    async def test_an_event_comes_back_as_it_was_written(self, log: Log, make: Maker) -> None:
        event = make.event(
            type="Noted.again-1",
            data=b'{ "b": [1, null], "a": "\\u00e9" }',
            domain="Notes",
            tags=("z", "a", "caf\u00e9 100%"),
            metadata=b'{"principal":"ann"}',
        )
        receipt = (await store(log, event)).receipts[0]

        (stored,) = await read(log)

        fields = {name: getattr(stored, name) for name in event.__struct_fields__}
        assert fields == {name: getattr(event, name) for name in event.__struct_fields__}
        assert (stored.position, stored.version) == (receipt.position, receipt.version)
        assert stored.ticks == event_ticks(event.id)

    async def test_what_an_event_leaves_out_stays_out(self, log: Log, make: Maker) -> None:
        await store(log, make.event(data=b"{}"))

        (stored,) = await read(log)

        assert (stored.domain, stored.tags, stored.metadata) == (None, (), b"")
        assert await log.domains() == []

    async def test_a_payload_of_a_mebibyte_comes_back(self, log: Log, make: Maker) -> None:
        event = make.event(data=b'{"text":"%s"}' % (b"x" * (1 << 20)))
        await store(log, event)

        assert [event.data] == [stored.data for stored in await read(log)]

    async def test_every_version_of_event_id_keeps_its_time(self, log: Log, make: Maker) -> None:
        events = [make.event(id=id_at(DAWN + v, version=v)) for v in (1, 6, 7)]
        await store(log, *events)

        stored = await read(log)

        assert [id_version(event.id) for event in stored] == [1, 6, 7]
        assert [event.ticks for event in stored] == [DAWN + 1, DAWN + 6, DAWN]

    async def test_versions_count_each_entity_from_one(self, log: Log, make: Maker) -> None:
        receipts = (await store(log, make.event(ANN), make.event(BEN), make.event(ANN))).receipts
        later = (await store(log, make.event(BEN), make.event(ANN))).receipts

        assert [receipt.version for receipt in receipts + later] == [1, 1, 2, 2, 3]
        assert (await log.version(ANN), await log.version(BEN)) == (3, 2)

    async def test_positions_grow_in_the_order_of_commits(self, log: Log, make: Maker) -> None:
        receipts: list[Receipt] = []
        for _ in range(10):
            verdict = await store(log, *make.events(3))
            receipts += verdict.receipts
            assert verdict.position == receipts[-1].position == await log.head()

        positions = [receipt.position for receipt in receipts]
        assert positions[0] > 0
        assert all(before < after for before, after in pairwise(positions))
        assert positions == [event.position for event in await read(log)]

    async def test_time_of_recording_never_goes_back(self, log: Log, make: Maker) -> None:
        for _ in range(5):
            await store(log, *make.events(2))

        recorded = [event.recorded_at for event in await read(log)]

        assert recorded[0] > 0
        assert recorded == sorted(recorded)

    async def test_commits_of_one_call_are_written_in_order(self, log: Log, make: Maker) -> None:
        first, second = make.events(2)

        verdicts = await log.commit(
            [
                Commit(guards=(EntityAt(ANN, 0),), events=(first,)),
                Commit(guards=(EntityAt(ANN, 1),), events=(second,)),
            ]
        )

        assert [committed(verdict).receipts[0].version for verdict in verdicts] == [1, 2]
        assert ids(await read(log)) == [first.id, second.id]

    async def test_no_commits_get_no_verdicts(self, log: Log) -> None:
        before = await holdings(log)

        assert await log.commit([]) == []
        assert await holdings(log) == before

    async def test_an_empty_commit_is_committed_and_changes_nothing(
        self, log: Log, make: Maker
    ) -> None:
        await store(log, make.event())
        before = await holdings(log)

        verdict = committed(await commit(log, Commit()))

        assert (verdict.receipts, verdict.repeated) == ((), False)
        assert verdict.position <= await log.head()
        assert await holdings(log) == before

    async def test_a_commit_may_hold_records_and_intents_alone(self, log: Log, make: Maker) -> None:
        await store(log, make.event())
        head = await log.head()

        verdict = committed(
            await commit(
                log, Commit(records=(Put("model", "k", b"v"),), intents=(intent(b"i" * 16),))
            )
        )

        assert (verdict.receipts, verdict.repeated, await log.head()) == ((), False, head)
        assert [record.value for record in await log.records("model")] == [b"v"]
        assert len(await log.intents("emit")) == 1

    async def test_everything_in_a_commit_becomes_visible_at_once(
        self, log: Log, make: Maker
    ) -> None:
        event = make.event(domain="notes")
        await commit(
            log,
            Commit(
                events=(event,), records=(Put("model", "k", b"v"),), intents=(intent(b"i" * 16),)
            ),
        )

        seen = await holdings(log)

        assert ids(seen.events) == ids(await log.events([event.id])) == [event.id]
        assert (seen.domains, seen.entities, seen.head) == (["notes"], [ANN], await log.head())
        assert (len(seen.records), len(seen.intents)) == (1, 1)
        assert await log.version(ANN) == 1

    async def test_many_callers_at_once_lose_no_version(self, log: Log, make: Maker) -> None:
        events = make.events(64)

        verdicts = await asyncio.gather(*(store(log, event) for event in events))

        receipts = {event.id: v.receipts[0] for event, v in zip(events, verdicts, strict=True)}
        stored = await read(log)
        assert [event.version for event in stored] == list(range(1, 65))
        assert {e.id: Receipt(e.position, e.version) for e in stored} == receipts

    async def test_nothing_comes_between_the_events_of_a_commit(
        self, log: Log, make: Maker
    ) -> None:
        batches = [
            tuple(make.event(entity) for _ in range(3) for entity in (ANN, BEN)) for _ in range(20)
        ]

        await asyncio.gather(*(store(log, *batch) for batch in batches))

        stored = ids(await read(log))
        starts = [stored.index(batch[0].id) for batch in batches]
        assert sorted(starts) == list(range(0, 120, 6))
        for start, batch in zip(starts, batches, strict=True):
            assert stored[start : start + 6] == ids(batch)

    async def test_calls_at_once_keep_the_order_within_each(self, log: Log, make: Maker) -> None:
        calls = [make.events(4) for _ in range(16)]

        verdicts = await asyncio.gather(
            *(log.commit([Commit(events=(event,)) for event in call]) for call in calls)
        )

        for call, answers in zip(calls, verdicts, strict=True):
            positions = [committed(verdict).receipts[0].position for verdict in answers]
            assert positions == sorted(positions)
            assert [e.position for e in await log.events(ids(call))] == positions

    async def test_what_was_answered_first_has_the_lower_position(
        self, log: Log, make: Maker
    ) -> None:
        async def write(entity: bytes) -> list[tuple[int, int]]:
            heads: list[tuple[int, int]] = []
            for _ in range(10):
                seen = await log.head()
                heads.append((seen, (await store(log, make.event(entity))).position))
            return heads

        for heads in await asyncio.gather(*(write(bytes([n]) * 16) for n in range(8))):
            assert all(seen < given for seen, given in heads)
