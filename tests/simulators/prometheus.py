"""A real Prometheus on a free loopback port that scrapes what it is told, once a second."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.simulators.port import free_port, wait_until_it_listens


@dataclass
class Prometheus:
    """`program` is its path, `folder` takes configuration and data, `targets` are `job -> host:port` to scrape;
    `rules` are rule files."""

    program: str
    folder: Path
    targets: dict[str, str]
    rules: tuple[Path, ...] = ()
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(path) for path in self.rules],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": [target]}]} for job, target in self.targets.items()
            ],
        }
        file = self.folder / "prometheus.yml"
        file.write_text(yaml.safe_dump(config), encoding="utf-8")
        command = [self.program, f"--config.file={file}", f"--storage.tsdb.path={self.folder / 'data'}"]
        command += [f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"]
        with (self.folder / "prometheus.log").open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until_it_listens(self.port, self.process)
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        """It listens before its store is open."""
        for _ in range(300):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=5):
                    return
            except urllib.error.HTTPError:
                time.sleep(0.1)
        raise RuntimeError("prometheus is never ready")

    def stop(self) -> None:
        """End it."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Result of an instant query. Raises urllib.error.HTTPError for a wrong expression."""
        address = f"http://127.0.0.1:{self.port}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
        with urllib.request.urlopen(address, timeout=10) as answer:
            result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return result

    def wait_for(self, expression: str, *, seconds: float = 30.0) -> list[dict[str, Any]]:
        """The result as soon as there is one; empty at the limit."""
        limit = time.monotonic() + seconds
        while not (result := self.query(expression)) and time.monotonic() < limit:
            time.sleep(0.2)
        return result
