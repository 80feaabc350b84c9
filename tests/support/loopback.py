"""A handle on the loopback chat server, which runs in a process of its own."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

_OUTAGE_TRIES = 60
_SERVER = Path(__file__).with_name("chat_server.py")


class LoopbackServer:
    """Starts the server and steers it; `with LoopbackServer() as server:`."""

    def __init__(self, port: int = 0) -> None:
        # A session of its own: a Ctrl-C that a test sends to a group must not reach it.
        self._process = subprocess.Popen(
            [sys.executable, "-S", str(_SERVER), "--port", str(port)],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    @property
    def base_url(self) -> str:
        """What `model.base_url` is set to."""
        return f"http://127.0.0.1:{self.port}/v1"

    def script(self, *rules: dict[str, Any], delay: float = 0.0) -> None:
        """Replaces the script; see `chat_server` for what a rule may say."""
        self._call("POST", "/script", {"delay": delay, "rules": list(rules)})

    def reset(self) -> None:
        """Forgets what was asked."""
        self._call("POST", "/reset", {})

    def outage(self, seconds: float) -> None:
        """Refuses connections from now on for a while."""
        self._call("POST", "/outage", {"seconds": seconds})

    def end_outage(self) -> None:
        """Takes connections again."""
        self._process.send_signal(signal.SIGUSR1)

    def calls(self) -> dict[str, Any]:
        """total, answered, most_in_flight, connections, asked, bodies, headers."""
        return self._call("GET", "/calls", None)  # type: ignore[no-any-return]

    def asked(self) -> dict[str, int]:
        """Prompt -> how often it was asked."""
        counts: dict[str, int] = {}
        for entry in self.calls()["asked"]:
            counts[entry["prompt"]] = counts.get(entry["prompt"], 0) + entry["calls"]
        return counts

    def close(self) -> None:
        """Ends the process."""
        self._process.terminate()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def __enter__(self) -> LoopbackServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _call(self, method: str, path: str, body: Any) -> Any:
        sent = None if body is None else json.dumps(body)
        for _ in range(_OUTAGE_TRIES):
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            try:
                connection.request(method, path, body=sent)
                return json.loads(connection.getresponse().read())
            except ConnectionError:
                time.sleep(0.1)  # In an outage; it opens its port again.
            finally:
                connection.close()
        raise AssertionError("the loopback server does not come back")
