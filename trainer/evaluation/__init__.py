"""How good a trained model is, how sure one can be of that, and where it breaks: takes a run, hands on an evaluation.

Reading order: `report` (the values), `figures` (from answers to figures with intervals, by class and by column),
`faults` (what a camera can do to an image), `baselines` (what simpler means reach on the same images), `curve` (what
more images would bring), `judge` (all of it in one go), `text` (the model card's part).
"""
