"""``perdure config show``: the settings in force, written as they may stand in ``perdure.toml``."""

import json
from pathlib import Path

import click

from perdure.cli.options import config_option, debug_option, json_option
from perdure.cli.output import Output
from perdure.runtime.config import load


@click.command()
@click.option("--origin", "with_origin", is_flag=True, help="Say where each setting came from.")
@config_option
@json_option
@debug_option
def show(with_origin: bool, config_file: Path | None, as_json: bool) -> None:
    """Print every setting, ready to be saved as perdure.toml.

    Arguments win over PERDURE_* in the environment, those over perdure.toml, those over defaults.
    """
    _, settings = load(file=config_file)
    answer = Output(as_json=as_json)
    if as_json:
        answer.record({s.name: {"value": s.value, "origin": s.origin} for s in settings})
        return
    for setting in settings:
        line = f"{setting.name} = {json.dumps(setting.value)}"
        answer.text(f"{line}  # {setting.origin}" if with_origin else line)
