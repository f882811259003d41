"""Detectors shared by agent and monitor. Takes images with what a network answered, and labels; hands on a small vector
per image, window verdicts (is this window unlike commissioning?) and evidence (how surely are verdicts wrong?).

Reading order: `vector` (image -> drift vector), `camera` and `focus` (hard faults within seconds), `window` (sums ->
means), `course` (how a row of means went, at every time scale), `profile` (what commissioning looked like), `rolling`
(windows add up to ten minutes), `pause` (when to look away), `persistence` (k of n).

Detectors over window means: `hotelling` (the deployed one), `ewma` (slow drift), `cusum` (triggered lines), `bbse` (the
mix of classes), `plantcharts` (what plants know already), `nodrift` ("off" as an object); `explanation` (which of the
known faults, or which mix, a shift of the mean looks like); `alibi/` (those of alibi-detect, for comparison, in an
environment and a process of their own). Over single images: `sequential`, from `scores` of images and streams drawn
anew (`bootstrap`); no station runs it yet.

Labels and their absence: `eprocess` (labels against a tolerated error), `tolerance` (which error is tolerated),
`agreement` (of several raters),
`labelfree` (an estimate that decides nothing). `quantile` holds the distribution functions they need (no SciPy, because
a station has none), `evaluate` delay, misses and false alarms on planted drift.

Needs NumPy and pydantic; `vector` also safetensors. Nothing here does I/O but loading a reference file.
"""
