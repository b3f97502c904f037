"""Nodes: instances of iris@.service in a bed, as an administrator sees them: files, systemctl, journal, iris-cli."""
import json
import re

from bed import await_true

TLS = "/etc/iris/tls"
CLIENT = ["-nostela", "-ca", f"{TLS}/ca.crt", "-clientCert", f"{TLS}/client.crt", "-clientKey", f"{TLS}/client.key"]
PORTS = {"a": 41000, "b": 41010, "c": 41020}


def at(name):
    return f"127.0.0.1:{PORTS[name]}"


class Nodes:
    """Three of them, with TLS, in one cluster."""

    names = list(PORTS)

    def __init__(self, bed):
        self.bed = bed

    def write_files(self):
        """Certificates of /share/certs, and a configuration for each."""
        self.bed.run("mkdir", "-p", TLS)
        self.use_certificates("/share/certs")
        self.bed.run("cp", "/share/certs/client.crt", "/share/certs/client.key", TLS)
        for name in self.names:
            lines = [f"port {PORTS[name]}", "listen 127.0.0.1", "nostela", "bootstrap-expect 3", f"cert {TLS}/server.crt",
                     f"key {TLS}/server.key", f"ca {TLS}/ca.crt", "join " + ",".join(map(at, self.names))]
            self.bed.write(f"/etc/iris/{name}.conf", "\n".join(lines) + "\n")

    def use_certificates(self, folder):
        self.bed.run("install", "-o", "root", "-g", "iris", "-m", "640", f"{folder}/ca.crt", f"{folder}/server.crt",
                     f"{folder}/server.key", TLS)

    def status(self, name):
        """What Status says, or {} where the node does not answer."""
        done = self.bed.run("iris-cli", "status", "-o", "json", "-timeout", "1s", "-addr", at(name), *CLIENT, check=False)
        return json.loads(done.stdout) if done.stdout.startswith("{") else {}

    def leader(self, among=None):
        """The name of the node that leads, or None."""
        return next((name for name in among or self.names if self.status(name).get("role") == "leader"), None)

    def are_whole(self):
        """One leads, and all three vote and reach each other."""
        leader = self.leader()
        if leader is None:
            return None
        status = self.status(leader)
        return leader if status["voters"] == 3 and status["reachable"] == 3 else None

    def await_whole(self, seconds=30):
        """The name of the leader of a whole cluster."""
        found = []
        await_true("three voters that reach each other", lambda: found.append(self.are_whole()) or found[-1], seconds)
        return found[-1]


def unit(name):
    return f"iris@{name}.service"


class Unit:
    """A unit as systemctl shows it."""

    def __init__(self, bed, name):
        self.bed = bed
        self.name = name

    def __getattr__(self, key):
        return self.bed.said("systemctl", "show", "--value", "-p", key, self.name)

    def microseconds(self, key):
        return int(getattr(self, key))

    def start_seconds(self):
        """From the start of the process to READY=1."""
        return (self.microseconds("ActiveEnterTimestampMonotonic") - self.microseconds("ExecMainStartTimestampMonotonic")) / 1e6

    def journal(self, *options):
        return self.bed.said("journalctl", "-o", "cat", "-u", self.name, *options)

    def await_journal(self, text, *options):
        """The journal once it holds `text`: what a process wrote takes a moment to arrive."""
        await_true(f"the journal of {self.name} says {text}", lambda: text in self.journal(*options))
        return self.journal(*options)

    def await_status(self, pattern, seconds=30):
        return await_true(f"{self.name} says {pattern}", lambda: re.search(pattern, self.StatusText), seconds)

    def await_restart(self, pid, seconds=30):
        """Until another process than `pid` is ready."""
        def is_new():
            return self.MainPID not in (pid, "0") and self.ActiveState == "active"
        return await_true(f"{self.name} has a new process", is_new, seconds)
