"""What is due, in memory: lane by lane, never out of order, never more of a target than it may hold."""

from hypothesis import given
from hypothesis import strategies as st

from perdure.runtime.backlog import Backlog
from perdure.vocabulary.commits import Intent

MOST = 4


def intent(number: int, target: str, ordering: str) -> Intent:
    return Intent(
        id=number.to_bytes(16, "big"), kind="effect", target=target, ordering=ordering,
        payload=b"", place=number,
    )  # fmt: skip


def held(backlog: Backlog) -> list[int]:
    found = []
    while heads := list(backlog.heads()):
        found += [backlog.take(lane).place for lane, _ in heads]
    return found


def test_a_lane_is_given_from_its_front_and_an_intent_is_held_once() -> None:
    backlog = Backlog(MOST)
    first, second = intent(1, "mail", "a"), intent(2, "mail", "a")
    for each in (first, second, first):
        backlog.add(("effect", "a"), each)

    assert [each.place for _, each in backlog.heads()] == [1]
    assert backlog.take(("effect", "a")) is first
    backlog.put_back(("effect", "a"), first)
    backlog.put_back(("effect", "a"), first)
    assert held(backlog) == [1, 2]


def test_a_target_that_is_full_leaves_room_for_others() -> None:
    backlog = Backlog(MOST)
    for number in range(9):
        backlog.add(("effect", f"mail {number}"), intent(number, "mail", f"mail {number}"))
    backlog.add(("effect", "ring"), intent(9, "ring", "ring"))

    assert not backlog.wants_more
    assert held(backlog) == [0, 1, 2, 3, 9]
    assert backlog.wants_more


def test_what_comes_behind_one_that_is_left_out_is_left_out_too() -> None:
    backlog = Backlog(MOST)
    for number in range(5):
        backlog.add(("effect", "a" if number == 4 else str(number)), intent(number, "mail", "x"))
    backlog.add(("effect", "a"), intent(5, "ring", "a"))

    assert held(backlog) == [0, 1, 2, 3]


@given(st.lists(st.tuples(st.sampled_from("mr"), st.sampled_from("abc")), max_size=40))
def test_read_again_as_often_as_it_takes_each_lane_is_carried_out_in_order(
    given_out: list[tuple[str, str]],
) -> None:
    store = [intent(n, target, lane) for n, (target, lane) in enumerate(given_out, 1)]
    done: dict[str, list[int]] = {}
    rounds = 0
    while store:
        rounds += 1
        backlog = Backlog(MOST)
        for each in store:
            backlog.add(("effect", each.ordering), each)
        while heads := list(backlog.heads()):
            for lane, _ in heads:
                taken = backlog.take(lane)
                done.setdefault(taken.ordering, []).append(taken.place)
                store.remove(taken)

    assert all(places == sorted(places) for places in done.values())
    assert sum(map(len, done.values())) == len(given_out)
    assert rounds <= len(given_out)
