"""One node of Iris as a process, and the bystander: an honest client beside each attack."""
import json
import os
import resource
import signal
import subprocess
import tempfile
import time

START_SECONDS = 30
STOP_SECONDS = 30
BYSTANDER_RATE = 200  # calls a second, half of them writes


class Node:
    """Runs `iris` alone in a folder that goes with it. With `certs`: TLS on both ports."""

    def __init__(self, bin_folder, port, certs=None, descriptors=None, flags=()):
        self.bin, self.port, self.raft_port, self.certs = bin_folder, port, port + 1, certs
        self.folder = tempfile.TemporaryDirectory(prefix="iris-hostile-")
        self.log_path = os.path.join(self.folder.name, "log")
        command = [f"{bin_folder}/iris", "-nostela", "-listen", "127.0.0.1", "-port", str(port)]
        command += ["-raftdir", os.path.join(self.folder.name, "data"), *flags]
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

    def cli(self, *words, timeout="5s"):
        command = [f"{self.bin}/iris-cli", *words, "-nostela", "-addr", f"127.0.0.1:{self.port}", "-timeout", timeout]
        return subprocess.run(command + self.connection_flags(), capture_output=True, stdin=subprocess.DEVNULL, check=False)

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
    """Writes and reads at a steady rate for so many seconds, each at its own time whether the one before came or not."""

    def __init__(self, node, seconds):
        command = [f"{node.bin}/iris-bench", "mix", "-addr", f"127.0.0.1:{node.port}", "-conns", "2", "-inflight", "200"]
        command += ["-rate", str(BYSTANDER_RATE), "-reads", "50", "-keys", "100", "-source", "bystander"]
        command += ["-warmup", "0s", "-duration", f"{int(seconds * 1000)}ms", *node.connection_flags()]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)

    def running(self):
        return self.process.poll() is None

    def result(self):
        """(p99 in ms, calls that failed, sentence where it could not run)"""
        out, err = self.process.communicate()
        try:
            report = json.loads(out)
        except ValueError:
            return 0.0, 0, f"the bystander said: {err.decode(errors='replace')[-300:]}"
        failed = sum(report["errors"].values()) + report["unsent"]
        return report["latency_us"]["p99"] / 1000, failed, ""
