"""Progress of long work: a bar on a terminal, a line now and then elsewhere."""
import sys
import time

QUIET_EVERY_S = 10  # ours: often enough to see life in a CI log, seldom enough to read it


class Progress:
    """Counts finished runs of one world."""

    def __init__(self, title, total):
        self.title, self.total, self.done, self.failed = title, total, 0, 0
        self.started = self.said = time.monotonic()
        self.tty = sys.stdout.isatty()

    def step(self, run_id="", failed=False):
        self.done += 1
        self.failed += failed
        if self.tty:
            self._bar(run_id)
        elif time.monotonic() - self.said > QUIET_EVERY_S:
            self.said = time.monotonic()
            print(f"  {self.title}: {self.done} of {self.total}", flush=True)

    def _bar(self, run_id):
        width = 28
        filled = width * self.done // max(1, self.total)
        spent = time.monotonic() - self.started
        left = spent / self.done * (self.total - self.done)
        line = (f"  {self.title} {'█' * filled}{'·' * (width - filled)} {self.done}/{self.total}"
                f"  {left:4.0f} s left  {run_id}")
        print("\r" + line[:110].ljust(110), end="", flush=True)

    def finish(self):
        spent = time.monotonic() - self.started
        text = f"  {self.title}: {self.done} of {self.total} runs in {spent:.1f} s"
        if self.failed:
            text += f", {self.failed} FAILED to run"
        print(("\r" + text.ljust(110)) if self.tty else text, flush=True)
