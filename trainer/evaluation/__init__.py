"""How good a trained model is, how sure one can be of that, and where it breaks: takes a run, hands on an evaluation.

Reading order: `report` (the values), `intervals` (how sure a share is), `figures` (from answers to figures with
intervals, by class), `slices` (the same by column and time), `faults` (what a camera can do to an image), `baselines`
and `scratch` (what others reach on the same images), `curve` (what more images would bring), `simpler` (all of these
beside the model), `judge` (all of it in one go), `words` and `text` (the model card's part), `page`.
"""
