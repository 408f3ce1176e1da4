"""Intents: what is given out in a commit, and stays open until it is settled."""

from perdure.ports.engine import Log
from perdure.testing.conformance.samples import Maker, commit, committed, intent
from perdure.testing.conformance.subject import EngineUnderTest
from perdure.vocabulary.commits import Commit, EntityAt, Intent, Settle

ONE, TWO, THREE, FOUR = (bytes([number]) * 16 for number in (9, 2, 7, 4))


async def give(log: Log, *changes: Intent | Settle) -> None:
    """Write intents, unconditionally, in one commit."""
    committed(await commit(log, Commit(intents=changes)))


async def open_ids(log: Log, kind: str = "emit") -> list[bytes]:
    """Give the ids of the open intents."""
    return [each.id for each in await log.intents(kind)]


class Intents(EngineUnderTest):
    """First under an id wins; the order of giving out is kept."""

    async def test_an_intent_comes_back_as_it_was_given(self, log: Log) -> None:
        given = Intent(
            id=ONE,
            kind="emit",
            target="caf\u00e9 %",
            ordering="a/b",
            payload=bytes(range(256)),
            due=1_767_225_600_000_000,
        )
        await give(log, given)

        assert await log.intents("emit") == [given]

    async def test_the_order_of_giving_out_is_kept(self, log: Log, make: Maker) -> None:
        await give(log, intent(THREE), intent(ONE))
        await commit(log, Commit(events=(make.event(),), intents=(intent(FOUR), intent(TWO))))

        assert await open_ids(log) == [THREE, ONE, FOUR, TWO]

    async def test_due_changes_nothing_in_the_order(self, log: Log) -> None:
        due = [Intent(id=i, kind="emit", target="t", ordering="o", payload=b"", due=d)
               for i, d in ((ONE, 30), (TWO, 10), (THREE, 20))]  # fmt: skip
        await give(log, *due)

        assert await log.intents("emit") == due

    async def test_the_first_under_an_id_stays(self, log: Log) -> None:
        await give(log, intent(ONE, b"first"), intent(TWO), intent(ONE, b"second"))
        await give(log, intent(ONE, b"third", kind="other"), intent(THREE))

        assert await log.intents("emit") == [intent(ONE, b"first"), intent(TWO), intent(THREE)]
        assert await log.intents("other") == []

    async def test_kinds_and_limits_select_the_oldest(self, log: Log) -> None:
        given = [intent(bytes([n]) * 16, kind=("emit", "call")[n % 2]) for n in range(9, 0, -1)]
        await give(log, *given)

        emit = [each for each in given if each.kind == "emit"]
        assert await log.intents("emit") == emit
        assert await log.intents("emit", 2) == emit[:2]
        assert await log.intents("emit", limit=0) == []
        assert await log.intents("never") == []

    async def test_a_settled_intent_is_gone(self, log: Log) -> None:
        await give(log, intent(ONE), intent(TWO), intent(THREE))

        await give(log, Settle(TWO), Settle(FOUR))

        assert await open_ids(log) == [ONE, THREE]
        await give(log, Settle(TWO), Settle(ONE), Settle(THREE))
        assert await open_ids(log) == []

    async def test_giving_and_settling_go_in_the_order_of_the_commit(self, log: Log) -> None:
        await give(log, intent(ONE, b"old"), intent(TWO))

        await give(log, Settle(ONE), intent(ONE, b"new"), intent(THREE), Settle(THREE))

        assert await log.intents("emit") == [intent(TWO), intent(ONE, b"new")]

    async def test_a_refused_commit_settles_nothing(self, log: Log) -> None:
        await give(log, intent(ONE))

        await commit(log, Commit(guards=(EntityAt(b"x" * 16, 1),), intents=(Settle(ONE),)))

        assert await open_ids(log) == [ONE]

    async def test_settling_goes_with_the_event_it_led_to(self, log: Log, make: Maker) -> None:
        await give(log, intent(ONE))
        delivery = Commit(events=(make.event(),), intents=(Settle(ONE), intent(TWO)))

        await commit(log, delivery)
        again = committed(await commit(log, delivery))

        assert again.repeated
        assert await open_ids(log) == [TWO]

    async def test_a_thousand_intents_keep_their_order(self, log: Log) -> None:
        given = [(n * 7919 % 1009).to_bytes(16, "big") for n in range(1009)]
        await give(log, *map(intent, given))

        assert [each.id for each in await log.intents("emit", 2000)] == given
        assert await open_ids(log) == given[:1000]
