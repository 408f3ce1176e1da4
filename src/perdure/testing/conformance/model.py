"""Random commits and reads, step by step, against the plain model of ``oracle``.

The state machine runs in a thread of its own and reaches the engine on the test's loop, so that any engine
that passes the other parts can be put here unchanged. The examples are the same in every run.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from msgspec.structs import replace

from perdure.ports.engine import Engine, Log
from perdure.testing.conformance.oracle import ExpectedLog, expected_ids, turn
from perdure.testing.conformance.samples import (
    ANN,
    BEN,
    CAT,
    DAWN,
    as_given,
    id_at,
    ids,
    intent,
    read,
)
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
from perdure.vocabulary.events import NewEvent, RecordedEvent
from perdure.vocabulary.ids import TICKS_PER_MILLISECOND
from perdure.vocabulary.reading import Read

T = TypeVar("T")

#: How long one call may take before the test gives up.
BOUND_SECONDS = 30.0

ENTITIES, TYPES, DOMAINS, KEYS = (ANN, BEN, CAT), ("opened", "closed"), ("notes", "Notes"), "kl"
TAGS: tuple[tuple[str, ...], ...] = ((), ("red",), ("red", "blue"))
INTENT_IDS = [bytes([number]) * 16 for number in (3, 1, 2, 5, 4)]
DUES = (0, 10, 20)

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

#: As it is, most of the time; else spelled in another way, or contradicting the others of its id.
CHANGES: list[dict[str, object]] = [
    *({} for _ in range(8)),
    {"data": b'{ "m" : [ ] , "n" : 1 }'},
    {"data": b'{"n":1}'},
    {"domain": "other"},
    {"tags": ("blue",)},
]

new_events = st.builds(
    lambda number, change: replace(EVENTS[number], **CHANGES[change]),
    st.integers(0, len(EVENTS) - 1),
    st.integers(0, len(CHANGES) - 1),
)
criterias = st.builds(
    Criteria,
    types=st.sampled_from(((), (), TYPES[:1], TYPES)),
    domains=st.sampled_from(((), (), DOMAINS[:1], DOMAINS)),
    entities=st.sampled_from(((), (), ENTITIES[:1], ENTITIES[1:])),
    tags=st.sampled_from(TAGS),
)
puts = st.builds(
    Put,
    kind=st.just("model"),
    key=st.sampled_from(KEYS),
    value=st.sampled_from((None, b"", b"\x00v")),
)
intent_changes = st.one_of(
    st.builds(
        intent,
        st.sampled_from(INTENT_IDS),
        st.binary(max_size=2),
        due=st.sampled_from((0, 0, *DUES)),
    ),
    st.builds(Settle, st.sampled_from(INTENT_IDS)),
)


@dataclass(frozen=True)
class GuardDraft:
    """A guard that is yet to be fitted to the log: ``slip`` is how far it misses the truth."""

    kind: str
    slip: int
    entity: bytes
    key: str
    criteria: Criteria

    def fitted(self, expected: ExpectedLog) -> Guard:
        """Give the guard, about the log as it is now."""
        match self.kind:
            case "version":
                return EntityAt(self.entity, max(0, expected.version(self.entity) + self.slip))
            case "criteria":
                return NothingAfter(self.criteria, max(0, expected.head + 4 * self.slip))
            case "happened":
                return HappenedBefore(self.entity, DAWN + (4 + self.slip) * TICKS_PER_MILLISECOND)
        revision = expected.revision("model", self.key) + self.slip
        return RecordAt("model", self.key, max(0, revision))


@dataclass(frozen=True)
class Draft:
    """A commit with guards that are yet to be fitted."""

    commit: Commit
    guards: list[GuardDraft]

    def fitted(self, expected: ExpectedLog) -> Commit:
        """Give the commit, about the log as it is now."""
        return replace(self.commit, guards=tuple(each.fitted(expected) for each in self.guards))


guard_drafts = st.builds(
    GuardDraft,
    kind=st.sampled_from(("version", "criteria", "happened", "record")),
    slip=st.sampled_from((0, 0, 0, 1, -1)),
    entity=st.sampled_from(ENTITIES),
    key=st.sampled_from(KEYS),
    criteria=criterias,
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
        #: Turns as the log numbers places, by turn as the model does: also of what was settled since.
        self.turns = {(-1, 0): (-1, 0)}

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
    def select(self, criteria: Criteria, after: bytes, limit: int) -> None:
        matching = [event for event in self._expected.events if criteria.matches(event)]
        entities = sorted({event.entity for event in matching if event.entity > after})[:limit]
        assert self._run(self._log.entities(criteria, after, limit)) == entities
        assert ids(self._run(self._log.events(ids(reversed(matching))))) == ids(matching)

    @rule()
    def look_at_intents(self) -> None:
        intents = self._run(self._log.intents("emit"))
        expected = self._expected.intents_of("emit", max(DUES), (-1, 0))
        assert as_given(intents) == as_given(expected)
        self.turns |= zip(map(turn, expected), map(turn, intents), strict=True)
        places = [self.turns[known][1] for known in sorted(self.turns, key=lambda t: t[1])]
        assert places == sorted(set(places)), "a place was given twice, or not in order"
        for each in INTENT_IDS:
            found = [intent for intent in intents if intent.id == each]
            assert [self._run(self._log.intent(each))] == (found or [None])

    @rule(
        after=st.runner().flatmap(lambda machine: st.sampled_from(sorted(machine.turns))),
        due=st.sampled_from(DUES),
        limit=st.integers(0, 3),
    )
    def page_intents(self, after: tuple[int, int], due: int, limit: int) -> None:
        page = self._log.intents("emit", due=due, after=self.turns[after], limit=limit)
        expected = self._expected.intents_of("emit", due, after)[:limit]
        assert as_given(self._run(page)) == as_given(expected)

    @rule()
    def compare(self) -> None:
        expected = self._expected
        assert _essence(self._run(read(self._log))) == _essence(expected.events)
        assert self._run(self._log.head()) == expected.head
        for entity in ENTITIES:
            assert self._run(self._log.version(entity)) == expected.version(entity)
        assert self._run(self._log.records("model")) == expected.records_of("model")
        named = sorted({e.domain for e in expected.events if e.domain is not None})
        assert self._run(self._log.domains()) == named


class Model(EngineUnderTest):
    """The log and its model never part."""

    #: How long to look, and that the examples are the same in every run; a night's run may do more.
    model_settings = settings(
        max_examples=60,
        stateful_step_count=40,
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )

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
            settings=self.model_settings,
        )


def _essence(events: Iterable[RecordedEvent]) -> list[tuple[object, ...]]:
    """Give what the model knows of events; when they were recorded is the engine's affair."""
    return [(e.position, e.version, e.ticks, e.id, e.type, e.data, e.tags) for e in events]
