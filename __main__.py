"""`python -m buscomp`: the same as the command `buscomp`."""

from .cli import main

if __name__ == "__main__":
    main()
