"""Reference pages list what there is: nothing missing, nothing that is gone."""

import re
from pathlib import Path

import msgspec

import perdure
from perdure import Settings
from perdure.transports.limits import PROBLEMS
from perdure.transports.problems import KINDS, HttpError
from perdure.transports.routes.table import ROWS

DOCS = Path(__file__).parent.parent.parent / "docs"


def test_every_setting_is_listed_with_its_default() -> None:
    page = (DOCS / "reference/settings.md").read_text()
    listed = dict(re.findall(r"^\| `(\w+)` \| `([^`]*)` \|", page, re.MULTILINE))

    assert listed == {f.name: str(f.default) for f in msgspec.structs.fields(Settings)}


def test_links_between_pages_lead_somewhere() -> None:
    broken = [
        f"{page.relative_to(DOCS.parent)}: {target}"
        for page in [*DOCS.rglob("*.md"), *DOCS.parent.glob("*.md")]
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
        if not (page.parent / target).exists()
    ]

    assert broken == []


def test_every_row_of_the_http_surface_is_listed() -> None:
    page = (DOCS / "reference/http.md").read_text()
    listed = re.findall(r"^\| `([A-Z]+ /[^`]*)` \|", page, re.MULTILINE)

    assert sorted(listed) == sorted(f"{row.method} {row.path}" for row in ROWS)


def test_every_kind_of_problem_is_listed_with_its_status() -> None:
    page = (DOCS / "reference/errors.md").read_text()
    listed = {
        (slug, int(status))
        for slug, status in re.findall(r"^\| `([a-z-]+)` \| (\d+) \|", page, re.MULTILINE)
    }
    of_http = {(cls.kind.slug, cls.kind.status) for cls in HttpError.__subclasses__()}
    of_guard = {(slug, status.value) for slug, (status, _) in PROBLEMS.items()}

    assert listed == {(kind.slug, kind.status) for kind in KINDS.values()} | of_http | of_guard


def test_every_public_name_is_listed() -> None:
    page = (DOCS / "reference/python.md").read_text()

    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == perdure.__all__
