"""Errors as a log has them."""

from podnet.errors import PodnetError


def describe(error: PodnetError) -> str:
    """Return `error` as one line for a log, with its details where it has any."""
    return f"{error.msg} [{error.details}]" if error.details and error.details not in error.msg else error.msg
