"""What eight bits are worth on five backbones: which convolutions really run in int8, how fast, how large the file.

Reading order: `backbones` (the networks, with random weights), `latency` (fused convolutions, ratios of latency, file
size), `__main__` (the parts, collected into one report).
"""
