"""One node of Iris as a process, and the bystander: an honest client beside each attack."""
import json
import os
import resource
import signal
import socket
import subprocess
import tempfile
import time

START_SECONDS = 30
STOP_SECONDS = 30
BYSTANDER_RATE = 200  # calls a second, half of them writes
BYSTANDER_SECONDS_MAX = 600
BYSTANDER_START_SECONDS = 0.3  # to be connected
# What a node keeps for its own work grows with what is written to it, up to bounds: the log in memory, memtables,
# caches. It is filled to these before it is measured, so that what an attack leaves behind is told from them.
LOG_BYTES = 16 << 20
FILL_CALLS, FILL_VALUE_BYTES = 400, 256 << 10


def free_ports(first):
    """The first of two ports from here on that nobody has, not even a connection on its way out."""
    while not (is_free(first) and is_free(first + 1)):
        first += 2
    return first


def is_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            return True
        except OSError:
            return False


class Node:
    """Runs `iris` alone in a folder that goes with it. With `certs`: TLS on both ports."""

    def __init__(self, bin_folder, port, certs=None, descriptors=None, short=False):
        self.short = short
        self.bin, self.port, self.raft_port, self.certs = bin_folder, port, port + 1, certs
        self.folder = tempfile.TemporaryDirectory(prefix="iris-hostile-")
        self.log_path = os.path.join(self.folder.name, "log")
        command = [f"{bin_folder}/iris", "-nostela", "-listen", "127.0.0.1", "-port", str(port)]
        command += ["-raftdir", os.path.join(self.folder.name, "data"), "-log-bytes", str(LOG_BYTES)]
        self.working_mib = 0.0  # most memory while it was filled
        self.quiet_ms = None  # the bystander's p99 before an attack
        if certs is None:
            command.append("-insecure")
        else:
            command += ["-cert", f"{certs}/server.crt", "-key", f"{certs}/server.key", "-ca", f"{certs}/ca.crt"]

        def limit():
            if descriptors is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, descriptors)

        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, preexec_fn=limit)
        self._await_ready()

    def _await_ready(self):
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            if not self.alive():
                raise RuntimeError(f"the node ended at its start: {self.last_words()}")
            if self.cli("set", "start", "key", "value").returncode == 0:
                return
            time.sleep(0.1)
        raise RuntimeError(f"the node does not serve after {START_SECONDS} s: {self.last_words()}")

    def connection_flags(self):
        if self.certs is None:
            return ["-insecure"]
        return ["-clientCert", f"{self.certs}/client.crt", "-clientKey", f"{self.certs}/client.key", "-ca", f"{self.certs}/ca.crt"]

    def cli(self, *words, timeout="5s", stdin=b""):
        command = [f"{self.bin}/iris-cli", *words, "-nostela", "-addr", f"127.0.0.1:{self.port}", "-timeout", timeout]
        return subprocess.run(command + self.connection_flags(), capture_output=True, input=stdin, check=False)

    def bench(self, *words):
        command = [f"{self.bin}/iris-bench", *words, "-addr", f"127.0.0.1:{self.port}", *self.connection_flags()]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)

    def fill(self):
        words = ["set", "-conns", "1", "-inflight", "2", "-keys", "20", "-source", "fill", "-warmup", "0s"]
        filling = self.bench(*words, "-value", str(FILL_VALUE_BYTES), "-ops", str(FILL_CALLS))
        while filling.poll() is None:
            self.working_mib = max(self.working_mib, self.memory_mib())
            time.sleep(0.05)
        filling.communicate()
        if filling.returncode != 0:
            raise RuntimeError(f"the node cannot be filled: iris-bench exits {filling.returncode}")

    def many(self, full, short):
        """How many of something an attack sends: less in the short form."""
        return short if self.short else full

    def alive(self):
        return self.process.poll() is None

    def status(self):
        return json.loads(self.cli("status", "-o", "json").stdout or b"{}")

    def memory_mib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) / 1024
        return 0.0

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()

    def last_words(self):
        return self.log()[-600:]

    def stop(self):
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.folder.cleanup()


class Bystander:
    """Writes and reads at a steady rate, each call at its own time whether the one before came or not."""

    def __init__(self, node, seconds=BYSTANDER_SECONDS_MAX):
        words = ["mix", "-conns", "2", "-inflight", "200", "-rate", str(BYSTANDER_RATE), "-reads", "50"]
        words += ["-keys", "100", "-source", "bystander", "-warmup", "0s", "-duration", f"{int(seconds * 1000)}ms"]
        self.process = node.bench(*words)
        time.sleep(BYSTANDER_START_SECONDS)

    def running(self):
        return self.process.poll() is None

    def stop(self):
        """The result of what was measured so far."""
        if self.running():
            self.process.send_signal(signal.SIGINT)
        return self.result()

    def result(self):
        """(p99 in ms, what became of calls that failed, sentence where it could not run)"""
        out, err = self.process.communicate()
        try:
            report = json.loads(out)
        except ValueError:
            return 0.0, "", f"the bystander said: {err.decode(errors='replace')[-300:]}"
        failed = ", ".join(f"{count} {code}" for code, count in {**report["errors"], "unsent": report["unsent"]}.items() if count)
        return report["latency_us"]["p99"] / 1000, failed, ""
