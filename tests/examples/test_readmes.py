"""The command lines of the examples' pages, as printed, against the servers that they start."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.system.serving import ROOT, Served

BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)


def run_page(example: str, store: Path) -> list[tuple[int, Any]]:
    """Run the page's lines in one shell; give the status and the body of each answer of curl."""
    page = (ROOT / "examples" / example / "README.md").read_text()
    text = "".join(BLOCK.findall(page)).replace("\\\n", " ")
    lines = [line.removeprefix("$ ") for line in text.splitlines()]
    serve, *asked = lines
    assert serve == f"perdure serve examples.{example}.app:app --store sqlite:///{example}-data"
    with Served(store, app=f"examples.{example}.app:app") as served:
        script = "\n".join(
            line.replace("127.0.0.1:9000", f"127.0.0.1:{served.port}").replace(
                "curl ", "curl -sS -w '\\n%{http_code}\\n' "
            )
            for line in asked
        )
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=ROOT,
            env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    said = ran.stdout.splitlines()
    return [
        (int(status), json.loads(body)) for body, status in zip(said[::2], said[1::2], strict=True)
    ]


def test_the_page_of_the_counter(tmp_path: Path) -> None:
    answers = run_page("counter", tmp_path / "store")

    one, four, model, five, six, again, total = (body for _, body in answers)
    assert {status for status, _ in answers} == {200}
    assert [body["state"] for body in (one, four, five, six)] == [
        {"count": count} for count in (1, 4, 5, 6)
    ]
    assert model["model"] == {"count": 4}
    assert (again["state"], again["version"]) == (six["state"], six["version"])
    assert (six["repeated"], again["repeated"]) == (False, True)
    assert total["model"] == 6


def test_the_page_of_the_invitation(tmp_path: Path) -> None:
    answers = run_page("invite", tmp_path / "store")

    (status, invited), (_, again), (refused, problem), (_, models) = answers
    assert (status, refused) == (200, 422)
    assert invited["reply"] == again["reply"] == {
        "id": invited["reply"]["id"], "email": "hello@you.com", "invited": True,
    }  # fmt: skip
    assert "Email is required" in problem["detail"]
    assert [each["model"] for each in models["models"]] == [invited["reply"]]


def test_the_page_of_the_bank(tmp_path: Path) -> None:
    answers = run_page("bank", tmp_path / "store")

    (_, created), (_, deposited), (refused, problem), (_, model), (_, sent), (_, saga) = answers
    assert sent["state"]["balance"] == 130.50
    assert saga["model"]["transaction_id"] == "t-1"
    assert saga["model"]["step"] in {"debited", "rolling back", "rolled back"}
    assert created["reply"] == "000001"
    assert deposited["state"]["balance"] == 150.50
    assert refused == 422
    assert "Insufficient funds" in problem["detail"]
    assert model["model"] == deposited["state"]
    assert model["model"]["transactions"]["mine-1"]["stage"] == "deposited"
