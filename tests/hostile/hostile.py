"""Attacks one node of Iris in every way of attacks_*.py, and looks how an honest client fares beside each.

    /usr/bin/python3 tests/hostile/hostile.py --bin BUILD_FOLDER [--tls] [--short] [--port P] [--list] [NAME...]

A bystander, an honest client at a steady rate (node.py), is measured before, during and after each attack. An attack
fails where the node died, refused the bystander a call, kept more than MEMORY_MIB beyond its working set, or where the
bystander's p99 over the whole attack is more than p99_times of what it was before (and over p99_floor_ms: below, this
is the machine's noise; both in Form). On a machine that others use too a single p99 says little: an attack that fails
by nothing else is tried again on a new node, and only TRIES of TRIES count. The attacker runs in a process of its own
that gives way to the node's: its own work is that of another machine.

--short is what runs in CI: the attacks that are marked for it, the bystander beside each but not after it, and bounds
of the p99 that no busy machine reaches by itself.
Prints TAP: a line an attack, with the figures. Exit code 0: all held. Needs Debian's python3-hpack. Sends to
127.0.0.1 only.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import attacks_calls  # noqa: E402,F401  (each fills the registry)
import attacks_connections  # noqa: E402,F401
import attacks_raft  # noqa: E402,F401
import attacks_streams  # noqa: E402,F401
from attacker import Attacker, run_apart  # noqa: E402
from node import Bystander, Node, free_ports  # noqa: E402
from registry import ATTACKS  # noqa: E402

PORT = 46_000
MEMORY_MIB = 32
SETTLE_SECONDS = 20  # for memory to come back
ATTACK_SECONDS_MAX = 90
TRIES = 3
QUIET_MS_MAX = 100  # a p99 over this before an attack says that the machine is busy, and excuses nothing


class Form:
    """How thoroughly to measure."""

    def __init__(self, short):
        self.quiet_seconds = 1 if short else 3
        self.after = not short
        self.p99_times = 20 if short else 5
        self.p99_floor_ms = 400 if short else 60
        self.burst_times = 2 if short else 1
        self.share_nodes = short  # but for nodes of few descriptors


class Outcome:
    def __init__(self):
        self.complaints = []
        self.slow = ""  # the complaint that another try may clear
        self.figures = ""

    def all(self):
        return self.complaints + ([self.slow] if self.slow else [])


def probe(node):
    """What an operator would try after it."""
    for words in (["set", "probe", "key", "value"], ["get", "probe", "key"], ["ls", "probe"], ["status"]):
        done = node.cli(*words)
        if done.returncode != 0:
            return f"afterwards iris-cli {words[0]} says: {done.stderr.decode(errors='replace').strip()[-200:]}"
    return ""


def settled_memory(node, wanted):
    end = time.monotonic() + SETTLE_SECONDS
    while node.alive() and time.monotonic() < end:
        if node.memory_mib() <= wanted:
            break
        time.sleep(0.1)
    return node.memory_mib() if node.alive() else 0.0


def beside(attack, node, seconds, outcome):
    """Runs the attack with the bystander beside it. (p99 in ms, most memory in MiB)"""
    bystander, attacker = Bystander(node), Attacker(attack.run, node)
    peak_mib, started = 0.0, time.monotonic()
    while node.alive() and bystander.running():
        passed = time.monotonic() - started
        if passed > ATTACK_SECONDS_MAX or (not attacker.running() and passed >= seconds):
            break
        if node.alive():
            peak_mib = max(peak_mib, node.memory_mib())
        time.sleep(0.05)
    if attacker.running() and node.alive():
        outcome.complaints.append(f"the attack did not end within {ATTACK_SECONDS_MAX} s")
    said = attacker.end()
    p99, failed, why = bystander.stop()
    if not node.alive():
        outcome.complaints.append(f"the node died: {node.last_words()}")
        return p99, peak_mib
    if said:
        outcome.complaints.append(said)
    if attack.descriptors is None:  # there, connections are what it runs out of
        outcome.complaints += [why] if why else []
        outcome.complaints += [f"calls of the bystander failed: {failed}"] if failed else []
    return p99, peak_mib


def quiet_p99(node, form):
    """The bystander's p99 alone: the least of a few measurements, where the machine is busy. (ms, sentence)"""
    least = None
    for _ in range(TRIES):
        p99, _, why = Bystander(node, form.quiet_seconds).result()
        if why:
            return 0.0, why
        least = p99 if least is None else min(least, p99)
        if least <= QUIET_MS_MAX:
            break
    return least, ""


