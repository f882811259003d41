"""What eight bits are worth on five backbones: which convolutions really run in int8, how fast, how large the file.

Reading order: `backbones` (the networks, with random weights), `latency` (fused convolutions, ratios of latency, file
size), `runtimes` (which one is fastest with the same files), `trained` (a training with its int8 files, kept),
`targets` (the same weights through two graphs), `accuracy` (what int8 costs and training on wins back), `__main__`
(the parts, collected into one report).
"""
