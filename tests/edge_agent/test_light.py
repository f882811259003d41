"""A station needs neither trainer nor server parts: the agent inspects where they cannot even be imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from runtime.bundle import Bundle

PROGRAM = """
import sys
from pathlib import Path

HEAVY = {"torch", "torchvision", "timm", "onnx", "onnxscript", "sqlalchemy", "alembic", "scipy", "sklearn", "httpx",
         "trainer", "exporter", "monitor", "lineside", "amqtt"}

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HEAVY:
            raise ModuleNotFoundError(f"{name} is not installed at a station", name=name)

sys.meta_path.insert(0, Absent())
import urllib.request
from edge_agent.agent import Agent
from edge_agent.settings import AgentSettings, BundleSettings, WebSettings

folder, bundle_path, bundle_hash = sys.argv[1:]
settings = AgentSettings(site="plant", agent="agent-1", state_folder=Path(folder), web=WebSettings(port=0),
                         bundle=BundleSettings(path=Path(bundle_path), hash=bundle_hash))
agent = Agent(settings)
agent.start()
image = next(Path(bundle_path, "golden").iterdir()).read_bytes()
print(urllib.request.urlopen(agent.url + "/v1/inspect", data=image).read().decode())
print(urllib.request.urlopen(agent.url + "/").status)
agent.close()
"""


def test_the_agent_inspects_without_torch_onnx_and_sqlalchemy(tmp_path: Path, small_bundle: Bundle) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "state"), str(small_bundle.path), small_bundle.hash]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert '"decision":"OK"' in done.stdout
    assert done.stdout.rstrip().endswith("200")
