"""Ids are sixteen bytes, and the time in an event id is the time it says."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from uuid import NAMESPACE_DNS, UUID, uuid1, uuid5

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.vocabulary.errors import InvalidId
from perdure.vocabulary.ids import (
    TICKS_BEFORE_1970,
    TICKS_MAX,
    emitted_id,
    entity_id,
    entity_named,
    event_id,
    event_ticks,
    id_text,
    id_version,
    make_event_id,
    moment_of,
    parse_id,
    ticks_at,
)

SIXTEEN_BYTES = st.binary(min_size=16, max_size=16)
TICKS = st.integers(0, TICKS_MAX)
EVENT_IDS = st.builds(make_event_id, TICKS, st.integers(0, 0x3FFF), st.integers(0, 2**48 - 1))

# RFC 9562, appendix A: 2022-02-22 19:22:22 UTC in three versions.
TWOSDAY = datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)
TWOSDAY_V1 = "c232ab00-9414-11ec-b3c8-9f6bdeced846"
TWOSDAY_V6 = "1ec9414c-232a-6b00-b3c8-9f6bdeced846"
TWOSDAY_V7 = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


def test_the_time_in_an_event_id_is_read_to_the_microsecond() -> None:
    id_ = event_id("e1c3029a-2a96-11e7-93ae-92361f002671")

    assert moment_of(event_ticks(id_)) == datetime(2017, 4, 26, 15, 41, 57, 920425, tzinfo=UTC)


@pytest.mark.parametrize("text", [TWOSDAY_V1, TWOSDAY_V6, TWOSDAY_V7])
def test_the_examples_of_rfc_9562_all_say_the_same_moment(text: str) -> None:
    assert event_ticks(event_id(text)) == 0x1EC9414C232AB00
    assert moment_of(event_ticks(event_id(text))) == TWOSDAY


@given(SIXTEEN_BYTES)
def test_text_and_bytes_are_inverse(id_: bytes) -> None:
    assert parse_id(id_text(id_)) == id_
    assert id_text(id_) == str(UUID(bytes=id_))


@given(EVENT_IDS)
def test_an_event_id_has_one_meaning_in_all_its_forms(id_: bytes) -> None:
    assert event_id(id_) == event_id(id_text(id_)) == event_id(UUID(bytes=id_)) == id_


@given(TICKS, st.integers(0, 0x3FFF), st.integers(0, 2**48 - 1))
def test_what_goes_into_an_event_id_can_be_read_from_it(ticks: int, seq: int, node: int) -> None:
    made = UUID(bytes=make_event_id(ticks, seq, node))

    assert (made.version, made.time, made.clock_seq, made.node) == (1, ticks, seq, node)
    assert event_ticks(made.bytes) == ticks


def test_ids_of_the_standard_library_are_read_alike() -> None:
    made = uuid1()

    assert event_ticks(event_id(made)) == made.time


@given(st.datetimes(datetime(1583, 1, 1), datetime(5236, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_moment_and_its_ticks_are_inverse(moment: datetime) -> None:
    assert moment_of(ticks_at(moment)) == moment


def test_ticks_do_not_depend_on_the_time_zone() -> None:
    elsewhere = TWOSDAY.astimezone(timezone(timedelta(hours=-5)))

    assert ticks_at(elsewhere) == ticks_at(TWOSDAY)
    assert ticks_at(datetime(1970, 1, 1, tzinfo=UTC)) == TICKS_BEFORE_1970


@given(st.lists(EVENT_IDS, min_size=2))
def test_events_are_ordered_by_ticks_and_then_by_id_bytes(ids: list[bytes]) -> None:
    ordered = sorted(ids, key=lambda id_: (event_ticks(id_), id_))

    assert ordered == sorted(ids, key=lambda id_: (UUID(bytes=id_).time, UUID(bytes=id_).bytes))
    assert [event_ticks(id_) for id_ in ordered] == sorted(map(event_ticks, ids))


def test_the_bytes_alone_would_order_version_1_ids_wrongly() -> None:
    early, late = make_event_id(0xFFFFFFFF, 0, 0), make_event_id(0x100000000, 0, 0)

    assert early > late
    assert event_ticks(early) < event_ticks(late)


@given(st.text(), EVENT_IDS, st.integers(0, 1000))
def test_an_emitted_id_is_always_the_same_and_later_than_its_cause(
    key: str, cause: bytes, index: int
) -> None:
    emitted = emitted_id("cart", key, cause, index)

    assert emitted == emitted_id("cart", key, cause, index)
    assert event_ticks(emitted) == event_ticks(cause) + 1 + index
    assert id_version(emitted) == 1
    assert UUID(bytes=emitted).node >> 40 & 1 == 1, "no network card has this address"


@pytest.mark.parametrize("text", [TWOSDAY_V1, TWOSDAY_V6, TWOSDAY_V7])
def test_an_emitted_id_follows_a_cause_of_any_version(text: str) -> None:
    cause = event_id(text)

    assert event_ticks(emitted_id("cart", "k", cause, 0)) == event_ticks(cause) + 1


def test_an_emitted_id_differs_by_reactor_key_cause_and_index() -> None:
    cause, other = event_id(TWOSDAY_V1), event_id(TWOSDAY_V6)
    ids = {
        emitted_id(*given)
        for given in [
            ("cart", "a", cause, 0),
            ("shop", "a", cause, 0),
            ("cart", "b", cause, 0),
            ("cart", "a", other, 0),
            ("cart", "a", cause, 1),
            ("car", "ta", cause, 0),
        ]
    }

    assert len(ids) == 6


def test_the_last_event_id_there_is_has_room_for_what_it_causes() -> None:
    last = event_id(make_event_id(TICKS_MAX, 0, 0))
    emitted = emitted_id("cart", "k", last, 1000)

    assert event_ticks(emitted) > event_ticks(last)
    assert moment_of(event_ticks(emitted)).year == 5236


@pytest.mark.parametrize(
    "text",
    [
        "ffffffff-ffff-7fff-bfff-ffffffffffff",  # a version 7 id in the year 10889
        id_text(make_event_id(TICKS_MAX + 1, 0, 0)),
    ],
)
def test_an_event_id_beyond_the_calendar_is_refused(text: str) -> None:
    with pytest.raises(InvalidId, match="5236"):
        event_id(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "cart",
        TWOSDAY_V1.upper(),
        "{" + TWOSDAY_V1 + "}",
        "urn:uuid:" + TWOSDAY_V1,
        TWOSDAY_V1.replace("-", ""),
        TWOSDAY_V1 + "\n",
        " " + TWOSDAY_V1,
        TWOSDAY_V1[:-1],
        TWOSDAY_V1[:-1] + "g",
        TWOSDAY_V1[:-1] + "\u0661",  # a digit, but not an ASCII one
        "c232ab009-414-11ec-b3c8-9f6bdeced846",
        "\ud800" * 100,
    ],
)
def test_only_the_canonical_text_is_an_id(text: str) -> None:
    for read in (parse_id, event_id, entity_id):
        with pytest.raises(InvalidId) as failure:
            read(text)
        str(failure.value).encode()  # it can be sent to whoever asked


NOT_TIME_BASED = [
    UUID("f2f47a95-fb61-4c5a-a83e-7a92210b09bb"),
    uuid5(NAMESPACE_DNS, "perdure"),
    entity_named("cart", "a"),
]
NEITHER = [
    UUID(int=0),
    UUID(int=2**128 - 1),
    UUID("c232ab00-9414-21ec-b3c8-9f6bdeced846"),  # version 2
    UUID("c232ab00-9414-11ec-13c8-9f6bdeced846"),  # another variant
    UUID("c232ab00-9414-41ec-c3c8-9f6bdeced846"),  # another variant
]


@pytest.mark.parametrize("id_", [*NOT_TIME_BASED, *NEITHER], ids=str)
def test_an_event_id_must_be_time_based(id_: UUID) -> None:
    for form in (id_, str(id_), id_.bytes):
        with pytest.raises(InvalidId, match="not an event id"):
            event_id(form)


@pytest.mark.parametrize(
    "id_", [UUID(TWOSDAY_V1), UUID(TWOSDAY_V6), UUID(TWOSDAY_V7), *NEITHER], ids=str
)
def test_an_entity_id_must_not_be_time_based(id_: UUID) -> None:
    for form in (id_, str(id_), id_.bytes):
        with pytest.raises(InvalidId, match="not an entity id"):
            entity_id(form)


@pytest.mark.parametrize("id_", NOT_TIME_BASED, ids=lambda id_: f"version {id_.version}")
def test_an_entity_id_has_one_meaning_in_all_its_forms(id_: UUID) -> None:
    assert entity_id(id_) == entity_id(str(id_)) == entity_id(id_.bytes) == id_.bytes


@pytest.mark.parametrize("size", [0, 15, 17, 36])
def test_bytes_of_another_length_are_no_id(size: int) -> None:
    for take in (event_id, entity_id):
        with pytest.raises(InvalidId, match="16 bytes"):
            take(b"1" * size)


@settings(deadline=None)
@given(st.binary(max_size=40) | st.text(max_size=40))
def test_whatever_is_given_an_id_is_taken_or_refused(value: bytes | str) -> None:
    for take in (event_id, entity_id):
        with suppress(InvalidId):
            assert len(take(value)) == 16


def test_a_natural_key_always_names_the_same_entity() -> None:
    ada = entity_named("account", "ada@example.org")

    assert ada.version == 5
    assert ada == entity_named("account", "ada@example.org")
    assert ada != entity_named("account", "eve@example.org")
    assert ada != entity_named("invoice", "ada@example.org")
    assert entity_named("a", "bc") != entity_named("ab", "c")
