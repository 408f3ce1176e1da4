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
from msgspec.structs import replace

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
TAGS: tuple[tuple[str, ...], ...] = ((), ("red",), ("red", "blue"))
INTENT_IDS = [bytes([number]) * 16 for number in (3, 1, 2)]

#: Few events, so that they come again: late and early, of each id version, six at each tick.
EVENTS = [
    NewEvent(
        type=TYPES[number % 2],
        entity=ENTITIES[number % 3],
        data=b'{"n":1,"m":[]}',
        id=id_at(DAWN + number % 5 * TICKS_PER_MILLISECOND, 2**40 - number, (1, 6, 7)[number % 3]),
        domain=(None, *DOMAINS)[number // 3 % 3],
        tags=TAGS[number // 2 % 3],
    )
    for number in range(30)
]

events = st.sampled_from(EVENTS)
respelled = events.map(lambda event: replace(event, data=b'{ "m" : [ ] , "n" : 1 }'))
contradictions = st.builds(
    lambda event, change: replace(event, **change),
    events,
    st.sampled_from(({"data": b'{"n":1}'}, {"domain": "other"}, {"tags": ("blue",)})),
)
new_events = st.one_of(*[events] * 8, respelled, contradictions)
criterias = st.builds(
    Criteria,
    types=st.sampled_from(((), TYPES[:1], TYPES)),
    domains=st.sampled_from(((), DOMAINS[:1], DOMAINS)),
    entities=st.sampled_from(((), ENTITIES[:1], ENTITIES[1:])),
    tags=st.sampled_from(TAGS),
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
                return NothingAfter(criteria, max(0, expected.head + 3 * slip))
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
        self.past = [Commit()]

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
        self.past += commits

    @rule(request=requests)
    def read(self, request: Read) -> None:
        assert ids(self._run(read(self._log, request))) == expected_ids(
            self._expected.events, request
        )

    @rule(commit=st.runner().flatmap(lambda machine: st.sampled_from(machine.past)))
    def commit_again(self, commit: Commit) -> None:
        (verdict,) = self._run(self._log.commit([commit]))
        self._expected.follow(commit, verdict)

    @rule(criteria=criterias, after=st.sampled_from((b"", *ENTITIES)), limit=st.integers(0, 4))
    def look_up(self, criteria: Criteria, after: bytes, limit: int) -> None:
        matching = [e for e in self._expected.events if criteria.matches(e)]
        entities = sorted({e.entity for e in matching if e.entity > after})[:limit]
        assert self._run(self._log.entities(criteria, after, limit)) == entities
        assert ids(self._run(self._log.events([e.id for e in EVENTS if criteria.matches(e)]))) == [
            event.id for event in matching
        ]

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
