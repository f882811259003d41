"""Takes telemetry, labels and candidate bundles; hands on acknowledgements, orders, a signed channel and the reasons.

Reading order: `settings`; `store/` (what is remembered), `ingest` and `link` (telemetry in, once), `blobs` and `labels`
(images and what people say about them), `rules/` (the thinking, without I/O), `loop` (rules over what was committed),
`orders` (asking agents), `retraining` (asking a trainer), `evaluation` and `candidates` (from a bundle to a release or
a refusal), `registry/` (signing), `queries`, `api`, `web/`, `metrics` (looking and acting), `service` (all of it
together).
"""
