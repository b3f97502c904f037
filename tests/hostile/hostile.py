"""Attacks one node of Iris in every way of attacks_*.py, and looks how an honest client fares beside each.

    /usr/bin/python3 tests/hostile/hostile.py --bin BUILD_FOLDER [--tls] [--short] [--port P] [--list] [NAME...]

Before, during and after each attack the node's memory and the p99 of a bystander (tests/hostile/node.py) are measured.
An attack fails where the node died, refused the bystander a call, kept more than MEMORY_MIB of memory, or where the
bystander's p99 rose to more than P99_TIMES of what it was (and over P99_FLOOR_MS: below, this is the machine's noise).
Prints TAP: a line an attack, with the figures. Exit code 0: all held. --short: a second of quiet in place of three.
Needs Debian's python3-hpack. Sends to 127.0.0.1 only.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import attacks_calls  # noqa: E402,F401  (each fills the registry)
import attacks_connections  # noqa: E402,F401
import attacks_raft  # noqa: E402,F401
import attacks_streams  # noqa: E402,F401
from node import Bystander, Node  # noqa: E402
from registry import ATTACKS  # noqa: E402

PORT = 46_000
MEMORY_MIB = 32
P99_TIMES = 5
P99_FLOOR_MS = 60
SETTLE_SECONDS = 20  # for memory to come back
ATTACK_SECONDS_MAX = 60


def guarded(run, node):
    """What the attack complains of; an attack that breaks down itself is a complaint too."""
    try:
        return run(node) or ""
    except Exception as error:  # the node may hang up at any line
        return "" if isinstance(error, OSError) else f"{type(error).__name__}: {error}"


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
        time.sleep(0.25)
    return node.memory_mib() if node.alive() else 0.0


def run_attack(attack, node, quiet_seconds):
    """(complaints, figures)"""
    if attack.prepare:
        why = guarded(attack.prepare, node)
        if why:
            return [why], ""
    before_ms, _, why = Bystander(node, quiet_seconds).result()
    if why:
        return [why], ""
    before_mib, peak_mib = node.memory_mib(), 0.0
    outcome = []
    attacker = threading.Thread(target=lambda: outcome.append(guarded(attack.run, node)), daemon=True)
    complaints, during_ms = [], 0.0
    started = time.monotonic()
    attacker.start()
    while attacker.is_alive() and node.alive() and time.monotonic() - started < ATTACK_SECONDS_MAX:
        bystander = Bystander(node, quiet_seconds)
        while bystander.running():
            if node.alive():
                peak_mib = max(peak_mib, node.memory_mib())
            time.sleep(0.05)
        p99, failed, why = bystander.result()
        during_ms = max(during_ms, p99)
        if failed and not attack.descriptors:
            complaints.append(f"{failed} calls of the bystander failed")
        if why and not attack.descriptors:
            complaints.append(why)
    if attacker.is_alive() and node.alive():
        complaints.append(f"the attack did not end within {ATTACK_SECONDS_MAX} s")
    attacker.join(5)
    complaints += [text for text in outcome if text]
    if not node.alive():
        return [f"the node died: {node.last_words()}"], ""
    after_mib = settled_memory(node, before_mib + MEMORY_MIB)
    after_ms, failed, why = Bystander(node, quiet_seconds).result()
    complaints += [text for text in (why, f"afterwards {failed} calls of the bystander failed" if failed else "", probe(node)) if text]
    if after_mib > before_mib + MEMORY_MIB:
        complaints.append(f"{after_mib - before_mib:.0f} MiB of memory did not come back")
    if during_ms > max(P99_TIMES * before_ms, P99_FLOOR_MS):
        complaints.append(f"the bystander's p99 rose from {before_ms:.1f} to {during_ms:.1f} ms")
    figures = f"memory {before_mib:.0f} -> {peak_mib:.0f} -> {after_mib:.0f} MiB, p99 {before_ms:.1f} -> {during_ms:.1f} -> {after_ms:.1f} ms"
    return complaints, figures


def main():
    parser = argparse.ArgumentParser(description="See the top of this file.")
    parser.add_argument("--bin", default="build")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--port", type=int, default=PORT, help="of the first node; each further one takes the next two")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    attacks = [attack for attack in ATTACKS if attack.secure is None or attack.secure == options.tls]
    if options.names:
        attacks = [attack for attack in attacks if attack.name in options.names]
    if options.list or not attacks:
        print("\n".join(f"{attack.name}: {attack.words}" for attack in ATTACKS))
        return 0 if options.list else 2
    with tempfile.TemporaryDirectory(prefix="iris-hostile-certs-") as folder:
        certs = None
        if options.tls:
            certs = folder
            subprocess.run([f"{os.path.dirname(__file__)}/../../scripts/certs", folder], check=True, capture_output=True)
        return run_all(attacks, options, certs)


def run_all(attacks, options, certs):
    print(f"1..{len(attacks)}", flush=True)
    bad, node = 0, None
    for number, attack in enumerate(attacks, 1):
        if attack.fresh or node is None or not node.alive():
            if node:
                node.stop()
            node = Node(options.bin, options.port + 2 * number, certs, attack.descriptors)
        complaints, figures = run_attack(attack, node, 1 if options.short else 3)
        bad += bool(complaints)
        print(f"{'not ok' if complaints else 'ok'} {number} - {attack.name}{': ' + figures if figures else ''}")
        for complaint in complaints:
            print("# " + complaint.replace("\n", " "))
        sys.stdout.flush()
        if complaints or attack.fresh:  # the next begins with a node that nothing was done to
            node.stop()
            node = None
    if node:
        node.stop()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
