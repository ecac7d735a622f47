import signal
import sys


def _interrupted(*_):
    raise KeyboardInterrupt


try:
    # A kill of the front door ends what it started, as Ctrl-C does.
    signal.signal(signal.SIGTERM, _interrupted)
    from .main import main

    sys.exit(main(sys.argv[1:]))
except KeyboardInterrupt:  # before there was anything to end
    sys.exit(130)
