"""What sites can give each other, and what a model of several is worth at each.

Reading order: `by_site` (a test looked at site by site), `sisters` (is the site on whose release a model is built still
served?), `gain` (how much better a way is, and how many labels that is worth), `advice` (what is said of it),
`recalled` (a finished way taken as it is), `transfer` (the ways tried), `page` (the report).
"""
