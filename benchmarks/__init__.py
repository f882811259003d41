"""What is measured, with the command and the machine: `python -m benchmarks.NAME --json FILE [--quick]`.

Takes a checkout with its environment, hands on one `contracts.report.Report` as JSON. Each benchmark is a module whose
`measure(options)` returns figures; `harness` does the rest (arguments, machine, commit, goals from `goals/NAME.toml`,
output). `table` prints reports, those figures first that do not hold; reports that README quotes lie in `reports/`.
"""

import runtime  # noqa: F401  # first: it keeps onnxruntime from reporting to its maker
