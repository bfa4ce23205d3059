"""What the tests of plans share: namespaces end with their test, and have names of their own."""

from collections.abc import Iterator
from contextlib import ExitStack
from uuid import uuid4

import pytest


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """End what a test made, last first."""
    with ExitStack() as ends:
        yield ends


@pytest.fixture
def unique() -> str:
    """Return a prefix that no other test's namespaces have."""
    return f"plan-{uuid4().hex[:8]}"
