"""A scenario says what an application would: of commands, of events, of what a saga is told."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from perdure import (
    At,
    Cancel,
    CommandNotFound,
    Context,
    DefinitionError,
    Done,
    Emit,
    HandlerFailed,
    InvalidInput,
    ModelNotFound,
    NewEvent,
    Parked,
    Refused,
    Reply,
    Send,
    Statement,
    WrongVersion,
)
from perdure.testing.scenarios import Scenario
from tests.testing.lending import (
    WEEKS,
    Book,
    Bought,
    Buy,
    Join,
    Joined,
    Lend,
    Lent,
    Overdue,
    Reader,
    Remind,
    Returned,
    Shelf,
    TakeBack,
    Thank,
    Waiting,
    Wish,
    Wished,
    book,
    library,
    readers,
    shelf,
    wish,
)

EMMA = book[UUID(int=1, version=4)]
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
start = Scenario(library).at(NOON)
lent = start.given([Bought("Emma"), Lent("ann")], about=EMMA)


# --- commands to an entity -------------------------------------------------------------------------


def test_a_command_gives_events_a_state_and_a_reply() -> None:
    outcome = start.when(Buy("Emma"), to=EMMA)

    assert outcome.rejection is None
    assert outcome.events == [Bought("Emma")]
    assert (outcome.state, outcome.version) == (Book("Emma"), 1)
    assert outcome.reply == {"title": "Emma"}
    assert outcome.statements == [Statement("INSERT INTO books VALUES (?)", ("Emma",))]


def test_a_rejection_leaves_the_state_and_gives_its_reason() -> None:
    outcome = lent.when(Lend("ben"), to=EMMA)

    assert outcome.rejection == "ann has it, of version 2 of 01"
    assert (outcome.events, outcome.timers) == ([], [])
    assert (outcome.state, outcome.version) == (Book("Emma", "ann", 1), 2)


def test_a_timer_is_told_by_the_moment_it_is_due() -> None:
    outcome = start.given([Bought("Emma")], about=EMMA).when(Lend("ann"), to=EMMA)

    assert outcome.timers == [At(NOON + WEEKS, Overdue("ann"), "due")]
    assert outcome.emits == []


def test_effects_of_both_kinds_and_timers_taken_back_are_given_out() -> None:
    outcome = lent.when(TakeBack("ann"), to=EMMA)

    assert outcome.effects == [Remind("ann"), Thank("ann")]
    assert outcome.timers == [Cancel("due")]
    assert outcome.stops


def test_what_was_decided_happens_at_the_moment_and_after_all_the_entity_has() -> None:
    (envelope,) = start.when(Buy("Emma"), to=EMMA).envelopes
    (earlier,) = lent.at(NOON - timedelta(days=1)).when(TakeBack("ann"), to=EMMA).envelopes

    assert (envelope.at, envelope.entity) == (NOON, UUID(int=1, version=4))
    assert NOON <= earlier.at < NOON + timedelta(seconds=1)


def test_a_story_goes_on_and_the_beginning_stays() -> None:
    after = lent.when(TakeBack("ann"), to=EMMA).after
    outcome = after.at(NOON + timedelta(hours=1)).when(Lend("ben"), to=EMMA)

    assert outcome.state == Book("Emma", "ben", 2)
    assert lent.model(EMMA) == Book("Emma", "ann", 1)


def test_what_an_outcome_shows_is_what_is_in_it() -> None:
    shown = repr(lent.when(Lend("ben"), to=EMMA))

    assert shown.startswith("Decided(rejection='ann has it")
    assert "sends" not in shown


def test_an_update_that_fails_on_what_was_decided_is_told() -> None:
    with pytest.raises(HandlerFailed, match="an update failed on what it gave: ValueError: ben"):
        lent.when(TakeBack("ben"), to=EMMA)
    with pytest.raises(HandlerFailed, match="an update failed: ValueError"):
        start.given([Returned("ben")], about=EMMA).model(EMMA)


def test_what_cannot_be_carried_out_is_told() -> None:
    with pytest.raises(HandlerFailed, match="which is not an event"):
        start.when(Buy("the wrong one"), to=EMMA)


def test_a_command_that_nobody_handles_is_told() -> None:
    with pytest.raises(CommandNotFound, match="no function of book handles Join"):
        start.when(Join("ann"), to=EMMA)
    with pytest.raises(CommandNotFound, match="no LOW handler handles Wish"):
        start.when(Wish("ann", uuid4()))
    with pytest.raises(CommandNotFound, match="belongs to context 'elsewhere'"):
        start.when(Buy("Emma"), to=Context("elsewhere").entity("book", Book).named("x"))


def test_a_moment_without_a_zone_is_told() -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        start.at(datetime(2026, 1, 1))  # noqa: DTZ001


# --- LOW handlers ----------------------------------------------------------------------------------


def test_a_low_handler_decides_on_what_was_given() -> None:
    story = start.given([Bought("Emma"), Lent("ann")], about=book.named("first"))
    outcome = story.when(Join("ann"))

    assert (outcome.events, outcome.reply) == ([Joined("ann", 2)], 2)
    (envelope,) = outcome.envelopes
    assert envelope.tags == ("reader:ann",)
    assert outcome.state is None


def test_a_low_handler_finds_events_by_their_tags() -> None:
    story = start.given([Joined("ann", 7)], tags=["reader:ann"])

    assert story.when(Join("ann")).reply == 7
    assert story.when(Join("ben")).events == [Joined("ben", 1)]
    assert story.when(Join("ben")).after.when(Join("ben")).events == []


def test_a_need_may_reject() -> None:
    assert start.when(Join("")).rejection == "who?"


def test_ids_of_two_commands_differ_and_of_one_do_not() -> None:
    first = start.when(Join("ann"))
    again = start.when(Join("ann"))
    then = first.after.when(Join("ben"))

    assert first.envelopes == again.envelopes
    assert first.envelopes[0].entity != then.envelopes[0].entity


def test_an_entity_that_must_be_fresh_is() -> None:
    taken = start.given([Joined("eve", 1)], about=UUID(int=7, version=4))

    with pytest.raises(WrongVersion):
        taken.when(Join("ann"), principal="careless")


# --- services and sagas ----------------------------------------------------------------------------


def test_models_are_those_of_the_events_by_when_they_happened() -> None:
    story = lent.at(NOON - timedelta(hours=2)).given([Lent("ann")], about=EMMA)

    assert story.model(readers["ann"]) == Reader(("10:00", "12:00"))
    assert story.model(shelf.ref) == Shelf(2)
    assert story.model(readers["nobody yet"]) == Reader()


def test_a_service_gives_out_for_the_new_event_alone() -> None:
    twice = start.given([Lent("ann"), Lent("ann")])
    other = UUID(int=9, version=4)

    assert twice.when_event(Lent("ben")).emits == [Emit(event=Wished("ben", other), entity=other)]
    assert twice.when_event(Lent("ben")).after.when_event(Lent("cid")).emits == []
    assert twice.when_event(Lent("ben"), by=readers).emits == []


def test_a_saga_sends_and_sets_a_timer() -> None:
    heard = start.when_event(Wished("ann", UUID(EMMA.key)))

    assert heard.model(wish["ann"]) == Waiting("asking")
    assert heard.sends == [Send(Lend("ann"), EMMA)]
    assert heard.timers == [At(NOON + timedelta(days=1), Remind("ann"), "late")]


def test_a_saga_hears_of_its_commands() -> None:
    asked = start.given([Wished("ann", UUID(EMMA.key))])
    done = asked.when_event(Done(Lend("ann"), "c"), about=wish["ann"])
    refused = asked.when_event(Refused(Lend("ann"), "c", "it is gone"), about=wish["ann"])

    assert done.model(wish["ann"]) == Waiting("got it")
    assert done.timers == [Cancel("late")]
    assert refused.model(wish["ann"]) == Waiting("it is gone")
    assert refused.effects == [Remind("the librarian")]


def test_what_comes_after_the_end_of_a_saga_changes_nothing() -> None:
    over = start.given([Wished("ann", UUID(EMMA.key))]).given(
        [Done(Lend("ann"), "c")], about=wish["ann"]
    )

    heard = over.when_event(Wished("ann", UUID(EMMA.key)))
    assert (heard.model(wish["ann"]), heard.sends) == (Waiting("got it"), [])


def test_what_a_saga_sends_can_be_sent_on() -> None:
    heard = start.given([Bought("Emma")], about=EMMA).when_event(Wished("ann", UUID(EMMA.key)))
    (send,) = heard.sends
    assert send.to is not None

    outcome = heard.after.when(send.command, to=send.to)
    told = outcome.after.when_event(Done(send.command, "c"), about=wish["ann"])

    assert outcome.events == [Lent("ann")]
    assert told.model(wish["ann"]) == Waiting("got it")


def test_a_reaction_that_fails_is_told_as_the_key_it_would_park() -> None:
    with pytest.raises(Parked, match="shelf '' is parked at position 1: ValueError: nobody reads"):
        start.when_event(Lent("nobody"))
    with pytest.raises(Parked) as failure:
        start.given([Lent("nobody")]).model(shelf.ref)

    assert isinstance(failure.value.__cause__, ValueError)


def test_an_event_without_a_class_is_given_as_it_would_be_appended() -> None:
    seen = Context("seen")
    visits = seen.service("visits", Shelf)

    @visits.react("page_seen")
    def page_seen(model: Shelf, event: dict[str, int]) -> Shelf:
        return Shelf(model.lent + event["times"])

    reader = uuid4()
    event = NewEvent(type="page_seen", entity=reader.bytes, data=b'{"times":3}')

    story = Scenario(seen).given([event, event])
    assert story.model(visits[reader]) == Shelf(6)
    with pytest.raises(InvalidInput, match="is not a UUID"):
        story.model(visits["ann"])


def test_an_event_that_nobody_declared_is_told() -> None:
    with pytest.raises(DefinitionError, match="Buy is not an event of context 'library'"):
        start.given([Buy("Emma")])
    with pytest.raises(DefinitionError, match="about the saga that is told"):
        start.given([Done(Lend("ann"), "c")])
    with pytest.raises(InvalidInput, match="is not a UUID"):
        start.given([Lent("ann")], about="emma")


def test_what_crosses_a_context_is_named_with_it() -> None:
    office, shop = Context("office"), Context("shop")
    office.event(Lent)
    shop.event(Lent)
    shop.event(Joined)
    counts = shop.service("counts", Shelf)

    @counts.react
    def count(model: Shelf, event: Lent) -> tuple[Shelf, list[Emit | Joined]]:
        return model, [Emit(event=event, context="office", tags=("a",)), Joined("ann", 1)]

    heard = Scenario(shop, office).when_event(Lent("ann"))

    assert heard.emits == [Emit(event=Lent("ann"), context="office", tags=("a",)), Joined("ann", 1)]


def test_a_low_handler_may_rest_on_a_model_and_not_on_one_that_no_guard_can_hold() -> None:
    shop = Context("shop")
    shop.event(Lent)
    counts = shop.service("counts", Shelf, single=True)
    by_reader = shop.service("by_reader", Shelf, by="reader")

    @counts.react
    def count(model: Shelf, event: Lent) -> Shelf:
        return Shelf(model.lent + 1)

    by_reader.react(count)

    @shop.low(lambda command: counts.ref if command.reader == "all" else by_reader["ann"])
    def join(command: Join, found: Shelf) -> list[Reply]:
        return [Reply(found.lent)]

    story = Scenario(shop).given([Lent("ann"), Lent("ben")])

    assert story.when(Join("all")).reply == 2
    with pytest.raises(InvalidInput, match="keyed by a field"):
        story.when(Join("ann"))


def test_a_decision_overtakes_nothing_that_has_happened_to_what_it_writes_about() -> None:
    other = uuid4()
    shop = Context("shop")
    shop.event(Lent)

    @shop.low()
    def join(command: Join) -> list[Emit]:
        return [Emit(event=Lent(command.reader), entity=other)]

    (envelope,) = (
        start_of(shop).given([Lent("ann")], about=other).at(NOON).when(Join("x")).envelopes
    )

    assert envelope.at > NOON


def start_of(context: Context) -> Scenario:
    return Scenario(context).at(NOON + timedelta(days=1))


def test_what_is_looked_up_in_another_context_or_nowhere_is_told() -> None:
    with pytest.raises(DefinitionError, match="belongs to context 'shop'"):
        start.model(Context("shop").service("counts", Shelf)["x"])
    with pytest.raises(ModelNotFound, match="keeps a model under 'counts'"):
        start.model(Context("library").service("counts", Shelf)["x"])
