"""The agent's HTTP door: inspect an image, say what a part really was, read the record, look at the page.

Reading order: `app` (everything put together), `access` and `clients` (who may), `errors` (one clear answer for each
refusal), `shortcut` and `answers` (for what every image takes), `described` (what OpenAPI says), `inspect`, `outcomes`,
`verdicts`, `page`, `texts`, `reasons` and `troubles` (in the reader's language).
"""
