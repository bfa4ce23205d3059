"""What an installation tells of itself."""

from typing import NamedTuple


class Did(NamedTuple):
    """One line of what was done, or found done: the `deed` in a word or two, what it was done to, and a remark."""

    deed: str
    place: str
    remark: str = ""
