"""Several views, one part: verdicts on record in, one part verdict out.

Reading order: `settings`, `rule` (which decision is the worst), `joining` (views to parts; values in, values out),
`parts` (reads the record, writes part verdicts, tells whoever listens).
"""
