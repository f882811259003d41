"""What exporter and agent both run, so that the certificate measures exactly what the line gets.

Takes a bundle directory and images; hands on probabilities, an embedding and a decision. NumPy, Pillow and onnxruntime
only. Reading order: `preprocessing` (bytes -> pixels -> network input), `bundle` (a directory, verified), `graph` (what
a model file may contain; `wire`, `network` and `bounds` read it), `session` (network input -> logits, probabilities,
embedding), `decision` (probabilities -> OK / NG / REVIEW), `tasks` (a model's further answers -> severity, box, map),
`metrics` (many of them against the truth), `latency`, `probe` (may this bundle serve?), `trial` (the same in a process
of its own, first), `benchmark` (which variant should: each in a `runner`, with `energy`), `machine`.
"""
