"""The writer: one thread for a file, many commits to a transaction, one sync for all of them.

Take what waits, begin, judge each, write, commit, answer all. Whoever arrives meanwhile is in the next
group. A group that fails before its commit is definitely not stored. After a commit that failed in a way
that leaves doubt the writer takes nothing more until it has opened the file again and a truncating
checkpoint has made certain what is there.
"""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeAlias

import apsw

from perdure.engines.sqlite_lead.connection import connect
from perdure.engines.sqlite_lead.faults import at_commit, before_commit
from perdure.engines.sqlite_lead.group import Group, NotNew
from perdure.engines.sqlite_lead.heads import Heads
from perdure.engines.sqlite_lead.statements import StatementRunner, TransactionLost
from perdure.ports.environment import Clock
from perdure.vocabulary.commits import Commit, Committed, Verdict
from perdure.vocabulary.errors import (
    Corrupt,
    EngineError,
    OutcomeUnknown,
    PerdureError,
    Unavailable,
)

GROUP_COMMITS_MAX = 1_000
WAL_BYTES_MAX = 64 * 1024 * 1024

Answer: TypeAlias = "list[Verdict] | BaseException"
Job: TypeAlias = "tuple[Sequence[Commit], asyncio.Future[list[Verdict]], asyncio.AbstractEventLoop]"


class Writer:
    """Writes one file, in a thread of its own."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        vfs: str | None,
        advanced: Callable[[int], None],
        written: Callable[[int], None],
    ) -> None:
        self._path, self._clock, self._vfs = path, clock, vfs
        self._advanced, self._written = advanced, written
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._closed = False
        self._open()
        self._thread = threading.Thread(target=self._run, name=f"perdure-{path.stem}", daemon=True)
        self._thread.start()

    async def commit(self, commits: Sequence[Commit]) -> list[Verdict]:
        """Hand commits over and wait for their verdicts."""
        if self._closed:
            raise Unavailable("the log is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[list[Verdict]] = loop.create_future()
        self._jobs.put((commits, future, loop))
        return await future

    def close(self) -> None:
        """Write what was accepted, and end the thread. Blocks."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
            self._thread.join()

    # -- the thread ----------------------------------------------------------------------------

    def _open(self) -> None:
        self._connection = connect(self._path, "writer", self._vfs, apsw.Connection)
        self._frames = 0
        self._connection.set_wal_hook(self._count_frames)
        self._heads = Heads(self._connection)
        self._statements = StatementRunner(self._connection)
        self._version = -1
        self._doubt: EngineError | None = None

    def _count_frames(self, _connection: apsw.Connection, _database: str, frames: int) -> int:
        self._frames = frames
        return int(apsw.SQLITE_OK)

    def _run(self) -> None:
        going = True
        while going:
            jobs, going = self._take()
            if jobs:
                self._answer(jobs, self._work(jobs))
                self._written(self._frames)
        self._connection.close()
        while not self._jobs.empty():
            if late := self._jobs.get():
                self._answer([late], [Unavailable("the log is closed")])

    def _take(self) -> tuple[list[Job], bool]:
        """Wait for a job, and take those that wait behind it."""
        first = self._jobs.get()
        if first is None:
            return [], False
        jobs, count = [first], len(first[0])
        while count < GROUP_COMMITS_MAX:
            try:
                job = self._jobs.get_nowait()
            except Empty:
                break
            if job is None:
                return jobs, False
            jobs.append(job)
            count += len(job[0])
        return jobs, True

    def _work(self, jobs: Sequence[Job]) -> list[Answer]:
        """Write the commits of all jobs in one transaction; one answer for each job."""
        commits = [commit for job in jobs for commit in job[0]]
        try:
            self._be_certain()
            verdicts = self._transact(commits)
        except PerdureError as failure:
            return [failure] * len(jobs)
        except Exception as failure:  # a bug of ours: the callers are told, the writer lives on
            self._roll_back()
            self._version = -1
            return [failure] * len(jobs)
        answers: list[Answer] = []
        start = 0
        for job in jobs:
            answers.append(verdicts[start : start + len(job[0])])
            start += len(job[0])
        return answers

    def _transact(self, commits: Sequence[Commit]) -> list[Verdict]:
        try:
            self._begin()
            try:
                group = self._group()
                verdicts = group.write_quickly(commits)
            except NotNew:
                self._roll_back()
                group, verdicts = self._write_exactly(commits)
            group.close()
        except (apsw.Error, Corrupt) as fault:
            self._roll_back()
            self._version = -1
            if isinstance(fault, Corrupt):
                raise
            raise before_commit(fault, self._path, self._connection) from fault
        self._commit()
        self._heads.trim()
        if any(isinstance(verdict, Committed) for verdict in verdicts):
            self._advanced(self._heads.position)
        return verdicts

    def _write_exactly(self, commits: Sequence[Commit]) -> tuple[Group, list[Verdict]]:
        """Write each commit under a savepoint, leaving out those that undo more than themselves."""
        lost: dict[int, Verdict] = {}
        while True:
            self._version = -1
            self._begin()
            group = self._group()
            verdicts: list[Verdict] = []
            for index, commit in enumerate(commits):
                try:
                    verdicts.append(lost.get(index) or self._write_one(group, commit))
                except TransactionLost as fault:
                    lost[index] = fault.failed
                    break
            else:
                return group, verdicts

    def _write_one(self, group: Group, commit: Commit) -> Verdict:
        connection = self._connection
        connection.execute("SAVEPOINT one")
        verdict = group.write_exactly(commit)
        if not isinstance(verdict, Committed):
            connection.execute("ROLLBACK TO one")
        connection.execute("RELEASE one")
        return verdict

    def _begin(self) -> None:
        """Begin, and drop what is remembered when another process has written since."""
        self._connection.execute("BEGIN IMMEDIATE")
        version = self._connection.pragma("data_version")
        if version != self._version:
            self._heads.forget()
            self._version = version

    def _group(self) -> Group:
        return Group(self._connection, self._heads, self._statements, self._clock.now())

    def _commit(self) -> None:
        try:
            self._connection.execute("COMMIT")
        except apsw.Error as fault:
            failure = at_commit(fault, self._path, self._connection)
            self._roll_back()
            self._version = -1
            if isinstance(failure, OutcomeUnknown):
                self._doubt = failure
            raise failure from fault

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except apsw.Error as fault:  # nothing more can be asked of this connection
                self._doubt = Unavailable(f"{self._path.name} could not be rolled back: {fault}")

    def _be_certain(self) -> None:
        """After doubt: open the file again, and have a truncating checkpoint say what is there."""
        if self._doubt is None:
            return
        doubt = self._doubt
        try:
            self._connection.close()
            self._open()
            self._doubt = doubt
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.Error as fault:
            raise Unavailable(
                f"{self._path.name} takes no writes until it is certain what is in it: {fault}"
            ) from fault
        self._doubt = None

    def _answer(self, jobs: Sequence[Job], answers: Sequence[Answer]) -> None:
        """Hand all answers over, once to each loop."""
        by_loop: defaultdict[asyncio.AbstractEventLoop, list[tuple[Job, Answer]]] = defaultdict(
            list
        )
        for job, answer in zip(jobs, answers, strict=True):
            by_loop[job[2]].append((job, answer))
        for loop, pairs in by_loop.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_deliver, pairs)


def _deliver(pairs: Sequence[tuple[Job, Answer]]) -> None:
    for (_, future, _), answer in pairs:
        if future.done():
            continue
        if isinstance(answer, BaseException):
            future.set_exception(answer)
        else:
            future.set_result(answer)
