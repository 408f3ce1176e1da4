"""The kit's public face is an explicit list, and each name on it is told of in the reference."""

import re
from pathlib import Path

import perdure.testing
from perdure import testing

PAGE = Path(__file__).parent.parent.parent / "docs" / "reference" / "python.md"


def test_all_is_sorted_and_names_every_public_thing() -> None:
    modules = {path.stem for path in Path(perdure.testing.__path__[0]).iterdir()}
    public = {name for name in vars(testing) if not name.startswith("_")} - modules

    assert sorted(testing.__all__, key=str.lower) == testing.__all__
    assert public == set(testing.__all__)


def test_every_name_is_listed_with_the_first_sentence_about_it() -> None:
    listed = re.findall(
        r"^\| `perdure\.testing\.(\w+)` \| (.*) \|$", PAGE.read_text(), re.MULTILINE
    )
    said = [(name, _first_line(name)) for name in testing.__all__]

    assert listed == said


def _first_line(name: str) -> str:
    line: str = getattr(testing, name).__doc__.partition("\n")[0]
    return line.replace("``", "`")
