"""podnet: a pod network you can read.

The rooms, top to bottom, are drawn in docs/ARCHITECTURE.md; import-linter keeps them.
"""

__version__ = "0.1.0"
