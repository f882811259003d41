"""Images become a fine-tuned model: takes a manifest or a folder and a pretrained backbone, hands on a run folder.

Reading order: `dataset`, `layout` and `masks` (what the user's files say), `quality/` (what is wrong with them),
`licence` (what may be done with them), `split`, `pins`, `snapshot` and `parting` (what is trained on and what never is,
content-hashed and pinned), `proof` (that it is so), `settings` and `clock`, `bases/` (which pretrained models there
are, which may be used, which fits), `network` and `device` (one of them, cut into stages, and where it computes),
`image` (images as tensors), `folding`, `jitter`, `grafts` and `features` (what the frozen part answers), `strategy`,
`tasks` (severity and location beside the class) and `rounds/` (one round of training), `course` (all rounds), `outset`
(what stands before the first), `attempt` and `contest` (one strategy carried out, two compared), `trials` and `tuning` (other values of a recipe searched),
`threshold` and `line` (where good ends), `together` (is a task better off alone?), `trained` (the run folder), `claim`
(of how many test images one is made), `by_site`, `card/` (all that has to be known of a model) and `finish` (its record
and card), `run` (all of it in one go), `evaluation/` (how good it is and where it breaks), `recalled`, `gain`,
`advice`, `transfer` and `transfer_page` (what sites can give each other), `workspace`, `replay`, `forgetting`,
`sisters` and `retrain` (the same on a monitor's order).

Torch and timm live here and in the exporter; agent and monitor never import this package.
"""
