"""`python -m shardws_supervisor` is `shardws`."""

import sys

from shardws_supervisor.cli import main

sys.exit(main())
