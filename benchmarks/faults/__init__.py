"""What a station survives, counted from outside.

Each part plays one kind of fault again and again against the real programs, and judges from what its own process wrote
down: what it sent, what was answered, what the monitor's store holds afterwards. A part's trials are kept one by one in
`--folder/PART.jsonl`, so that a run may be stopped at any moment and goes on where it was. Reading order: `ledger` (how
trials are kept and counted), then a file for each part, in the order of `__main__.PARTS`.

The programs around the agent (a broker to kill, a registry to fetch from, a model that is bad) are those of the tests:
`tests/simulators`.
"""
