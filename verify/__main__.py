"""``python -m verify``: see :mod:`verify.cli`."""

import signal
import sys

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # also while the modules are imported
    try:
        from verify.cli import main

        main()
    except KeyboardInterrupt:
        sys.exit(130)
