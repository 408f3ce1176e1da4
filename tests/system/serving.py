"""A real server in a process of its own: started, asked, killed."""

import http.client
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parent.parent.parent


class Served:
    """``perdure serve`` over a store, on a port the system chose."""

    def __init__(self, store: Path, *options: str, app: str = "examples.shop.app:app") -> None:
        self.store = store
        self._command = [
            *(sys.executable, "-m", "perdure", "serve", app),
            *("--host", "127.0.0.1", "--port", "0", "--store", f"sqlite:///{store}", *options),
        ]
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    def start(self) -> Self:
        """Start it and wait for the line that says where it listens."""
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert "http://127.0.0.1:" in line, f"the server said {line!r}"
        self.port = int(line.rsplit(":", 1)[1].split("/")[0])
        return self

    def kill(self) -> None:
        """End it as a power cut would end the process."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask it to end, and give its exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> int:
        assert self._process is not None
        os.kill(self._process.pid, how)
        code = self._process.wait(timeout=30)
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None
        return code

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self.kill()

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], Any]:
        """Send one request on a connection of its own; give status, headers and the decoded body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            data = None if body is None else json.dumps(body)
            sent = {"content-type": "application/json"} if body is not None else {}
            connection.request(method, path, data, sent | (headers or {}))
            answer = connection.getresponse()
            text = answer.read()
            headers_ = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, headers_, json.loads(text) if text else None
        finally:
            connection.close()
