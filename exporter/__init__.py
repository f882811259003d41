"""A finished training run -> a bundle: runnable files, proven equal to what was trained, and the evidence.

Takes a run folder of the trainer; hands on a bundle directory that nobody has signed yet (the monitor signs, after
its gate). Reading order: `settings`, `source` (what is taken from the run), `graph` (torch -> fp32 ONNX), `precision`
(fp32 -> int8, with `ranges`, `quantise` and its `passes`, `bias_correction`, `sensitivity`, `mixed`), `qat` (int8 by
training on, where asked for), `fused` (what onnxruntime makes of a file), `certificate` and `task_certificate` (how
far a variant may differ, and does), `reference` (what drift is measured against), `signatures`
(what camera faults do to it), `golden` (samples that travel
along), `variants` (files on runtimes), `export` (the story, written atomically).
"""

import runtime  # noqa: F401  # first: it keeps onnxruntime from reporting to its maker
