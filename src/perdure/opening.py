"""Where an engine meets the runtime: ``perdure.open``."""

from pathlib import Path
from typing import Any

import msgspec

from perdure.core.context import Context
from perdure.ports.engine import Engine
from perdure.ports.environment import Environment
from perdure.runtime.app import App
from perdure.runtime.config import Settings
from perdure.runtime.environment import SystemEnvironment
from perdure.vocabulary.errors import ConfigurationError

VERSION = "0.1.0"


def open(  # noqa: A001
    *contexts: Context,
    store: str | None = None,
    settings: Settings | None = None,
    environment: Environment | None = None,
    react: bool = True,
    config: Any = None,
    **overrides: Any,
) -> App:
    """Open contexts over a store, for ``async with perdure.open(shop, store="sqlite:///data") as app``.

    ``store`` is ``memory://`` or ``sqlite:///DIRECTORY`` (a fourth slash: absolute). ``config`` is handed
    to the effects that ask for it, as it is. ``overrides`` are single settings by name. Raises
    ``DefinitionError`` for a declaration that cannot work, and ``ConfigurationError`` for a store or a
    setting that cannot be used.
    """
    chosen = msgspec.structs.replace(settings or Settings(), **overrides)
    chosen = chosen if store is None else msgspec.structs.replace(chosen, store=store)
    surroundings = environment or SystemEnvironment()
    engine = open_engine(chosen.store, surroundings)
    return App(contexts, engine, surroundings, chosen, version=VERSION, react=react, config=config)


def open_engine(store: str, environment: Environment) -> Engine:
    """Make the engine of a store URL. Raises ``ConfigurationError`` for one nobody knows."""
    scheme, separator, rest = store.partition("://")
    if scheme == "memory" and separator and not rest.strip("/"):
        from perdure.engines.memory import MemoryEngine

        return MemoryEngine(environment.clock)
    if scheme == "sqlite" and rest.startswith("/") and len(rest) > 1:
        from perdure.engines.sqlite import SqliteEngine

        return SqliteEngine(Path(rest[1:]), environment.clock)
    raise ConfigurationError(
        f"{store!r} is not a store: use sqlite:///DIRECTORY, sqlite:////ABSOLUTE/DIRECTORY or memory://"
    )
