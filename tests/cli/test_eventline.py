import json
import time
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.cli.eventline import EventReader, write_line
from perdure.core.context import Context
from perdure.core.definition import define
from perdure.transports.event_json import write_event
from perdure.vocabulary.errors import InvalidInput, LimitExceeded, PayloadMismatch
from perdure.vocabulary.events import Metadata, NewEvent, RecordedEvent
from perdure.vocabulary.ids import make_event_id
from perdure.vocabulary.jsontext import DATA_BYTES_MAX, write_object
from tests.cli.applications import notes, others
from tests.cli.support import ENTITY, MORNING, id_at, line

names = st.from_regex(r"[A-Za-z][A-Za-z0-9_.-]{0,20}", fullmatch=True).filter(
    lambda name: (
        name.lower() not in {"keys", "events", "event", "model", "models", "live"}
        and name not in {"commands", "queries"}
    )
)
tags = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=20)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


def reader(context: Context | None = None) -> EventReader:
    made = EventReader(define(context or Context("any")), ahead_seconds_max=86_400)
    made.set_now(time.time_ns() // 1000)
    return made


def recorded(event: NewEvent, metadata: bytes = b"") -> RecordedEvent:
    return RecordedEvent(
        position=7,
        version=3,
        ticks=event.ticks,
        recorded_at=1_790_000_000_000_000,
        type=event.type,
        entity=event.entity,
        id=event.id,
        data=event.data,
        domain=event.domain,
        tags=event.tags,
        metadata=metadata,
    )


@given(
    type_=names,
    domain=st.none() | names,
    entity=st.uuids(version=4),
    data=st.dictionaries(st.text(max_size=8), plain, max_size=4),
    given_tags=st.lists(tags, max_size=3),
    metadata=st.builds(Metadata, principal=st.none() | st.text(max_size=9)),
    number=st.integers(0, 10**6),
)
def test_reading_is_the_inverse_of_writing(
    type_: str,
    domain: str | None,
    entity: UUID,
    data: dict[str, Any],
    given_tags: list[str],
    metadata: Metadata,
    number: int,
) -> None:
    event = NewEvent(
        type=type_,
        entity=entity.bytes,
        id=make_event_id(MORNING + number, 0, 1),
        data=write_object(data),
        domain=domain,
        tags=tuple(given_tags),
    )
    written = write_line(recorded(event, msgspec.json.encode(metadata)))

    read = reader().read(written)

    assert event == msgspec.structs.replace(read, metadata=b"")
    assert written == write_line(recorded(read, read.metadata))


def test_what_is_read_is_marked_as_imported_and_the_mark_is_not_exported() -> None:
    read = reader().read(line(1, metadata={"principal": "ann", "imported": True}))
    event = recorded(read, read.metadata)

    assert event.is_imported
    assert event.metadata.decode() == '{"principal":"ann","imported":true}'
    assert json.loads(write_line(event))["metadata"] == {"principal": "ann"}
    assert json.loads(write_event(event))["metadata"]["imported"]


def test_a_line_from_elsewhere_needs_four_members() -> None:
    event = reader(notes).read(line(1))

    assert (id_at(1).bytes, "noted", ENTITY.bytes) == (event.id, event.type, event.entity)
    assert (event.domain, event.tags, event.metadata) == (None, (), b'{"imported":true}')
    assert event.data == b'{"text":"note 1"}'


def test_what_the_server_recorded_itself_is_read_too() -> None:
    started = line(1, type="perdure.server_started", data={"node": "n", "version": "1"})

    assert reader().read(started).type == "perdure.server_started"


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        (b"{", "not JSON"),
        (b"[]\n", "object"),
        (b'{"event_id": 1}\n', "event_id"),
        (line(1, tag=["x"]), "unknown field `tag`"),
        (line(1, event_id="nothing"), "not a UUID"),
        (line(1, event_id=str(ENTITY)), "not an event id"),
        (line(1, entity_id=str(id_at(1))), "not an entity id"),
        (line(1, type="keys"), "reserved word"),
        (line(1, type="perdure.made_up"), "belong to the server"),
        (line(1, domain="not good"), "not a domain"),
        (line(1, tags=["\t"]), "not a tag"),
        (line(1, data=[1]), "object"),
        (line(1, data=7), "object"),
        (line(1, metadata={"principal": 7}), "metadata"),
        (line(1, metadata={"note": "x" * 20_000}), "metadata"),
        (line(1).replace(b'"note 1"', b"NaN"), "NaN"),
        (line(1).replace(b'"note 1"', b'"\xff"'), "UTF-8"),
        (line(1).replace(b"}}", b'}, "type": "noted"}'), "there twice"),
        (line(1).replace(b"}}", b', "text": "x"}}'), "there twice"),
        (line(1).replace(b"}}", b'}, "data": {}}'), "there twice"),
        (line(1, position=1).replace(b": 1}", b': 1, "\\u0070osition": 2}'), "there twice"),
        (line(1)[:-20] + b"[" * 3000, "nested"),
        (b'{"data": ' + b"[" * 100_000, "nested"),
    ],
)
def test_a_malformed_line_is_refused_and_says_why(bad: bytes, complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        reader().read(bad)


def test_a_payload_is_held_against_its_declaration() -> None:
    with pytest.raises(PayloadMismatch, match="/text"):
        reader(notes).read(line(1, data={"text": 7}))
    with pytest.raises(InvalidInput, match="not declared in the strict context"):
        reader(others).read(line(1))


def test_an_event_from_the_far_future_is_refused() -> None:
    tomorrow = UUID(bytes=make_event_id(MORNING + 10**7 * 86_400 * 365 * 30, 0, 1))

    with pytest.raises(InvalidInput, match="ahead of this machine's clock"):
        reader().read(line(1, event_id=str(tomorrow)))


def test_the_largest_payload_fits_and_no_larger_one_does() -> None:
    frame = len(b'{"text":""}')
    largest = line(1, data={"text": "x" * (DATA_BYTES_MAX - frame)}).replace(b'": ', b'":')

    assert len(reader().read(largest).data) == DATA_BYTES_MAX
    with pytest.raises(LimitExceeded):
        reader().read(largest.replace(b"xxx", b"xxxx", 1))
    with pytest.raises(LimitExceeded):
        reader().read(line(1, data={"text": "x" * 2 * DATA_BYTES_MAX}))


def test_a_payload_at_the_greatest_depth_is_read_back() -> None:
    data = b'{"a":' + b"[" * 63 + b"]" * 63 + b"}"
    event = NewEvent(type="deep", entity=ENTITY.bytes, id=id_at(1).bytes, data=data)

    assert data == reader().read(write_line(recorded(event))).data


def test_metadata_keeps_what_this_version_does_not_know() -> None:
    read = reader().read(line(1, metadata={"later": {"a": [1]}}))

    assert json.loads(read.metadata) == {"later": {"a": [1]}, "imported": True}
