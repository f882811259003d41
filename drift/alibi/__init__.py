"""alibi-detect's detectors behind the interface of ours, for comparison: in an environment and a process of their own.

`backend` is our side, `served` the other one, which runs under the other environment's interpreter and imports nothing
of Lineside. Plain float64 arrays and JSON lines cross between them; nothing is pickled.

alibi-detect 0.12 and later is under the Business Source License 1.1: production use needs a licence from Seldon. It
pins numpy and Pillow below what Lineside needs; `scripts/setup-alibi` makes its environment.
"""
