"""Damage in the file of a SQLite log: it is reported, with its place, and never served.

Whatever the damage, a read gives the truth up to it and then says so; what a read by an index cannot notice,
``verify`` finds. ``test_sqlite_faults`` is about disks that fail while they are written.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import apsw
import pytest

from perdure.engines.sqlite import SqliteEngine
from perdure.ports.engine import Log
from perdure.runtime.environment import SystemClock
from perdure.testing.conformance.samples import (
    ANN,
    BEN,
    CAT,
    Maker,
    commit,
    ids,
    intent,
    read,
    store,
)
from perdure.vocabulary.commits import Commit, Put
from perdure.vocabulary.criteria import Criteria
from perdure.vocabulary.errors import Corrupt, EngineError, PerdureError
from perdure.vocabulary.events import RecordedEvent
from perdure.vocabulary.reading import Read
from tests.engines.disks import files_of


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
async def engine(directory: Path) -> AsyncIterator[SqliteEngine]:
    engine = SqliteEngine(directory, SystemClock())
    yield engine
    await engine.close()


async def test_a_damaged_event_ends_a_read_behind_the_good_ones(
    engine: SqliteEngine, directory: Path
) -> None:
    make = Maker()
    log = await engine.open("shop")
    events = [make.event(entity, tags=("t",)) for _ in range(4) for entity in (ANN, BEN)]
    await store(log, *events)
    _edit(directory / "shop.db", _spoil("data = x'7b7d'", 5))

    for request, before, behind in (
        (Read(), events[:4], Read(after=5)),
        (Read(backwards=True), events[:4:-1], Read(backwards=True, upto=4)),
        (Read(order="happened"), events[:4], Read(after=5, order="happened")),
        (Read(criteria=Criteria(tags=("t",))), events[:4], Read(after=5)),
        (Read(criteria=Criteria(entities=(ANN,))), events[:4:2], Read(after=5)),
    ):
        served, damage = await _until_damage(log, request)
        assert ids(served) == ids(before), request
        assert damage.position == 5
        assert await read(log, behind)
    assert len(await read(log, Read(limit=4))) == 4
    assert len(await read(log, Read(criteria=Criteria(entities=(BEN,))))) == 4
    with pytest.raises(Corrupt):
        await log.events([events[4].id])


@pytest.mark.parametrize(
    "change",
    [
        "data = x'7b7d'",
        "metadata = x'7b7d'",
        "tags = NULL",
        "tags = CAST(x'ff' AS TEXT)",
        "ticks = ticks + 1",
        "recorded_at = recorded_at + 1",
        "version = 9",
        "type = domain",
        "domain = NULL",
        "domain = 77",
        "entity = 77",
        "id = x'00'",
        "checksum = checksum + 1",
    ],
)
async def test_damage_to_any_column_is_found(
    engine: SqliteEngine, directory: Path, change: str
) -> None:
    make = Maker()
    log = await engine.open("shop")
    await store(log, *(make.event(domain="d", tags=("t",)) for _ in range(3)))
    _edit(directory / "shop.db", _spoil(change, 2))

    with pytest.raises(Corrupt) as damage:
        await read(log)

    assert damage.value.position == 2
    assert 2 in {each.position async for each in log.verify()}


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE perdure_names SET name = 'other' WHERE name = 'noted'",
        "UPDATE perdure_names SET name = 'other' WHERE name = 'd'",
        "DELETE FROM perdure_names",
        "UPDATE perdure_entities SET id = x'00112233445566778899aabbccddeeff'",
        "DELETE FROM perdure_entities",
    ],
)
async def test_damage_to_a_dictionary_is_found_in_every_event(directory: Path, sql: str) -> None:
    first = SqliteEngine(directory, SystemClock())
    await store(await first.open("shop"), *(Maker().event(domain="d") for _ in range(1)))
    await first.close()
    _edit(directory / "shop.db", lambda connection: connection.execute(sql))
    second = SqliteEngine(directory, SystemClock())
    log = await second.open("shop")

    with pytest.raises(Corrupt):
        await read(log)

    assert [each.position async for each in log.verify()] != []
    await second.close()


@pytest.mark.parametrize(
    ("sql", "position"),
    [
        ("DELETE FROM perdure_events WHERE position = 4", 4),
        ("DELETE FROM perdure_events WHERE position = 6", 5),
        ("UPDATE perdure_events SET chain = x'00' WHERE position = 4", 4),
        ("UPDATE perdure_events SET chain = NULL WHERE position = 6", 6),
        ("DELETE FROM perdure_event_tags WHERE position = 3", 3),
        ("DELETE FROM perdure_domain_entities", 1),
        ("UPDATE perdure_records SET revision = revision + 1", 0),
        ("UPDATE perdure_records SET value = x'00'", 0),
        ("UPDATE perdure_records SET key = 'other'", 0),
        ("UPDATE perdure_intents SET due = 1", 0),
        ("UPDATE perdure_intents SET payload = x'00'", 0),
    ],
)
async def test_a_check_finds(
    engine: SqliteEngine, directory: Path, sql: str, position: int
) -> None:
    make = Maker()
    log = await engine.open("shop")
    for _ in range(3):
        await commit(
            log,
            Commit(
                events=(make.event(domain="d", tags=("t",)), make.event()),
                records=(Put("r", "k", b"v"),),
                intents=(intent(b"i" * 16),),
            ),
        )
    assert [damage async for damage in log.verify()] == []
    _edit(directory / "shop.db", lambda connection: connection.execute(sql))

    found = [damage.position async for damage in log.verify()]

    assert position in found


async def test_a_check_may_begin_anywhere(engine: SqliteEngine, directory: Path) -> None:
    make = Maker()
    log = await engine.open("shop")
    for _ in range(5):
        await store(log, *make.events(3))
    _edit(directory / "shop.db", _spoil("data = x'7b7d'", 5))

    found = {after: [d.position async for d in log.verify(after)] for after in range(16)}

    assert found == {after: [5] if after < 5 else [] for after in range(16)}


async def test_a_damaged_record_or_intent_is_not_served(
    engine: SqliteEngine, directory: Path
) -> None:
    log = await engine.open("shop")
    await commit(
        log,
        Commit(records=(Put("r", "k", b"v"), Put("r", "l", b"v")), intents=(intent(b"i" * 16),)),
    )
    _edit(
        directory / "shop.db",
        lambda connection: connection.execute(
            "UPDATE perdure_records SET value = x'00' WHERE key = 'k';"
            "UPDATE perdure_intents SET target = 'other'"
        ),
    )

    for asked in (
        log.record("r", "k"),
        log.records("r"),
        log.intents("emit"),
        log.intent(b"i" * 16),
    ):
        with pytest.raises(Corrupt):
            await asked
    assert await log.record("r", "l") is not None
    await commit(log, Commit(records=(Put("r", "k", b"new"),)))
    assert await log.record("r", "k") is not None


async def test_an_entity_whose_last_event_is_damaged_takes_no_more(
    engine: SqliteEngine, directory: Path
) -> None:
    make = Maker()
    log = await engine.open("shop")
    await store(log, *make.events(2), make.event(BEN))
    _edit(directory / "shop.db", _spoil("version = 7", 2))

    answers = await asyncio.gather(
        store(log, make.event(BEN)),
        store(log, make.event(ANN)),
        store(log, make.event(CAT)),
        return_exceptions=True,
    )

    assert [type(answer).__name__ for answer in answers] == ["Committed", "Corrupt", "Committed"]
    with pytest.raises(Corrupt):
        await log.version(ANN)


@pytest.mark.parametrize("seed", range(6))
async def test_a_flipped_bit_is_reported_and_never_served(tmp_path: Path, seed: int) -> None:
    await _flip(tmp_path, random.Random(seed), 20)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 120))
async def test_a_flipped_bit_is_never_served_whichever_it_is(tmp_path: Path, seed: int) -> None:
    await _flip(tmp_path, random.Random(seed), 400)


async def _flip(tmp_path: Path, chance: random.Random, flips: int) -> None:
    make = Maker()
    engine = SqliteEngine(tmp_path / "store", SystemClock())
    log = await engine.open("shop")
    for number in range(60):
        events = (make.event((ANN, BEN, CAT)[number % 3], domain="d", tags=("t",)), make.event(BEN))
        records = (Put("name", f"{number:04}", b"v" * 500),)
        intents = (intent(number.to_bytes(16, "big")),)
        await log.commit([Commit(events=events, records=records, intents=intents)])
    truth = [await read(log, request) for request in WAYS_TO_READ]
    await engine.close()
    image = (tmp_path / "store" / "shop.db").read_bytes()

    harmful = 0
    for _ in range(flips):
        flipped = bytearray(image)
        bit = chance.randrange(len(image) * 8)
        flipped[bit // 8] ^= 1 << bit % 8
        with files_of({"shop.db": bytes(flipped)}, tmp_path / "flipped") as directory:
            harmful += await _is_noticed(directory, truth)
    assert harmful > 0


#: Through the table itself, and through each index.
WAYS_TO_READ = (
    Read(),
    Read(criteria=Criteria(types=("noted",))),
    Read(criteria=Criteria(domains=("d",))),
    Read(criteria=Criteria(entities=(BEN,))),
    Read(criteria=Criteria(tags=("t",)), backwards=True),
    Read(order="happened"),
)


async def _is_noticed(directory: Path, truth: list[list[RecordedEvent]]) -> bool:
    """Insist that a store serves nothing but the truth, and that whatever it holds back is reported."""
    engine = SqliteEngine(directory, SystemClock())
    is_reported = is_lost = False
    try:
        log = await engine.open("shop")
        for request, expected in zip(WAYS_TO_READ, truth, strict=True):
            served: list[RecordedEvent] = []
            try:
                async for batch in log.read(request):
                    served += batch
            except EngineError:
                is_reported = True
            else:
                is_lost = is_lost or served != expected
            assert all(event in expected for event in served)
        if len(await log.records("name")) < 60 or len(await log.intents("emit")) < 60:
            is_lost = True
        if is_lost and not is_reported:
            is_reported = [damage async for damage in log.verify()] != []
    except PerdureError:
        return True
    finally:
        await engine.close()
    assert is_reported or not is_lost
    return is_reported


async def _until_damage(log: Log, request: Read) -> tuple[list[RecordedEvent], Corrupt]:
    served: list[RecordedEvent] = []
    try:
        async for batch in log.read(request):
            served += batch
    except Corrupt as damage:
        return served, damage
    pytest.fail("no damage was found")


def _spoil(change: str, position: int) -> Callable[[apsw.Connection], None]:
    def spoil(connection: apsw.Connection) -> None:
        connection.execute(f"UPDATE perdure_events SET {change} WHERE position = {position}")

    return spoil


def _edit(path: Path, change: Callable[[apsw.Connection], object]) -> None:
    connection = apsw.Connection(str(path))
    change(connection)
    connection.close()
