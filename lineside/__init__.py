"""The one command `lineside`, the simulated line and the backbone that ships with it."""
