"""Where a candidate can stand before it is decided about (see `candidates`)."""

OPEN_STATES = ("submitted", "queued", "shadowing", "approving")
