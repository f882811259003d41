"""Products that follow one another on a line: which one is before a camera, and what judges it.

`settings` (names, codes, bundles of their own) -> `changeover` (what the line said, and which capture is of which
product) -> `shelf` (the bundles that products bring along). Never a guess: whatever is not known is no verdict.
"""
