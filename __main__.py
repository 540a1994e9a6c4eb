"""`python -m buscomp`: the same as the command `buscomp`."""

from .cli import main

main()
