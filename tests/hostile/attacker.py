"""An attack in a process of its own, which gives way to all others: it stands for another machine."""
import os
import signal
import time

NICE = 15
WORDS_MAX = 4096


def guarded(run, node):
    """What the attack complains of; an attack that breaks down itself is a complaint too."""
    try:
        return run(node) or ""
    except OSError:  # the node may hang up at any line
        return ""
    except Exception as error:
        return f"{type(error).__name__}: {error}"


class Attacker:
    def __init__(self, run, node):
        self._words, write = os.pipe()
        self._over = False
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.nice(NICE)
                os.write(write, guarded(run, node).encode(errors="replace")[:WORDS_MAX])
            finally:
                os._exit(0)  # nothing of the parent is cleaned up here
        os.close(write)

    def running(self):
        if not self._over:
            self._over = os.waitpid(self._pid, os.WNOHANG)[0] != 0
        return not self._over

    def end(self):
        """Ends it where it still runs. What it complains of."""
        if self.running():
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._over = True
        with os.fdopen(self._words, "rb") as words:
            return words.read().decode(errors="replace")


def run_apart(run, node, seconds):
    """The same, awaited for so long."""
    attacker, end = Attacker(run, node), time.monotonic() + seconds
    while attacker.running():
        if time.monotonic() > end:
            return attacker.end() or f"it did not end within {seconds} s"
        time.sleep(0.02)
    return attacker.end()
