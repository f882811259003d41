"""Rewritings of the symmetric QDQ graph for the targets, one a file. `write` puts them in their order.

Each takes an `onnx.ModelProto` and changes it in place; its docstring says what it requires of the graph and what it
ensures afterwards: the same bits, or by how much a number may change.
"""
