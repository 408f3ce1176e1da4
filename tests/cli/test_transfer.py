"""Export and import: what goes out comes in again, whatever stops it in between."""

import asyncio
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

import perdure
from perdure import Context, NewEvent
from perdure.cli.eventline import EventReader
from perdure.cli.exporting import write_events
from perdure.cli.intake import BLOCK_BYTES, Intake, Source
from perdure.runtime.environment import SystemClock
from perdure.runtime.live import LiveContext
from perdure.vocabulary.reading import Read
from tests.cli.support import ENTITY, NOTES, Cli, id_at, line, note

OTHER = UUID("9b2d7a54-1c7e-4f3a-8e21-6c4f5d0a9b02")

histories = st.lists(
    st.builds(
        note,
        st.integers(0, 300),
        st.text(max_size=20),
        st.sampled_from([ENTITY, OTHER]),
        domain=st.none() | st.sampled_from(["a", "b"]),
        tags=st.lists(st.sampled_from(["x", "y z", "ü"]), max_size=2).map(tuple),
        metadata=st.sampled_from([b"", b'{"principal":"ann"}']),
    ),
    max_size=40,
    unique_by=lambda event: event.id,
)


async def exported(live: LiveContext, request: Read | None = None) -> bytes:
    written = io.BytesIO()
    await write_events(live.log, request or Read(), written.write)
    return written.getvalue()


async def imported(live: LiveContext, text: bytes) -> Intake:
    reader = EventReader(live.definition, ahead_seconds_max=86_400)
    source = Source(io.BufferedReader(io.BytesIO(text)), "text")
    intake = Intake(live.log, reader, SystemClock(), source)
    await intake.run(lambda done, count: None)
    return intake


def without_recorded_at(text: bytes) -> list[dict[str, Any]]:
    rows = [json.loads(row) for row in text.splitlines()]
    return [{name: value for name, value in row.items() if name != "recorded_at"} for row in rows]


@given(history=histories)
def test_what_is_exported_is_imported_without_loss(history: Sequence[NewEvent]) -> None:
    async def there_and_back() -> tuple[bytes, bytes, bytes]:
        async with (
            perdure.open(Context("notes"), store="memory://", react=False) as here,
            perdure.open(Context("notes"), store="memory://", react=False) as there,
        ):
            for event in history:
                await here.append(event)
            first = await exported(here.context("notes"))
            intake = await imported(there.context("notes"), first)
            second = await exported(there.context("notes"))
            again = await imported(there.context("notes"), second)
            assert (len(history), 0) == (intake.tally.stored, intake.tally.repeated)
            assert (0, len(history)) == (again.tally.stored, again.tally.repeated)
            return first, second, await exported(there.context("notes"))

    first, second, third = asyncio.run(there_and_back())
    assert without_recorded_at(first) == without_recorded_at(second)
    assert second == third


