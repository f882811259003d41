"""Quantisation-aware training: a trained network learns on with the rounding of int8 in it, once for every target.

Takes the source of an export; hands on int8 files of the same signature as the float one. Reading order: `settings`,
`rounding` (how numbers are rounded while learning), `quantizer` (where), `body` (a network with that rounding, and its
conversion), `centre` (biases, before anything is learned), `learn` (the training), `passes` (one rewriting of the graph
a file, each with what it requires and ensures), `write` (the files of x86 and TensorRT), `tensorrt_rules` (a linter),
`route` (the way through an export, and whether its file is the better one).
"""
