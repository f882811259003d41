"""`lineside demo`: the whole circle on one machine, played by the product itself and told while it happens.

In reading order: `run` (the command), `settings` (what is shortened), `scene` with `simulated` and `pictured` (images),
`story` (the chapters), `watcher` and `operator` (the people in it), `backstage` with `planted` (trainings beside the
line), `live`, `measure`, `first` and `figures` (what is reported), `narrator` (how it is told).
"""