async def test_many_blocks_of_lines_are_recorded_in_their_order() -> None:
    text = b"".join(line(number) for number in range(3 * BLOCK_BYTES // len(line(1))))

    async with perdure.open(Context("notes"), store="memory://", react=False) as app:
        intake = await imported(app.context("notes"), text)
        found = [event.id async for event in app.events()]

    assert intake.tally.stored == len(found) > 3000
    assert [id_at(number).bytes for number in range(len(found))] == found


def test_lines_from_elsewhere_go_in_and_come_out(cli: Cli, store: str, tmp_path: Path) -> None:
    file = tmp_path / "notes.ndjson"
    file.write_bytes(line(1) + b"\n  \n" + line(2, tags=["x"]) + line(3, domain="d").rstrip())

    into = cli("events", "import", file, "--app", NOTES, "--store", store, "--json")
    out = cli("events", "export", NOTES, "--store", store)

    assert (into.code, into.rows) == (0, [{"lines": 3, "stored": 3, "repeated": 0, "rejected": 0}])
    assert (out.code, into.err, out.err) == (0, "", "")
    assert [row["position"] for row in out.rows] == [1, 2, 3]
    assert [str(id_at(n)) for n in (1, 2, 3)] == [row["event_id"] for row in out.rows]
    assert [row["domain"] for row in out.rows] == [None, None, "d"]
    assert [row["tags"] for row in out.rows] == [[], ["x"], []]


def test_importing_again_stores_nothing_twice(cli: Cli, store: str, tmp_path: Path) -> None:
    file = tmp_path / "notes.ndjson"
    file.write_bytes(line(1) + line(2))
    cli("events", "import", file, "--context", "notes", "--store", store)
    file.write_bytes(line(1) + line(2) + line(3))

    again = cli("events", "import", file, "--context", "notes", "--store", store)

    assert again[:2] == (0, "3 lines: 1 events stored, 2 stored before, 0 rejected\n")


def test_export_takes_what_is_asked_for(cli: Cli, store: str) -> None:
    seed(cli, store, *(line(n, domain="d" if n % 2 else "e") for n in range(1, 9)))

    def positions(*options: object) -> list[int]:
        ended = cli("events", "export", "--context", "notes", "--store", store, *options)
        return [row["position"] for row in ended.rows]

    assert positions("--after", 2, "--upto", 5) == [3, 4, 5]
    assert positions("--domain", "d") == [1, 3, 5, 7]
    assert positions("--type", "unheard") == []
    assert positions("--entity", ENTITY, "--after", 7) == [8]
    assert positions("--tag", "x") == []


def test_a_torn_export_goes_on_where_its_last_whole_line_ends(
    cli: Cli, store: str, tmp_path: Path
) -> None:
    seed(cli, store, *map(line, range(1, 41)))
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    exporting = ["events", "export", "--context", "notes", "--store", store, "-o"]
    assert (0, f"40 events written to {whole}\n", "") == cli(*exporting, whole)
    text = whole.read_bytes()

    for cut in (0, 1, len(text) // 3, text.index(b"\n"), text.index(b"\n") + 1, len(text)):
        torn.write_bytes(text[:cut])
        ended = cli(*exporting, torn, "--resume", "--json")
        assert (0, text) == (ended.code, torn.read_bytes())
        assert [{"file": str(torn), "events": 40 - text[:cut].count(b"\n")}] == ended.rows


def test_a_file_that_is_there_is_not_overwritten(cli: Cli, store: str, tmp_path: Path) -> None:
    seed(cli, store, line(1))
    file = tmp_path / "precious"
    exporting = ["events", "export", "--context", "notes", "--store", store, "-o", file]
    for precious in ("precious", "precious\n", '{"event_id":"precious"}\n'):
        file.write_text(precious)

        refused, resumed = cli(*exporting), cli(*exporting, "--resume")

        assert (refused.code, resumed.code, file.read_text()) == (2, 2, precious)
        assert "is there already: go on with it by --resume" in refused.err
        assert "name another file" in resumed.err


def test_an_export_of_another_store_is_not_gone_on_with(
    cli: Cli, store: str, tmp_path: Path
) -> None:
    seed(cli, store, line(1))
    seed(cli, f"{store}-other", line(2))
    file = tmp_path / "notes"
    exporting = ["events", "export", "--context", "notes", "-o", file]
    cli(*exporting, "--store", store)

    ended = cli(*exporting, "--resume", "--store", f"{store}-other")

    assert ended.code == 2
    assert "was not exported from this context" in ended.err


def test_the_first_bad_line_stops_an_import_and_says_how_to_go_on(
    cli: Cli, store: str, tmp_path: Path
) -> None:
    file = tmp_path / "notes.ndjson"
    file.write_bytes(line(1) + line(2) + line(3, data={"text": 7}) + line(4))

    ended = cli("events", "import", file, "--app", NOTES, "--store", store)

    assert (ended.code, ended.out) == (2, "")
    assert "Expected `str`, got `int` at /text" in ended.err
    assert f"That is line 3 of {file}. The lines before it are stored." in ended.err
    assert "run the same command again" in ended.err
    assert [row["position"] for row in tail(cli, store)] == [1, 2]


def test_going_on_puts_bad_lines_aside_with_their_reasons(
    cli: Cli, store: str, tmp_path: Path
) -> None:
    file, rejects = tmp_path / "notes.ndjson", tmp_path / "notes.ndjson.rejects"
    taken = line(1, data={"text": "another"})
    file.write_bytes(line(1) + b"nonsense\n" + taken + line(2) + b'{"a":"\xff"}\n' + line(3))

    importing = ["events", "import", file, "--context", "notes", "--store", store, "--keep-going"]
    ended = cli(*importing, "--json")

    assert (
        ended.code,
        ended.rows,
    ) == (1, [{"lines": 6, "stored": 3, "repeated": 0, "rejected": 3}])
    rows = [json.loads(row) for row in rejects.read_bytes().splitlines()]
    assert {2: "nonsense", 3: taken.decode().rstrip(), 5: '{"a":"\\xff"}'} == {
        row["line"]: row["text"] for row in rows
    }
    reasons = {row["line"]: row["reason"] for row in rows}
    assert "not JSON" in reasons[2]
    assert "stored already with other content" in reasons[3]
    assert "UTF-8" in reasons[5]
    assert str(rejects) in cli(*importing).err
    file.write_bytes(line(1))
    assert cli(*importing).code == 0
    assert not rejects.exists()


def test_an_import_that_goes_on_keeps_its_earlier_rejects(
    cli: Cli, store: str, tmp_path: Path
) -> None:
    file, rejects = tmp_path / "notes.ndjson", tmp_path / "notes.ndjson.rejects"
    importing = ["events", "import", file, "--context", "notes", "--store", store, "--resume"]
    file.write_bytes(line(1))
    assert cli(*importing).code == 0
    rejects.write_bytes(b'{"line":1}\n')
    mark = {"into": f"{store}#notes", "offset": len(line(1)), "line": 1}
    (tmp_path / "notes.ndjson.bookmark").write_text(json.dumps(mark))
    file.write_bytes(line(1) + b"nonsense\n")

    assert cli(*importing, "--keep-going").code == 1
    assert [json.loads(row)["line"] for row in rejects.read_bytes().splitlines()] == [1, 2]


def test_an_id_with_other_content_is_a_conflict(cli: Cli, store: str, tmp_path: Path) -> None:
    file = tmp_path / "notes.ndjson"
    file.write_bytes(line(1) + line(1, data={"text": "another"}))

    ended = cli("events", "import", file, "--context", "notes", "--store", store)

    assert ended.code == 4
    assert f"{id_at(1)} stored already with other content" in ended.err
    assert "That is line 2 of" in ended.err


def test_a_bookmark_remembers_how_far_an_import_came(cli: Cli, store: str, tmp_path: Path) -> None:
    file, bookmark = tmp_path / "notes.ndjson", tmp_path / "notes.ndjson.bookmark"
    file.write_bytes(line(1) + line(2) + b"bad\n" + line(4))
    importing = ["events", "import", file, "--store", store, "--resume", "--json", "--context"]
    assert cli(*importing, "notes").code == 2
    mark = json.loads(bookmark.read_bytes())
    assert (2, len(line(1) + line(2))) == (mark["line"], mark["offset"])
    file.write_bytes(file.read_bytes().replace(b"bad\n", line(3)))

    another, ended = cli(*importing, "drafts"), cli(*importing, "notes")

    assert another.code == 2
    assert "belongs to an import into" in another.err
    assert ended.rows == [{"lines": 2, "stored": 2, "repeated": 0, "rejected": 0}]
    assert not bookmark.exists()
    assert [row["position"] for row in tail(cli, store)] == [1, 2, 3, 4]


def test_a_spoilt_bookmark_costs_time_but_no_event(cli: Cli, store: str, tmp_path: Path) -> None:
    file = tmp_path / "notes.ndjson"
    file.write_bytes(line(1))
    (tmp_path / "notes.ndjson.bookmark").write_bytes(b"")

    ended = cli("events", "import", file, "--context", "notes", "--store", store, "--resume")

    assert ended[:2] == (0, "1 lines: 1 events stored, 0 stored before, 0 rejected\n")


def test_a_line_without_end_takes_no_more_memory_than_a_line_may(
    cli: Cli, store: str, tmp_path: Path
) -> None:
    file = tmp_path / "notes.ndjson"
    file.write_bytes(line(1) + b"[" * 9_000_000 + b"\n" + line(2))

    ended = cli(
        "events", "import", file, "--context", "notes", "--store", store, "--keep-going", "--json"
    )

    assert ended.rows == [{"lines": 3, "stored": 2, "repeated": 0, "rejected": 1}]
    (reject,) = map(json.loads, (tmp_path / "notes.ndjson.rejects").read_bytes().splitlines())
    assert reject["line"] == 2
    assert len(reject["text"]) < 3_000_000


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["-", "--resume"], "standard input cannot be resumed"),
        (["-", "--keep-going"], "--rejects FILE"),
        (["nowhere.ndjson"], "No such file"),
    ],
)
def test_what_cannot_be_imported_is_said(
    cli: Cli, store: str, options: list[str], complaint: str
) -> None:
    ended = cli("events", "import", *options, "--context", "notes", "--store", store)

    assert ended.code in {2, 3}
    assert complaint in ended.err


def seed(cli: Cli, store: str, *lines: bytes) -> None:
    ended = cli(
        "events", "import", "-", "--context", "notes", "--store", store, stdin=b"".join(lines)
    )
    assert ended.code == 0, ended.err


def tail(cli: Cli, store: str) -> list[Any]:
    return cli("events", "tail", "--context", "notes", "--store", store, "--json").rows
