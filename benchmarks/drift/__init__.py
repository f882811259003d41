"""Drift on lines whose truth is planted, by the detectors and rules of production.

Reading order: `plant` (cameras at the level of minute windows, over shifts, nights and weekends), `watch` (the deployed
rule over many windows at once), then a file for each part, in the order of `__main__.PARTS`: `planted` (short runs,
diagnoses, proofs), `false_alarms` (camera-years, and delay at that rate), `frames` (image by image: is `plant` right?).
"""
