"""``python -m explorer``."""

import sys

try:
    from explorer.cli import main

    status = main()
except KeyboardInterrupt:  # while the first modules were being imported
    status = 130
sys.exit(status)
