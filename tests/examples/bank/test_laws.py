"""Laws of an account: whatever is asked of it, in whatever order and however often."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from examples.bank.account import Account
from examples.bank.commands import (
    AcceptRequest,
    CreditRequest,
    CreditTransfer,
    DebitRequest,
    DeleteAccount,
    DepositFunds,
    ForgiveDebt,
    GetRequestApproval,
    NotifyRequestRejected,
    RejectRequest,
    Request,
    RollbackRequestDebit,
    RollbackTransferDebit,
    Transfer,
    WithdrawFunds,
)
from examples.bank.deciding import OVERDRAFT_MAX
from examples.bank.events import (
    AccountDeleted,
    DebtForgiven,
    FundsDeposited,
    FundsWithdrawn,
    RequestApproved,
    RequestCredited,
    RequestDebited,
    RequestDebitRolledBack,
    RequestRejected,
    TransferCredited,
    TransferDebited,
    TransferDebitRolledBack,
)
from perdure import Rejected
from tests.examples.bank.scenario import ME, NOW, OTHER, TIMEOUT_AT, decide, fold, opened

COMES_IN = (
    FundsDeposited, DebtForgiven, TransferCredited, TransferDebitRolledBack, RequestCredited,
    RequestDebitRolledBack,
)  # fmt: skip
GOES_OUT = (FundsWithdrawn, TransferDebited, RequestDebited)

amounts = st.sampled_from([Decimal("0.01"), Decimal("15.43"), Decimal(100)])
#: A transaction of each kind, asked, sent, requested and paid in; and now and then one mistaken for another.
asked, sent, wanted, paid = (
    st.just(own) | st.sampled_from([own, own, "asked", "sent", "wanted", "paid"])
    for own in ("asked", "sent", "wanted", "paid")
)
me, other = st.just(ME), st.just(OTHER)
commands: list[st.SearchStrategy[Any]] = [
    st.builds(GetRequestApproval, me, other, amounts, asked, st.just(TIMEOUT_AT)),
    st.builds(AcceptRequest, me, asked),
    st.builds(RejectRequest, me, asked),
    st.builds(DebitRequest, me, asked),
    st.builds(RollbackRequestDebit, me, asked),
    st.builds(Request, other, me, amounts, wanted),
    st.builds(NotifyRequestRejected, me, wanted),
    st.builds(CreditRequest, me, wanted),
    st.builds(Transfer, me, other, amounts, sent),
    st.builds(CreditTransfer, other, me, amounts, sent),
    st.builds(RollbackTransferDebit, me, sent),
    st.builds(DepositFunds, me, amounts, st.none() | paid),
    st.builds(WithdrawFunds, me, amounts, st.none() | paid),
    st.builds(WithdrawFunds, me, amounts),
    st.builds(ForgiveDebt, me, st.none() | paid),
]
#: The end comes seldom, so that there is a life before it; and so does the time-out.
turns = st.sampled_from([*commands, *commands, *commands, st.just(DeleteAccount(ME))])
nows = st.sampled_from([NOW, NOW, NOW, TIMEOUT_AT, TIMEOUT_AT + timedelta(seconds=1)])
stories = st.lists(st.tuples(turns.flatmap(lambda turn: turn), nows), min_size=25, max_size=50)


def live_through(story: list[tuple[Any, Any]]) -> tuple[Account, list[Any]]:
    """The account after the story, and its events; what it rejects leaves none."""
    events = opened()
    account = fold(events)
    for number, (command, now) in enumerate(story):
        try:
            made = decide(account, command, now, number=100 + number)
        except Rejected:
            continue
        account = fold(made, account)
        events += made
    return account, events


@given(stories)
def test_the_balance_is_the_sum_of_what_moved_and_never_below_the_overdraft(
    story: list[tuple[Any, Any]],
) -> None:
    _, events = live_through(story)

    expected = Decimal(0)
    for number, event in enumerate(events, start=1):
        if isinstance(event, COMES_IN):
            expected += event.amount
        if isinstance(event, GOES_OUT):
            expected -= event.amount
        balance = fold(events[:number]).balance
        assert balance == expected >= -OVERDRAFT_MAX
        assert getattr(event, "balance", balance) == balance


@given(stories)
def test_no_request_is_both_accepted_and_rejected(story: list[tuple[Any, Any]]) -> None:
    _, events = live_through(story)

    accepted = [one.transaction_id for one in events if isinstance(one, RequestApproved)]
    rejected = [one.transaction_id for one in events if isinstance(one, RequestRejected)]
    assert not set(accepted) & set(rejected)


@given(stories)
def test_everything_happens_once_in_a_transaction(story: list[tuple[Any, Any]]) -> None:
    _, events = live_through(story)

    happened = Counter((type(one), getattr(one, "transaction_id", "")) for one in events)
    assert set(happened.values()) <= {1}


@given(stories)
def test_a_debt_is_forgiven_twice_at_most(story: list[tuple[Any, Any]]) -> None:
    account, events = live_through(story)

    forgiven = [one for one in events if isinstance(one, DebtForgiven)]
    assert len(forgiven) == account.times_forgiven <= 2
    assert all(0 < one.amount <= 100 for one in forgiven)


@given(stories)
def test_a_deleted_account_only_takes_back_what_it_had_sent(story: list[tuple[Any, Any]]) -> None:
    _, events = live_through(story)

    end = next((n for n, one in enumerate(events) if isinstance(one, AccountDeleted)), len(events))
    afterwards = events[end + 1 :]
    assert all(
        isinstance(one, TransferDebitRolledBack | RequestDebitRolledBack) for one in afterwards
    )


@given(stories)
def test_asking_everything_again_at_once_changes_nothing(story: list[tuple[Any, Any]]) -> None:
    """What succeeded under an id succeeds again, and makes no event."""
    account = fold(opened())
    for number, (command, now) in enumerate(story):
        try:
            made = decide(account, command, now, number=100 + number)
        except Rejected:
            continue
        account = fold(made, account)
        if getattr(command, "transaction_id", "none needed") is not None:
            assert decide(account, command, now) == []
