"""What all tests rely on."""

import signal

# A shell that starts the tests in the background has them ignore SIGINT, and each program under
# test would inherit that: Ctrl-C must end it as it does for a user.
signal.signal(signal.SIGINT, signal.default_int_handler)