def run_attack(attack, node, form):
    outcome = Outcome()
    if attack.prepare:
        why = run_apart(attack.prepare, node, ATTACK_SECONDS_MAX)
        if why:
            outcome.complaints.append(f"cannot be prepared: {why}")
            return outcome
    if node.quiet_ms is None or form.after:
        node.quiet_ms, why = quiet_p99(node, form)
        if why:
            outcome.complaints.append(why)
            return outcome
    before_mib = max(node.memory_mib(), node.working_mib)
    during_ms, peak_mib = beside(attack, node, form.quiet_seconds, outcome)
    if not node.alive():
        return outcome
    after_mib = settled_memory(node, before_mib + MEMORY_MIB)
    after = ""
    if form.after:
        after_ms, failed, why = Bystander(node, form.quiet_seconds).result()
        after = f" -> {after_ms:.1f}"
        outcome.complaints += [text for text in (why, f"calls of the bystander failed afterwards: {failed}" if failed else "") if text]
    why = probe(node)
    outcome.complaints += [why] if why else []
    if after_mib > before_mib + MEMORY_MIB:
        outcome.complaints.append(f"{after_mib - before_mib:.0f} MiB of memory did not come back")
    if during_ms > max(form.p99_times * min(node.quiet_ms, QUIET_MS_MAX), form.p99_floor_ms, form.burst_times * attack.p99_ms):
        outcome.slow = f"the bystander's p99 rose from {node.quiet_ms:.1f} to {during_ms:.1f} ms"
    outcome.figures = f"memory {before_mib:.0f} -> {peak_mib:.0f} -> {after_mib:.0f} MiB, p99 {node.quiet_ms:.1f} -> {during_ms:.1f}{after} ms"
    return outcome


class Run:
    """All attacks, one after the other; a node serves until something was done to it."""

    def __init__(self, options, certs):
        self.options, self.certs, self.form = options, certs, Form(options.short)
        self.port, self.node = options.port, None

    def fresh_node(self, attack):
        self.stop()
        self.port = free_ports(self.port)
        self.node = Node(self.options.bin, self.port, self.certs, attack.descriptors, self.options.short)
        self.port += 2
        if attack.descriptors or not attack.fresh or self.form.share_nodes:
            self.node.fill()

    def try_once(self, attack):
        alone = attack.descriptors is not None or (attack.fresh and not self.form.share_nodes)
        if alone or self.node is None or not self.node.alive():
            self.fresh_node(attack)
        outcome = run_attack(attack, self.node, self.form)
        if outcome.all() or alone:  # the next begins with a node that nothing was done to
            self.stop()
        return outcome

    def judge(self, attack):
        for left in range(TRIES - 1, -1, -1):
            outcome = self.try_once(attack)
            if outcome.complaints or not outcome.slow:
                break
            if left:
                print(f"# {attack.name} is tried again: {outcome.slow}", flush=True)
        return outcome

    def stop(self):
        if self.node:
            self.node.stop()
        self.node = None


def run_all(attacks, options, certs):
    print(f"1..{len(attacks)}", flush=True)
    run, bad = Run(options, certs), 0
    try:
        for number, attack in enumerate(attacks, 1):
            started = time.monotonic()
            outcome = run.judge(attack)
            took = f"{time.monotonic() - started:.1f} s"
            bad += bool(outcome.all())
            print(f"{'not ok' if outcome.all() else 'ok'} {number} - {attack.name}: {outcome.figures or 'no figures'}, {took}")
            for complaint in outcome.all():
                print("# " + complaint.replace("\n", " "))
            sys.stdout.flush()
    finally:
        run.stop()
    return 1 if bad else 0


def chosen(options):
    attacks = [attack for attack in ATTACKS if attack.secure is None or attack.secure == options.tls]
    if options.names:
        return [attack for attack in attacks if attack.name in options.names]
    return [attack for attack in attacks if attack.short] if options.short else attacks


def main():
    parser = argparse.ArgumentParser(description="See the top of this file.")
    parser.add_argument("--bin", default="build")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--port", type=int, default=PORT, help="of the first node; each further one takes the next two")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    attacks = chosen(options)
    if options.list or not attacks:
        print("\n".join(f"{attack.name}: {attack.words}" for attack in ATTACKS))
        return 0 if options.list else 2
    with tempfile.TemporaryDirectory(prefix="iris-hostile-certs-") as folder:
        certs = None
        if options.tls:
            certs = folder
            subprocess.run([f"{os.path.dirname(os.path.abspath(__file__))}/../../scripts/certs", folder], check=True, capture_output=True)
        return run_all(attacks, options, certs)


if __name__ == "__main__":
    sys.exit(main())
