"""What the command line's tests share."""

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from podnet.cli.root import root


@pytest.fixture
def podnet() -> Callable[..., Result]:
    """Give a function that runs podnet with some words in this process."""
    return lambda *words: CliRunner().invoke(root, words)
