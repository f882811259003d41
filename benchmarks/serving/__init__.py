"""Images over HTTP: a station with everything on, beside a bare loop and two other ways to serve the same model."""
