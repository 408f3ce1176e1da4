"""From ``MODULE:APP`` to contexts, and from contexts to an open store.

One rule: whoever only looks never makes a store. A command that reads says that there is none.
"""

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from perdure.core.context import Context
from perdure.opening import open as open_app
from perdure.runtime.app import App
from perdure.runtime.config import Settings
from perdure.runtime.live import LiveContext
from perdure.vocabulary.errors import (
    ConfigurationError,
    ContextNotFound,
    NotFound,
    PerdureError,
)


def load_contexts(spec: str) -> tuple[Context, ...]:
    """Import ``MODULE:APP``, where APP is a ``Context`` or a list or tuple of them.

    The working directory is looked in first. Raises ``ConfigurationError`` that names what is missing.
    """
    found = load_object(spec, "application", wanted="a Context, or a list of them")
    contexts = tuple(found) if isinstance(found, list | tuple) else (found,)
    for context in contexts:
        if not isinstance(context, Context):
            raise ConfigurationError(
                f"{spec} holds {type(context).__name__}, not perdure.Context: "
                "name a Context, or a list of them"
            )
    if not contexts:
        raise ConfigurationError(f"{spec} is empty: put a Context into it")
    return contexts


def load_object(spec: str, what: str, *, wanted: str = "another") -> Any:
    """Import ``MODULE:NAME``. Raises ``ConfigurationError``, which says ``what`` was to be named."""
    name, separator, attribute = spec.partition(":")
    if not (name and separator and attribute):
        raise ConfigurationError(
            f"{spec!r} does not name an {what}: write MODULE:NAME, such as examples.shop.app:app"
        )
    found: Any = _import(name)
    for step in attribute.split("."):
        if not hasattr(found, step):
            raise ConfigurationError(
                f"{name} has no {attribute!r}{_contexts_of(found)}: name {wanted}"
            )
        found = getattr(found, step)
    return found


def choose_contexts(spec: str | None, name: str | None, store: str) -> tuple[Context, ...]:
    """Give the contexts that a command is about: those of an application, or those of the store.

    ``name`` picks one of them. A context that no application declares can be looked at all the same.
    Raises ``ConfigurationError`` when nothing says which, ``ContextNotFound``, ``NotFound``.
    """
    if spec is None:
        names = [name] if name else stored_contexts(store)
        if not names:
            raise ConfigurationError("Which context? Give --context NAME, or MODULE:APP")
        return tuple(Context(one) for one in names)
    contexts = load_contexts(spec)
    chosen = tuple(context for context in contexts if name in (None, context.name))
    if not chosen:
        known = ", ".join(context.name for context in contexts)
        raise ContextNotFound(f"{spec} has no context {name!r}; it has {known}")
    return chosen


def choose_context(spec: str | None, name: str | None, store: str) -> Context:
    """Give the one context that a command is about; otherwise as ``choose_contexts``."""
    context, *others = choose_contexts(spec, name, store)
    if others:
        known = ", ".join(one.name for one in (context, *others))
        raise ConfigurationError(f"Which context? Give --context, one of {known}")
    return context


@asynccontextmanager
async def opened(
    contexts: Sequence[Context], settings: Settings, *, make: bool = False, config: Any = None
) -> AsyncIterator[App]:
    """Open contexts beside whatever serves them; no reactor runs here.

    Raises ``NotFound`` when there is no store, or a context is not in it, unless ``make``.
    """
    if not make:
        check_stored(contexts, settings.store)
    async with open_app(*contexts, settings=settings, react=False, config=config) as app:
        yield app


@asynccontextmanager
async def opened_one(
    context: Context, settings: Settings, *, make: bool = False
) -> AsyncIterator[LiveContext]:
    """Open one context, as ``opened`` does."""
    async with opened([context], settings, make=make) as app:
        yield app.context(context.name)


def check_stored(contexts: Sequence[Context], store: str) -> None:
    """Raise ``NotFound`` unless something was stored in each of the contexts."""
    stored = stored_contexts(store)
    for context in contexts:
        if stored is not None and context.name not in stored:
            known = ", ".join(stored) or "nothing"
            raise ContextNotFound(
                f"there is no context {context.name!r} in {store}; it has {known}"
            )


def stored_contexts(store: str) -> list[str] | None:
    """Give the contexts that a store holds: a file each. ``None`` for a store that is no directory.

    Raises ``NotFound`` when there is no such directory.
    """
    scheme, _, rest = store.partition(":///")
    if scheme != "sqlite" or not rest:
        return None
    directory = Path(rest)
    if not directory.is_dir():
        raise NotFound(
            f"there is no store at {store}: {directory.absolute()} is not a directory. "
            "Say where it is with --store"
        )
    return sorted(path.stem for path in directory.glob("*.db"))


def _import(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name is None or not f"{name}.".startswith(f"{missing.name}."):
            raise ConfigurationError(f"{name} cannot be imported: {missing}") from missing
        raise ConfigurationError(
            f"there is no module {missing.name!r} in {here} or among the installed ones: "
            "run this at the project's root"
        ) from missing
    except PerdureError:
        raise
    except Exception as failure:
        raise ConfigurationError(
            f"{name} cannot be imported: {type(failure).__name__}: {failure}"
        ) from failure


def _contexts_of(holder: Any) -> str:
    held = getattr(holder, "__dict__", {})
    names = [name for name, value in held.items() if isinstance(value, Context)]
    return f"; it has {', '.join(names)}" if names else ""
