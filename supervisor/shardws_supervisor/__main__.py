"""`python -m shardws_supervisor` is `shardws`."""

import sys

from shardws_supervisor.cli.main import main

sys.exit(main())
