"""Small changes of an ONNX graph, each in a file of its own that says what it requires and what it ensures.

On the float graph, before it is quantised: `pooling`, `gates`, `swish_floor`. On the quantised graph (QDQ):
`hard_sigmoid`, `guarded`, `shrunk`. All take a model and change it in place; `graph` is what they have in common.
"""
