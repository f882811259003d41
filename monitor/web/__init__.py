"""The monitor's pages: takes the store, hands out HTML in the reader's language; clicks go to the HTTP API.

Reading order: `texts` (the words, one file for each language), `reading/` (what each page reads from the store),
`rendering` (how numbers and moments are written), `templates/`, `static/` (sheet, scripts, vendored htmx and uPlot),
`security` (what the browser is forbidden), `pages` (`Pages`: the routes).
"""

from monitor.web.pages import Pages

__all__ = ["Pages"]
