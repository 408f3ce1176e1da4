"""Any call can be watched; whatever goes wrong with the mark and the message, the process ends."""

import threading

import pytest

from perdure.engines.memory import MemoryEngine
from perdure.runtime.environment import SystemClock
from perdure.runtime.watchdog import EXIT_CODE, Describe, Hung, Stack, Watchdog, forget, marks
from perdure.vocabulary.commits import Commit
from tests.runtime.ending import SECONDS, Ending, ProcessEndedError


def decide(ending: Ending) -> Hung:
    """Stands for a ``handle`` function."""
    ending.spin()
    raise AssertionError


def refusing(stack: Stack) -> Hung:
    return Hung(context="bank", loop="decide", key="c1", label=stack[0].f_code.co_name)


async def test_any_call_can_be_watched_and_its_mark_is_found_and_forgotten() -> None:
    log = await MemoryEngine(SystemClock()).open("bank")
    ending = Ending()
    watchdog = Watchdog(SECONDS, end=ending.end)
    watchdog.start()
    with pytest.raises(ProcessEndedError), watchdog.watching(log, refusing):
        decide(ending)
    watchdog.stop()

    (hung,) = await marks(log, "decide")
    assert (hung.key, hung.label, hung.seconds) == ("c1", "decide", SECONDS)
    assert not await marks(log, "react/cart")
    await log.commit([Commit(records=(forget(hung),))])
    assert not await marks(log)


def say_nothing(stack: Stack) -> Hung:
    raise ValueError("nothing to say")


@pytest.mark.parametrize("describe", [refusing, say_nothing])
async def test_the_process_ends_though_nothing_can_be_marked_or_said(
    describe: Describe, caplog: pytest.LogCaptureFixture
) -> None:
    log = await MemoryEngine(SystemClock()).open("bank")
    await log.close()
    ending = Ending()
    watchdog = Watchdog(SECONDS, end=ending.end)
    watchdog.start()
    with pytest.raises(ProcessEndedError), watchdog.watching(log, describe):
        decide(ending)
    watchdog.stop()

    assert ending.codes == [EXIT_CODE]
    assert "does not return" in caplog.text


async def test_it_can_be_turned_off() -> None:
    watchdog = Watchdog(0, end=Ending().end)
    watchdog.start()
    with watchdog.watching(None, say_nothing):
        assert not any(t.name == "perdure-watchdog" for t in threading.enumerate())
    watchdog.stop()
