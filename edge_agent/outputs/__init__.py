"""Ways to the line: every verdict, once it is on record, to every configured output; none waits for another.

Takes verdicts from the station, hands on answers (`contracts.answer`). Reading order:

- `settings`, `output` (what an output is), `lane` (its thread and queue), `switchboard` (all of them)
- `together`: views of one part wait for the part's decision
- one file for each kind: `mqtt`, `folder`, `webhook`; `gpio` with `simulated_pins`
- a PLC: `handshake` (the rules), `triggers` (which image is whose), `opcua_server`, `opcua`
- `build`, which makes them from the settings.
"""
