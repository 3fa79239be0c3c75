"""`python -m watcherd` is the `watcherd` command."""

from watcherd.cli import main

main()
