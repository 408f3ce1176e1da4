"""The README's command lines, as printed, against the server that ``make run`` starts."""

import json
import re
import subprocess
from pathlib import Path

from tests.system.serving import ROOT, Served

BLOCK = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)


def lines_of_the_readme(served: Served) -> list[str]:
    """Give each command line, led to the server and the store of this test."""
    text = (ROOT / "README.md").read_text()
    lines = [line for block in BLOCK.findall(text)[1:] for line in block.splitlines()]
    store = f"sqlite:///{served.store}"
    return [
        line.replace("localhost:9000", f"127.0.0.1:{served.port}").replace(
            "sqlite:///shop-data", store
        )
        for line in lines
    ]


def run(line: str) -> str:
    answer = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", line.replace("curl ", "curl -sS -w '\\n%{http_code}' ")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return answer.stdout.strip()


def test_the_lines_of_the_readme_work_as_printed(tmp_path: Path) -> None:
    with Served(tmp_path / "store", "--cors", "*") as served:
        lines = lines_of_the_readme(served)
        posts = [line for line in lines if "--json" in line]
        cart, story, events, imported, products = [line for line in lines if "--json" not in line]

        assert [run(line) for line in posts] == ["204"] * 3
        assert [run(line) for line in posts] == ["204"] * 3  # again, and nothing changes
        model = json.loads(run(f"{cart}?after=3").splitlines()[0])
        assert model["model"]["total"] == 96.19
        assert len(model["model"]["items"]) == 3
        served.kill()
        served.start()
        cart, story, events, imported, products = [
            line for line in lines_of_the_readme(served) if "--json" not in line
        ]
        assert json.loads(run(cart).splitlines()[0]) == model
        assert json.loads(run(f"{story}?after=3").splitlines()[0])["model"]["age_seconds"] > 0
        assert len(json.loads(run(events).splitlines()[0])["events"]) == 3
        run(imported)
        _, _, stats = served.ask("GET", "/stats")
        after = stats["total_events"]
        found = json.loads(run(f"{products}?after={after}").splitlines()[0])

    assert found["model"]["most_removed"]
