"""``perdure serve``, run as everything later starts it."""

import json
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from types import MappingProxyType

import pytest

from perdure.cli.serve import check_exposure, serve
from perdure.runtime.config import Settings
from perdure.vocabulary.errors import ConfigurationError
from tests.cli.support import ENTITY, NOTES, ROOT, Cli, command, execute, id_at

SHOP = "examples.shop.app:app"


class Served:
    """A server in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.greeting = process.stdout.readline()
        self.port = int(self.greeting.rpartition(":")[2])

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
        timeout: float = 10,
    ) -> tuple[int, str]:
        content = None if body is None else json.dumps(body)
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=timeout)) as connection:
            connection.request(
                method, path, content, {"Content-Type": "application/json", **headers}
            )
            response = connection.getresponse()
            return response.status, response.read().decode()

    def note(self, number: int, text: str) -> int:
        path = f"/notes/noted/{ENTITY}/{id_at(number)}"
        return self.ask("POST", path, {"text": text})[0]

    def end(self, number: signal.Signals) -> tuple[int, str, str]:
        """Send a signal; give the exit code and the rest of both streams."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err


@contextmanager
def serving(app: str, store: str, *options: object) -> Iterator[Served]:
    arguments = command("serve", app, "--port", 0, "--store", store, *options)
    with subprocess.Popen(
        arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Served(process)
        finally:
            process.kill()


def test_the_shop_is_served_and_ends_in_good_order(store: str) -> None:
    with serving(SHOP, store, "--host", "127.0.0.1", "--cors", "http://shop.example") as served:
        ready = served.ask("GET", "/readyz", headers={"Origin": "http://shop.example"})
        end = served.end(signal.SIGTERM)

    assert served.greeting == f"perdure: serving store on http://127.0.0.1:{served.port}\n"
    assert ready[0] == 200
    assert end[:2] == (0, "")


def test_what_was_acknowledged_is_there_after_a_restart(store: str) -> None:
    with serving(NOTES, store) as served:
        assert served.note(1, "kept") == 204
        assert served.end(signal.SIGINT)[0] == 0
    with serving(NOTES, store) as served:
        status, body = served.ask("GET", f"/notes/{ENTITY}/events")
        served.end(signal.SIGTERM)

    assert status == 200
    assert [event["data"] for event in json.loads(body)["events"]] == [{"text": "kept"}]


def test_the_command_line_works_beside_a_running_server(store: str) -> None:
    with serving(NOTES, store) as served:
        served.note(1, "through the server")
        appended = execute(
            "events", "append", "noted", ENTITY, '{"text": "beside it"}', "--app", NOTES,
            "--store", store, "--json",
        )  # fmt: skip
        position = appended.rows[0]["position"]
        status, body = served.ask(
            "GET", "/notes/totals/model", headers={"Perdure-After": str(position)}
        )
        seen = execute("status", NOTES, "--store", store, "--json").rows[0]
        code, _, err = served.end(signal.SIGTERM)

    assert (status, json.loads(body)["model"]) == (200, {"notes": 2})
    assert [bool(reactor["holder"]) for reactor in seen["reactors"]] == [True, True]
    assert (code, "Traceback" in err) == (0, False)


def test_a_second_signal_ends_it_at_once_even_in_an_endless_function(store: str) -> None:
    with serving(NOTES, store) as served:
        served.note(1, "endless")
        while not is_stuck(served):
            continue
        while served.process.poll() is None:
            served.process.send_signal(signal.SIGTERM)
            try:
                served.process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue

        assert served.process.returncode == 128 + signal.SIGTERM


def is_stuck(served: Served) -> bool:
    try:
        served.ask("GET", "/livez", timeout=1)
    except TimeoutError:
        return True
    return False


def test_a_port_in_use_is_exit_code_5(store: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = execute("serve", NOTES, "--port", port, "--store", store)

    assert (ended.code, ended.out) == (5, "")
    assert f"127.0.0.1:{port} cannot be listened on: Address already in use" in ended.err
    assert "choose another --port" in ended.err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nowhere.app:app"], "there is no module 'nowhere'"),
        ([SHOP, "--port", "70000"], "70000 is not in the range"),
        ([SHOP, "--store", "mysql://x"], "'mysql://x' is not a store"),
        ([SHOP, "--host", "192.168.1.7"], "can be reached from other machines"),
        ([SHOP, "--config", "nowhere.toml"], "nowhere.toml is not there"),
    ],
)
def test_what_is_wrong_before_anything_runs_is_exit_code_2(
    arguments: list[str], complaint: str
) -> None:
    ended = execute("serve", *arguments)

    assert (ended.code, ended.out) == (2, "")
    assert complaint in ended.err


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.9.10"])
def test_the_own_machine_needs_no_permission(host: str) -> None:
    check_exposure(Settings(host=host))


@pytest.mark.parametrize("host", [".".join("0000"), "::", "192.168.1.7", "", "shop.example"])
def test_other_machines_do(host: str) -> None:
    with pytest.raises(ConfigurationError, match="insecure-no-auth"):
        check_exposure(Settings(host=host))

    check_exposure(Settings(host=host, insecure_no_auth=True))


def test_a_flag_that_is_not_given_leaves_the_setting_to_others() -> None:
    context = serve.make_context("serve", [NOTES])

    assert context.params["insecure_no_auth"] is None


def test_settings_come_from_a_file_too(store: str, tmp_path: Path) -> None:
    file = tmp_path / "perdure.toml"
    file.write_text(f'store = "{store}"\nheader_seconds_max = 0\n')

    ended = execute("serve", NOTES, "--config", file)

    assert (ended.code, ended.out) == (2, "")
    assert "header_seconds_max must be above zero" in ended.err


def test_the_openapi_document_is_printed_without_a_server(cli: Cli) -> None:
    shown, compact = cli("openapi", SHOP), cli("openapi", SHOP, "--json")

    assert (shown.code, shown.err) == (0, "")
    assert json.loads(shown.out) == compact.rows[0]
    assert compact.rows[0]["openapi"].startswith("3.1")
