"""Reference pages list what there is: nothing missing, nothing that is gone."""

import re
from pathlib import Path

import msgspec

from perdure import Settings

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
