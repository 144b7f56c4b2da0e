"""`python -m training.paper`; see `training.paper.cli`."""

import sys

from training.paper.cli import main

if __name__ == "__main__":  # worker processes import this module
    sys.exit(main())
