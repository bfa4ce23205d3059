"""BLAKE2s (RFC 7693), by which names and MACs follow from what they are of.

`hashlib` has the same from the same module, but loads OpenSSL for its other digests: 3.4 MiB of a daemon that has no
use for them.
"""

try:
    from _blake2 import blake2s
except ImportError:  # an interpreter that has it elsewhere
    from hashlib import blake2s

__all__ = ["blake2s"]
