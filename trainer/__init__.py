"""Images become a fine-tuned model: takes a manifest or a folder and a pretrained backbone, hands on a run folder.

Reading order: `dataset` (what the user's files say), `quality/` (what is wrong with them), `licence` (what may be done
with them), `split` and `snapshot` (what is trained on and what never is, content-hashed and pinned), `settings`,
`catalogue`, `policy` and `verify` (which pretrained models there are, and which may be used), `transferability` and
`ranking` (which of them fits), `backbone` and `network` (one of them, cut into stages), `image` (images as tensors),
`folding` and `features` (what the frozen part answers), `strategy`, `head`, `tasks`, `heads` (severity and location
beside the class) and `finetune` (the stages of training), `course` (their rounds), `attempt` and `contest` (one
strategy carried out, two compared), `threshold` and `line` (where good ends), `together` (is a task better off alone?),
`trained` (the run folder), `run` (all of it in one go), `evaluation/` (how good it is and where it breaks), `transfer`
(what sites can give each other), `workspace` and `retrain` (the same on a monitor's order). `torchvision_shim` is
called before timm.

Torch and timm live here and in the exporter; agent and monitor never import this package.
"""
