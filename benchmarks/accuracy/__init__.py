"""How right the int8 bundles are on real images, by published and by stricter protocols: images in, figures out.

Reading order: `protocols` (which images are trained on and which judge), `cells` (what was measured once is not
measured again), `play` (one training, its bundle, its answers), `__main__` (all cells, and the figures made of them).
"""
