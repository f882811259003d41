"""What exporter and agent both run, so that the certificate measures exactly what the line gets.

Takes a bundle directory and images; hands on probabilities, an embedding and a decision. NumPy, Pillow and onnxruntime
only; other runtimes where they are installed. Reading order: `preprocessing` (bytes -> pixels -> network input),
`bundle` (a directory, verified), `graph` (what a model file may contain; `wire`, `network` and `bounds` read it),
`targets` (the runtimes, one small module each), `machine` and `narrow` (classes of devices, weights that suit all of
them), `choice` (which variant serves here), `session` (network input -> logits, probabilities, embedding), `decision`
(probabilities -> OK / NG / REVIEW), `tasks` (a model's further answers -> severity, box, map), `metrics` (many of them
against the truth), `latency`, `probe` (may this bundle serve?), `trial` (the same in a process of its own, first),
`benchmark` (what each variant costs: each in a `runner`, with `energy`). Beside it: `jpeg` (the plain kind of picture),
`faults` (what camera faults do to one), `durable` (files that are wholly old or wholly new), `rank` (work that gives
way to the line).
"""

import os

# onnxruntime's official builds report to their maker, and decide so while they are imported (its Privacy.md).
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
