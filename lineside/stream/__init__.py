"""Images for an agent whose truth is known: the simulated line, or a folder of real pictures dealt out as a line would.

In reading order: `pictures` (real pictures with camera jitter and planted faults), `control` (the file that steers a
running stream), `truth` (what each part really was), `source` (the agent's source over either line).
"""
