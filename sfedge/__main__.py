"""`python -m sfedge`, the same as the command `sfedge`."""

from sfedge.cli import main

if __name__ == "__main__":
    main()
