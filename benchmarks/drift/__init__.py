"""Drift on lines whose truth is planted, by the detectors and rules of production.

Reading order: `plant` (cameras at the level of minute windows, over shifts, nights and weekends), `watch` (the deployed
rule over many windows at once), then a file for each part, in the order of `__main__.PARTS`: `planted` (short runs,
diagnoses), `false_alarms` (camera-years, and delay at that rate), `frames` (image by image: is `plant` right?),
`labels` (how many prove harm), `gate` (candidates and young releases), `fleet` (a month of a hundred cameras; `upset`,
`told` and `site` play one model of it under the rules), `poison` and `plants` (a rater who says the opposite),
`every_state` (the monitor killed at all that its timeline shows; `outside` is the station beside it).
"""
