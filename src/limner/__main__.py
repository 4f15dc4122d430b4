"""`python -m limner` is the command `limn`."""

from limner.cli import main

main()
