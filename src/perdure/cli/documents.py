"""``perdure openapi``: the documents that describe an application, without running it."""

import click
import msgspec

from perdure.cli.loading import choose_contexts
from perdure.cli.options import context_option, debug_option, json_option
from perdure.cli.output import Output
from perdure.core.definition import define
from perdure.opening import VERSION
from perdure.transports.openapi import describe
from perdure.transports.routes.table import ROWS


@click.command()
@click.argument("app", metavar="MODULE:APP")
@context_option
@json_option
@debug_option
def openapi(app: str, context_name: str | None, as_json: bool) -> None:
    """Print the OpenAPI 3.1 document of an application, as its server gives it.

    Indented for reading; --json prints it on one line.
    """
    contexts = choose_contexts(app, context_name, "")
    document = describe([define(context) for context in contexts], ROWS, VERSION)
    answer = Output(as_json=as_json)
    if as_json:
        answer.record(document)
    else:
        answer.lines(msgspec.json.format(msgspec.json.encode(document)) + b"\n")
