"""`python -m sfedge_desktop`."""

from sfedge_desktop.app import main

if __name__ == "__main__":
    main()
