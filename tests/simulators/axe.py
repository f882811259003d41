"""axe-core in the page that a browser shows: what keeps people out, by the rules of WCAG 2.2, level A and AA."""

from __future__ import annotations

import json
from pathlib import Path

from tests.simulators.browser import Browser

AXE = Path(__file__).resolve().parents[1] / "vendor" / "axe-core" / "axe.min.js"
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
SCHEMES = ("light", "dark")


def violations(page: Browser) -> list[str]:
    """One line for each rule and place that is broken; nothing: nobody is kept out. The page's own policy stays in
    force: the checker comes in as a developer's tools do."""
    page.run(AXE.read_text(encoding="utf-8") + "; true")
    options = json.dumps({"runOnly": {"type": "tag", "values": LEVELS}, "resultTypes": ["violations"]})
    found = page.run(f"axe.run(document, {options}).then((told) => JSON.stringify(told.violations))")
    return [
        f"{rule['id']}: {rule['help']}: {node['target']} {node['html'][:160]} {node.get('failureSummary', '')[:300]}"
        for rule in json.loads(found)
        for node in rule["nodes"]
    ]
