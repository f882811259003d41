"""Errors, one class for each different reaction of whoever catches it."""


class LinesideError(Exception):
    """Base of all errors that Lineside raises on purpose. The message names the offender and the remedy."""


class ConfigurationError(LinesideError):
    """The user's settings or arguments are wrong: stop, say what to change."""


class DatasetError(LinesideError):
    """Images or manifest cannot be used as they are: name the file, row or column; nothing is trained."""


class BundleError(LinesideError):
    """A bundle is damaged, unsigned or not fit for this machine: refuse it and keep the old one."""


class LinkError(LinesideError):
    """The other side cannot be reached: keep everything and try again later."""


class OrderError(LinesideError):
    """An order cannot be carried out: acknowledge it as failed, with this reason."""


class QuotaError(LinesideError):
    """A store reached its limit: drop the oldest by the stated policy, count it, go on."""
