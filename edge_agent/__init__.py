"""The agent beside the line: bundle + camera -> verdicts -> telemetry. NumPy, Pillow, onnxruntime; no torch.

Takes images from its sources and a signed bundle from the monitor; hands on a verdict for each image, a record of them
on disk, and sums of them to the monitor. Reading order:

- what comes in: `settings`, `source`, `sources/` (folder, HTTP, MQTT, cameras), `feed`, `census`, `sequences`
- the hot path: `inspection` (image -> verdict), `station` (all sources), `under_way` (what does not end), `window`
  (sums), `ledger` (one commit for all), `commits` (when)
- what decides: `products/` (which product, which bundle), `thresholds` (signed), `pause`, `pulse` (does it answer)
- what stays: `store` (who gets it next: `precedence`), `record` with `extract` and `parquet`, `parts/` (several views,
  one part), `buffer` (what is worth a label: `worth`, `keepsake`, `fresh`, `kept`), `focus`, `recent`, `trend`
- what the line is told: `deadline`, `outputs/`
- what leaves: `outbox`, `shrink`, `merging`, `lanes`, `broker`, `uplink`, `sampling` (from its `candidates`),
  `uploads`, `upload`, `outcomes`, all of them with `courtesy` to the line; by hand: `luggage`
- what the monitor asks: `orders`, `shadow`, `replay`, `benchmarking`, `scores`, with `patience`
- bundles: `updates`, `download`, `slots`, `evidence`, `selection`, `loader`, `engines`, `pace`,
  `crash`, `probation`, `activation`, `follower`
- what it says of itself: `state`, `trouble`, `outbound`, `metrics`, `watchdog`, `web/`
- beside a running one: `claim`, `neighbour`, `doctor/`
- `caretaker` with its `duties`, `memory`, `threads`, and `core`, `links` and `agent`, which put it all together.
"""
