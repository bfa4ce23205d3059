"""What a daemon has in memory before it has anything to do."""

import subprocess
import sys

HEAVY = ("_hashlib", "ssl", "http", "yaml", "click", "rich", "asyncio", "subprocess", "podnet.bird", "podnet.lab")
"""OpenSSL alone is 3.4 MiB; each of these is for what not every node does."""


def test_a_daemon_imports_what_every_node_needs() -> None:
    """TLS, YAML, BIRD and the like come with the settings that ask for them."""
    program = f"import sys, podnet.daemon.run; print(*(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
