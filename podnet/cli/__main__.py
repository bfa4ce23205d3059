"""`python -m podnet.cli` is `podnet`."""

from podnet.cli import main

main()
