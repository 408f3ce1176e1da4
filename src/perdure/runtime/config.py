"""Settings: every number a user may turn, and where each came from.

Arguments win over ``PERDURE_*`` environment variables, those over ``perdure.toml``, those over the
defaults. This is the only module that reads the environment.
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from perdure.vocabulary.errors import ConfigurationError

PREFIX = "PERDURE_"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings, with their units in their names.

    ``store`` is a URL; ``cors`` the origin that browsers may call from (``*``: any; empty: none).
    ``ahead_seconds_max`` bounds how far in the future the time in an event id may lie;
    ``wait_seconds_max`` how long a read waits for the position it asked for; ``function_seconds_max`` how
    long one call of a user's function may take before the process is ended (0: for ever).
    """

    store: str = "sqlite:///perdure-data"
    host: str = "127.0.0.1"
    port: int = 9000
    cors: str = ""
    insecure_no_auth: bool = False
    log_format: str = "auto"

    ahead_seconds_max: float = 86_400
    wait_seconds_max: float = 5
    batch_events: int = 20_000
    cached_models: int = 20_000
    cached_entities: int = 20_000
    commands_in_flight_max: int = 1_000
    retries_max: int = 3
    lease_seconds: float = 15
    function_seconds_max: float = 30

    body_bytes_max: int = 4 * 1024 * 1024
    batch_events_max: int = 1_000
    page_events_max: int = 1_000
    header_bytes_max: int = 16 * 1024
    header_fields_max: int = 64
    header_seconds_max: float = 10
    body_seconds_max: float = 30
    body_bytes_per_second_min: int = 1024
    keep_alive_seconds: float = 15
    handler_seconds_max: float = 30
    heartbeat_seconds: float = 15
    connections_max: int = 1_000
    connections_per_address_max: int = 1_000
    in_flight_max: int = 200
    shutdown_seconds_max: float = 10


class Setting(msgspec.Struct, frozen=True):
    """One setting in force, and where it came from."""

    name: str
    value: Any
    origin: str


def load(
    arguments: Mapping[str, Any] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> tuple[Settings, list[Setting]]:
    """Read the settings and say where each came from.

    ``arguments`` that are ``None`` count as not given. Raises ``ConfigurationError`` naming the setting
    that is unknown or malformed, and where it stands.
    """
    path = file or Path("perdure.toml")
    layers = [
        (str(path), _from_file(path, required=file is not None)),
        ("environment", _from_environment(os.environ if environ is None else environ)),
        ("argument", {k: v for k, v in (arguments or {}).items() if v is not None}),
    ]
    fields = {field.name: field for field in msgspec.structs.fields(Settings)}
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, layer in layers:
        for name, value in layer.items():
            if name not in fields:
                known = ", ".join(fields)
                raise ConfigurationError(
                    f"{origin}: no setting is named {name!r}; there are {known}"
                )
            try:
                values[name] = msgspec.convert(value, fields[name].type, strict=False)
            except msgspec.ValidationError as fault:
                raise ConfigurationError(f"{origin}: {name} = {value!r}: {fault}") from fault
            origins[name] = origin
    settings = Settings(**values)
    return settings, [
        Setting(name, getattr(settings, name), origins.get(name, "default")) for name in fields
    ]


def _from_file(path: Path, *, required: bool) -> dict[str, Any]:
    if not path.is_file():
        if required:
            raise ConfigurationError(f"{path} is not there")
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise ConfigurationError(f"{path}: {fault}") from fault


def _from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    return {
        name[len(PREFIX) :].lower(): value
        for name, value in environ.items()
        if name.startswith(PREFIX) and not name.startswith(PREFIX + "TEST_")
    }
