import pytest

from perdure.cli.loading import choose_context, choose_contexts, load_contexts, load_object
from perdure.vocabulary.errors import ConfigurationError, ContextNotFound
from tests.cli.support import ENTITY, ROOT, Cli

APPS = "tests.cli.applications"


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_a_context_or_a_list_of_them_is_an_application() -> None:
    assert [context.name for context in load_contexts(f"{APPS}:notes")] == ["notes"]
    assert [context.name for context in load_contexts(f"{APPS}:both")] == ["notes", "others"]


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("examples.shop.app", "write MODULE:NAME"),
        (":app", "write MODULE:NAME"),
        ("nowhere.app:app", "there is no module 'nowhere'"),
        ("tests.cli.nowhere:app", "there is no module 'tests.cli.nowhere'"),
        ("tests.cli.broken:app", "RuntimeError: the module does not want to"),
        (f"{APPS}:cart", "has no 'cart'; it has notes, others"),
        (f"{APPS}:number", "holds int, not perdure.Context"),
        (f"{APPS}:nothing", "is empty"),
    ],
)
def test_what_is_missing_is_named(spec: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError) as failure:
        load_contexts(spec)

    assert complaint in str(failure.value)


def test_a_context_without_an_application_has_nothing_declared() -> None:
    context = choose_context(None, "archive", "memory://")

    assert (context.name, context.event_types) == ("archive", {})


def test_one_of_several_contexts_must_be_named() -> None:
    assert choose_context(f"{APPS}:both", "others", "memory://").name == "others"
    with pytest.raises(ConfigurationError, match="one of notes, others"):
        choose_context(f"{APPS}:both", None, "memory://")
    with pytest.raises(ContextNotFound, match="it has notes, others"):
        choose_contexts(f"{APPS}:both", "store", "memory://")


def test_whoever_only_looks_makes_no_store(cli: Cli, store: str) -> None:
    for looking in (["events", "tail"], ["events", "export"], ["status"]):
        ended = cli(*looking, "--context", "notes", "--store", store)

        assert (ended.code, ended.out) == (3, "")
        assert "there is no store at" in ended.err


def test_whoever_only_looks_makes_no_context(cli: Cli, store: str) -> None:
    appending = ["events", "append", "noted", ENTITY, "{}", "--store", store]
    cli(*appending, "--context", "here")

    ended = cli("events", "tail", "--context", "there", "--store", store)

    assert (ended.code, ended.out) == (3, "")
    assert f"there is no context 'there' in {store}; it has here" in ended.err
    assert cli(*appending).code == 0
    assert len(cli("events", "tail", "--store", store, "--json").rows) == 2


def test_any_object_can_be_handed_to_effects() -> None:
    assert load_object("tests.cli.applications:__name__", "object") == "tests.cli.applications"


@pytest.mark.parametrize("spec", ["", "module", ":name", "module:"])
def test_what_names_nothing_is_told_how_to_name(spec: str) -> None:
    with pytest.raises(ConfigurationError, match="does not name an object: write MODULE:NAME"):
        load_object(spec, "object")
