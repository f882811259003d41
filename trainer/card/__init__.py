"""The model card: a finished run becomes `card.json`, for programs, and `card.md`, for people.

Reading order: `values` (what a card holds), `base` (the base model's part), `facts` (all of it from record, snapshot
and quality report), `made` and `text` (as Markdown), `file` (beside the run, and in a bundle).
"""
