"""Random commits and reads, step by step, against the plain model of ``oracle``.

The state machine runs in a thread of its own and reaches the engine on the test's loop, so that any engine
that passes the other parts can be put here unchanged. The examples are the same in every run.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from perdure.ports.engine import Engine, Log
from perdure.testing.conformance.oracle import ExpectedLog, expected_ids
from perdure.testing.conformance.samples import ANN, BEN, CAT, DAWN, id_at, ids, intent, read
from perdure.testing.conformance.subject import EngineUnderTest
from perdure.vocabulary.commits import (
    Commit,
    EntityAt,
    Guard,
    HappenedBefore,
    NothingAfter,
    Put,
    RecordAt,
    Settle,
)
from perdure.vocabulary.criteria import Criteria
from perdure.vocabulary.events import NewEvent
from perdure.vocabulary.ids import TICKS_PER_MILLISECOND
from perdure.vocabulary.reading import Read

T = TypeVar("T")

EXAMPLES, STEPS, BOUND_SECONDS = 50, 30, 30.0

ENTITIES, TYPES, DOMAINS, KEYS = (ANN, BEN, CAT), ("opened", "closed"), ("notes", "Notes"), "kl"
EVENT_IDS = [
    id_at(DAWN + tick * TICKS_PER_MILLISECOND, node, version)
    for tick in range(5)
    for node in (1, 2**40)
    for version in (1, 6, 7)
]
INTENT_IDS = [bytes([number]) * 16 for number in (3, 1, 2)]

tags = st.sampled_from(((), ("red",), ("red", "blue")))
new_events = st.builds(
    NewEvent,
    type=st.sampled_from(TYPES),
    entity=st.sampled_from(ENTITIES),
    data=st.sampled_from((b'{"n":1}', b'{ "n" : 1 }', b'{"n":2}')),
    id=st.sampled_from(EVENT_IDS),
    domain=st.sampled_from((None, *DOMAINS)),
    tags=tags,
)
criterias = st.builds(
    Criteria,
    types=st.sampled_from(((), TYPES[:1], TYPES)),
    domains=st.sampled_from(((), DOMAINS[:1], DOMAINS)),
    entities=st.sampled_from(((), ENTITIES[:1], ENTITIES[1:])),
    tags=tags,
)
puts = st.builds(
    Put,
    kind=st.just("model"),
    key=st.sampled_from(KEYS),
    value=st.sampled_from((None, b"", b"\x00v")),
)
intent_changes = st.one_of(
    st.builds(intent, st.sampled_from(INTENT_IDS), st.binary(max_size=2)),
    st.builds(Settle, st.sampled_from(INTENT_IDS)),
)


@dataclass(frozen=True)
class Draft:
    """A commit whose guards are yet to be fitted to the log: each misses the truth by its slip."""

    commit: Commit
    guards: list[tuple[str, int, Criteria]]

    def fitted(self, expected: ExpectedLog) -> Commit:
        """Give the commit, with guards about the log as it is now."""
        guards = tuple(self._guard(*guard, expected) for guard in self.guards)
        return Commit(
            guards=guards,
            events=self.commit.events,
            records=self.commit.records,
            intents=self.commit.intents,
        )

    def _guard(self, kind: str, slip: int, criteria: Criteria, expected: ExpectedLog) -> Guard:
        entity, key = ENTITIES[slip % 3], KEYS[slip % 2]
        match kind:
            case "version":
                return EntityAt(entity, max(0, expected.version(entity) + slip))
            case "criteria":
                return NothingAfter(criteria, max(0, expected.head + slip))
            case "happened":
                return HappenedBefore(entity, DAWN + (3 - slip) * TICKS_PER_MILLISECOND)
        return RecordAt("model", key, max(0, expected.revision("model", key) + slip))


guard_drafts = st.tuples(
    st.sampled_from(("version", "criteria", "happened", "record")),
    st.sampled_from((0, 0, 0, 0, -1, -2, 1)),
    criterias,
)
drafts = st.builds(
    Draft,
    st.builds(
        Commit,
        events=st.lists(new_events, max_size=3).map(tuple),
        records=st.lists(puts, max_size=2).map(tuple),
        intents=st.lists(intent_changes, max_size=2).map(tuple),
    ),
    st.lists(guard_drafts, max_size=2),
)
requests = st.builds(
    Read,
    criteria=criterias,
    order=st.sampled_from(("recorded", "happened")),
    backwards=st.booleans(),
    after=st.integers(0, 12),
    upto=st.none() | st.integers(0, 20),
    limit=st.none() | st.integers(0, 5),
)


class LogMachine(RuleBasedStateMachine):
    """Steps that a log may be put through, and what it must answer."""

    def __init__(
        self, new_log: Callable[[], Log], run: Callable[[Coroutine[Any, Any, Any]], Any]
    ) -> None:
        super().__init__()
        self._new_log, self._run = new_log, run
        self._expected = ExpectedLog()

    @initialize()
    def open(self) -> None:
        self._log = self._new_log()

    @rule(group=st.lists(drafts, min_size=1, max_size=3))
    def commit(self, group: list[Draft]) -> None:
        commits = [draft.fitted(self._expected) for draft in group]
        verdicts = self._run(self._log.commit(commits))
        assert len(verdicts) == len(commits)
        for commit, verdict in zip(commits, verdicts, strict=True):
            self._expected.follow(commit, verdict)

    @rule(request=requests)
    def read(self, request: Read) -> None:
        assert ids(self._run(read(self._log, request))) == expected_ids(
            self._expected.events, request
        )

    @rule(criteria=criterias, after=st.sampled_from((b"", *ENTITIES)), limit=st.integers(0, 4))
    def entities(self, criteria: Criteria, after: bytes, limit: int) -> None:
        matching = {e.entity for e in self._expected.events if criteria.matches(e)}
        expected = sorted(entity for entity in matching if entity > after)[:limit]
        assert self._run(self._log.entities(criteria, after, limit)) == expected

    @rule(wanted=st.lists(st.sampled_from(EVENT_IDS), max_size=4))
    def events(self, wanted: list[bytes]) -> None:
        expected = [event.id for event in self._expected.events if event.id in wanted]
        assert ids(self._run(self._log.events(wanted))) == expected

    def teardown(self) -> None:
        expected = self._expected
        stored = self._run(read(self._log))
        assert [(e.position, e.version, e.ticks, e.id, e.data) for e in stored] == [
            (e.position, e.version, e.ticks, e.id, e.data) for e in expected.events
        ]
        assert self._run(self._log.head()) == expected.head
        for entity in ENTITIES:
            assert self._run(self._log.version(entity)) == expected.version(entity)
        records = sorted(expected.records.values(), key=lambda record: record.key)
        assert self._run(self._log.records("model")) == records
        assert self._run(self._log.intents("emit")) == expected.intents
        named = sorted({e.domain for e in expected.events if e.domain is not None})
        assert self._run(self._log.domains()) == named


class Model(EngineUnderTest):
    """The log and its model never part."""

    async def test_the_log_behaves_as_its_model(self, engine: Engine) -> None:
        loop, number = asyncio.get_running_loop(), count()

        def run(call: Coroutine[Any, Any, T]) -> T:
            return asyncio.run_coroutine_threadsafe(call, loop).result(BOUND_SECONDS)

        class Machine(LogMachine):
            def __init__(self) -> None:
                super().__init__(lambda: run(engine.open(f"model_{next(number)}")), run)

        await asyncio.to_thread(
            run_state_machine_as_test,
            Machine,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                derandomize=True,
                database=None,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            ),
        )
