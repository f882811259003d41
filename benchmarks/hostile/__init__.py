"""A thousand hostile bundles against the loader of the agent.

Reading order: `models` and `manifests` (what is done to a sound bundle), `cases` (which, by number and seed), `caller`
(the process that is attacked), `__main__` (the figures).
"""
