"""The demo: a scene and a seed in, the product's own story told live, a report of figures out.

Reading order: `run` (the command), `scene` with `simulated` and `pictured` (what the story is played with), `settings` (what is
shortened), `first`, `story` (the chapters), `planted` and `backstage` (candidates made for it), `operator`, `watcher`, `narrator`,
`live` and `measure` (how good it was), `figures`.
"""
