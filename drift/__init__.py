"""Detectors shared by agent and monitor. Takes images with what a network answered, and labels; hands on a small vector
per image, window verdicts (is this window unlike commissioning?) and evidence (how surely are verdicts wrong?).

Reading order: `vector` (image -> drift vector), `camera` and `focus` (hard faults within seconds), `window` (sums ->
means), `profile` (what commissioning looked like), `hotelling` (one window against the profile), `persistence` (k of n),
`nodrift` ("off" as an object), `eprocess` (labels against a tolerated error), `tolerance` (which error is tolerated),
`quantile` (the distribution functions they need; no SciPy, because a station has none), `evaluate` (delay, misses and
false alarms on planted drift).

Needs NumPy and pydantic; `vector` also safetensors. Nothing here does I/O but loading a reference file.
"""
