"""The transactions of the writer: begun, decided on, committed; and what an error in each step means.

One rule: whoever gets an answer gets the true one. An error before ``COMMIT`` undoes everything; of one
in ``COMMIT`` itself, ``faults`` says what is certain.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeAlias

import apsw

from perdure.engines.sqlite.connection import Store, fetch_value
from perdure.engines.sqlite.draft import Draft
from perdure.engines.sqlite.faults import STORAGE_ERRORS, before_commit, during_commit
from perdure.engines.sqlite.known import Known
from perdure.engines.sqlite.rows import Decoder
from perdure.engines.sqlite.statements import Statements, Undone
from perdure.vocabulary.commits import Commit, StatementFailed, Verdict
from perdure.vocabulary.errors import EngineError, OutcomeUnknown, Unavailable

Call: TypeAlias = Sequence[Commit]
Answer: TypeAlias = list[Verdict] | Exception

#: Refused commits, by call and place in the call.
_Refused: TypeAlias = dict[tuple[int, int], StatementFailed]


class Transactions:
    """Writes groups of calls through one connection."""

    def __init__(
        self, connection: apsw.Connection, store: Store, decoder: Decoder, now: Callable[[], int]
    ) -> None:
        self.connection, self._decoder, self._now = connection, decoder, now
        self._statements = Statements(connection, store.settings.statement_seconds)
        self._known = Known(store.settings.heads_max)
        self._data_version: int | None = None
        self._is_certain = True

    @property
    def is_usable(self) -> bool:
        """Whether what the connection sees is what is stored. Once it is not, it never is again."""
        return self._is_certain and not self.connection.in_transaction

    @property
    def position(self) -> int:
        """The head of the log after the last transaction."""
        return self._known.position

    def write(self, calls: Sequence[Call]) -> list[Answer]:
        """Write calls as one group, and answer each: its verdicts, or why none of it was written.

        Raises ``EngineError`` when that is one answer for all of them.
        """
        with suppress(_Unexpected):  # most often an id that is stored already
            return list(self._write(calls, exact=False))
        try:
            return list(self._write(calls, exact=True))
        except _Unexpected as unexpected:
            if len(calls) == 1:
                return [unexpected.cause]
        return self._write_each(calls)

    def _write_each(self, calls: Sequence[Call]) -> list[Answer]:
        """Write each call by itself: one cannot even be judged, and only that one is to hear of it."""
        answers: list[Answer] = []
        for call in calls:
            try:
                answers += self.write([call])
            except EngineError as error:
                answers.append(error)
        return answers

    def _write(self, calls: Sequence[Call], *, exact: bool) -> list[list[Verdict]]:
        refused: _Refused = {}
        while True:
            self._begin()
            try:
                draft = self._draft(exact=exact)
                verdicts = _decide(draft, calls, refused)
                draft.seal()
            except Undone:
                continue  # SQLite has rolled back; now without the commit that made it
            except Exception as error:
                raise self._undo(error) from error
            self._commit()
            draft.adopt()
            return verdicts

    def _draft(self, *, exact: bool) -> Draft:
        version: int = fetch_value(self.connection, "PRAGMA data_version")
        if version != self._data_version:  # another connection has written: nothing is known
            self._data_version = None
            self._known.load(self.connection, self._decoder)
            self._data_version = version
        now, statements = self._now(), self._statements
        return Draft(self.connection, self._known, self._decoder, statements, now, exact=exact)

    def _begin(self) -> None:
        if not self.is_usable:
            raise Unavailable("an earlier write has failed; nothing was written, ask again")
        try:
            self.connection.execute("BEGIN IMMEDIATE")
        except apsw.Error as error:
            raise before_commit(error, self.connection) from error

    def _commit(self) -> None:
        try:
            self.connection.execute("COMMIT")
        except apsw.Error as error:
            outcome = during_commit(error, self.connection)
            self._is_certain = not isinstance(outcome, OutcomeUnknown)
            self._roll_back()
            raise outcome from error

    def _undo(self, error: Exception) -> Exception:
        """Roll back, and give what to raise: for the group, or for a second, closer look."""
        is_of_all = isinstance(error, STORAGE_ERRORS) and not isinstance(error, apsw.CorruptError)
        meaning = before_commit(error, self.connection) if isinstance(error, apsw.Error) else error
        self._roll_back()
        return meaning if is_of_all else _Unexpected(meaning)

    def _roll_back(self) -> None:
        if self.connection.in_transaction:
            with suppress(apsw.Error):  # then it is not usable any more, and closing it rolls back
                self.connection.execute("ROLLBACK")


class _Unexpected(Exception):
    """A commit in the group could not be decided on in this way."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


def _decide(draft: Draft, calls: Sequence[Call], refused: _Refused) -> list[list[Verdict]]:
    verdicts: list[list[Verdict]] = []
    for number, call in enumerate(calls):
        given: list[Verdict] = []
        for place, commit in enumerate(call):
            if refused and (number, place) in refused:
                given.append(refused[number, place])
                continue
            try:
                given.append(draft.write(commit))
            except Undone as undone:
                refused[number, place] = undone.failure
                raise
        verdicts.append(given)
    return verdicts
