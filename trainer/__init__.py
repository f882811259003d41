"""Images become a fine-tuned model: takes a manifest or a folder and a pretrained backbone, hands on a run folder.

Reading order:

- what the user's files say: `dataset`, `layout`, `masks`, `marks`, `raters`, `licence`; what is wrong with them:
  `quality/`
- what is trained on and what never is: `split`, `pins`, `snapshot`, `parting`, and `proof` that it is so
- what a user may set: `settings`, `jitter`, `resolution`, `sizing`
- the network: `bases/` (which pretrained ones there are, may be used, and fit), `network` (one of them, cut into
  stages), `device`, `folding`
- what it sees: `image`, `views`, `grafts`; what its frozen part answers: `stem`, `maps`, `features`
- learning: `weighing`, `tasks` (severity and location beside the class), `strategy`, `rounds/` (one round), `course`
  (all of them), `outset` (what stands before the first)
- choosing: `attempt` (one strategy carried out), `contest` (two compared), `trials` and `tuning` (other values of a
  recipe), `evidence` (is a difference one?)
- where good ends: `threshold`, `line`
- handing on: `together` (is a task better off alone?), `trained` (the run folder), `claim` (of how many test images one
  is made), `card/`, `finish`; `run` does all of it in one go
- how good it is and where it breaks: `evaluation/`; what sites can give each other: `sites/`
- the same on a monitor's order: `workspace`, `replay`, `forgetting`, `retrain`

Torch and timm live here and in the exporter; agent and monitor never import this package.
"""
