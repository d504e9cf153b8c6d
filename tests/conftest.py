"""What all tests rely on."""

import signal

# A shell that starts the tests in the background has them ignore SIGINT, nohup has them ignore
# SIGHUP, and each program under test would inherit that: both must end it as they do for a user.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
