"""One file for each step from one version of the database to the next. A step that was released never changes."""
