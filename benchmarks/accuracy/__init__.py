"""How right the int8 bundles are on real images, by published and by stricter protocols: images in, figures out.

Reading order: `protocols` (which images are trained on and which judge), `plan` (every cell, its settings), `cells`
(what was measured once is not measured again), `play` (one training, its bundle, its answers), `tasks` (several over
one trunk), `ways` (a site and its sister), `caching` (what a cached pass costs), `findings` (the figures), `__main__`.
"""
