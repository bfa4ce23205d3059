"""BIRD itself as the oracle: whether it takes a configuration."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

BIRD = "/usr/sbin/bird"


@pytest.fixture(scope="module")
def refusal(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Give a function that returns why BIRD does not take a configuration, "" where it does."""
    file = tmp_path_factory.mktemp("bird") / "bird.conf"

    def parse(text: str) -> str:
        Path(file).write_text(text, encoding="utf-8")
        done = subprocess.run([BIRD, "-p", "-c", file], capture_output=True, text=True, check=False)
        return "" if done.returncode == 0 else done.stderr or f"exit status {done.returncode}"

    return parse
