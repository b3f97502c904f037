"""Attacks on the raft port. With TLS they come with a certificate that opens it: a peer gone mad."""
import os
import random
import struct
import time

import wire
from http2 import open_secure, open_socket, wait_closed
from registry import attack

STRANGER = 0x5714A46E
LATEST = (1 << 64) - 1
# Kinds of a raft message (proto/peer.proto).
PRE_VOTE_REQUEST, PRE_VOTE_REPLY, VOTE_REQUEST, VOTE_REPLY, APPEND_REQUEST, APPEND_REPLY, HEARTBEAT, HEARTBEAT_REPLY, TIMEOUT_NOW, DISMISSED = range(4, 14)


class Peer:
    """A connection that has said Hello as somebody whom the node does not know."""

    def __init__(self, node, name=STRANGER, purpose=wire.CONTROL, status=None, patience=2, **fields):
        status = node.status() if status is None else status
        self.id = int(status.get("id", "0"), 16)
        cluster = int(status.get("cluster_id", status.get("cluster", "0")), 16)
        self.term = int(status.get("term", 1))
        self.name = name
        self.socket = open_secure(node, node.raft_port)
        fields.setdefault("cluster", cluster)
        self.send(wire.hello(name, purpose=purpose, **fields))
        self.socket.settimeout(patience)
        try:
            self.welcome = self.socket.recv(4096)
        except OSError:
            self.welcome = b""

    def send(self, payload):
        return self.send_raw(wire.raft_frame(payload))

    def send_raw(self, data):
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def say(self, kind, *fields, term=None):
        body = wire.message(*fields)
        self.send(wire.batch(wire.raft_message(self.name, self.id, self.term if term is None else term, kind, body)))

    def close(self):
        self.socket.close()


def entry_id(term, index):
    return wire.message((1, term), (2, index))


def say_and_wait(node, *things):
    """Each thing is (kind, fields) said once with the node's term and once with one far above it."""
    status = node.status()
    for kind, fields in things:
        for term in (None, 1 << 40):
            peer = Peer(node, status=status, patience=0.1)
            peer.say(kind, *fields, term=term)
            time.sleep(node.many(0.3, 0.1))
            peer.close()


def term_grew(node, before):
    after = int(node.status().get("term", 0))
    return f"a stranger moved the term from {before} to {after}" if after > before + 10 else ""


@attack(fresh=True)
def dismissed_by_a_stranger(node):
    """A stranger tells the node that it was removed from its cluster."""
    for certain in (0, 1):
        say_and_wait(node, (DISMISSED, [(1, 1 << 40), (2, certain), (3, entry_id(1 << 40, 1 << 40))]))


@attack(fresh=True)
def a_heartbeat_that_knows_too_much(node):
    """A stranger's heartbeat says that the node's disk holds entries that it never had."""
    before = int(node.status().get("term", 0))
    say_and_wait(node, (HEARTBEAT, [(1, LATEST), (2, LATEST), (3, 1)]), (HEARTBEAT, [(1, 0), (2, LATEST), (3, LATEST)]))
    return term_grew(node, before)


@attack(fresh=True)
def entries_of_a_stranger(node):
    """A stranger appends entries and says that they are committed."""
    before = int(node.status().get("term", 0))
    entry = wire.message((1, 1 << 40), (2, 1), (4, b"\x01garbage"))
    far = wire.message((1, 1 << 40), (2, LATEST), (3, b""))
    say_and_wait(
        node,
        (APPEND_REQUEST, [(1, entry_id(0, 0)), (2, LATEST), (3, entry)]),
        (APPEND_REQUEST, [(1, entry_id(1 << 40, LATEST - 1)), (2, LATEST), (3, far)]),
        (APPEND_REPLY, [(1, 1), (2, LATEST), (3, entry_id(LATEST, LATEST))]),
    )
    return term_grew(node, before)


@attack(fresh=True)
def votes_of_a_stranger(node):
    """A stranger asks for votes in a term far ahead, and gives some."""
    before = int(node.status().get("term", 0))
    last = entry_id(LATEST, LATEST)
    say_and_wait(
        node,
        (PRE_VOTE_REQUEST, [(1, last)]),
        (VOTE_REQUEST, [(1, last), (2, 1)]),
        (VOTE_REPLY, [(1, 1)]),
        (PRE_VOTE_REPLY, [(1, 1)]),
        (TIMEOUT_NOW, []),
        (HEARTBEAT_REPLY, [(1, LATEST), (2, LATEST), (3, LATEST)]),
    )
    return term_grew(node, before)


@attack(fresh=True)
def a_snapshot_of_a_stranger(node):
    """A stranger sends pieces of a snapshot of its own."""
    mark = wire.message((1, entry_id(1 << 40, 1 << 40)), (2, b""), (3, 1))
    peer = Peer(node, purpose=wire.BULK)
    for offset in (0, 1 << 20, LATEST):
        chunk = wire.message((1, wire.fixed64(1)), (2, mark), (3, offset), (4, os.urandom(1 << 16)), (5, 1))
        peer.send(wire.batch((9, chunk)))
    time.sleep(1)
    peer.close()


@attack(fresh=True)
def mutated_frames(node):
    """3,000 frames of every kind with bytes changed at random (the seed is fixed). (Short: 1,000.)"""
    chance = random.Random(20171128)
    status = node.status()
    last = entry_id(3, 3)
    bodies = [
        (PRE_VOTE_REQUEST, wire.message((1, last))),
        (VOTE_REQUEST, wire.message((1, last), (2, 1))),
        (APPEND_REQUEST, wire.message((1, entry_id(0, 0)), (2, 1), (3, wire.message((1, 1), (2, 1), (4, b"command"))))),
        (HEARTBEAT, wire.message((1, 1), (2, 1), (3, 1))),
        (DISMISSED, wire.message((1, 1), (2, 1), (3, last))),
    ]
    peer = Peer(node, status=status)
    for _ in range(node.many(3_000, 1_000)):
        kind, body = chance.choice(bodies)
        payload = bytearray(wire.batch(wire.raft_message(peer.name, peer.id, peer.term, kind, body)))
        for _ in range(chance.randint(1, 4)):
            payload[chance.randrange(len(payload))] = chance.randrange(256)
        if not peer.send(bytes(payload)):
            peer.close()
            peer = Peer(node, status=status, patience=0.1)
    peer.close()


@attack
def noise_on_the_raft_port(node):
    """Noise, other protocols, and frames whose header lies."""
    for data in (
        os.urandom(100_000),
        b"GET / HTTP/1.1\r\n\r\n",
        wire.raft_frame(b"", length=0xFFFFFFFF),
        wire.raft_frame(b"x" * 100, crc=0),
        wire.raft_frame(wire.hello(7), length=1 << 20),
        wire.raft_frame(b""),
        struct.pack("<Q", 0) * 1000,
    ):
        for _ in range(50):
            other = open_secure(node, node.raft_port)
            try:
                other.sendall(data)
            except OSError:
                pass
            other.close()


@attack
def great_frames_half_sent(node):
    """Twenty strangers announce a frame of 32 MiB each and stop amid it."""
    status = node.status()
    peers = [Peer(node, name=STRANGER + number, status=status, patience=0.1) for number in range(20)]
    for peer in peers:
        header = wire.raft_frame(b"", length=(32 << 20) - 1)
        peer.send_raw(header + bytes(1 << 20))
    time.sleep(node.many(2, 1))
    for peer in peers:
        peer.close()


@attack
def hellos_of_many_strangers(node):
    """300 connections that each say Hello by another name, and stay. (Short: 100.)"""
    status = node.status()
    peers = [Peer(node, name=STRANGER + number, status=status, patience=0.02) for number in range(node.many(300, 100))]
    time.sleep(1)
    for peer in peers:
        peer.close()


@attack
def unfinished_hellos(node):
    """2,000 connections to the raft port that say half a Hello."""
    sockets = []
    for _ in range(2_000):
        try:
            each = open_socket(node, node.raft_port)
            each.send(wire.raft_frame(wire.hello(7))[:10])
            sockets.append(each)
        except OSError:
            break
        if len(sockets) == 500:
            for each in sockets:
                each.close()
            sockets = []
    wait_closed(sockets, 6)
    for each in sockets:
        each.close()


@attack
def forwarded_calls_without_number(node):
    """A stranger forwards 20,000 writes and 20,000 questions, and reads no answer."""
    peer = Peer(node)
    for begin in range(0, 20_000, 500):
        bodies = [(2, wire.message((1, begin + number), (2, b"\x01garbage"))) for number in range(500)]
        bodies += [(4, wire.message((1, begin + number))) for number in range(500)]
        if not peer.send(wire.batch(*bodies)):
            break
    time.sleep(1)
    peer.close()


@attack
def sessions_of_a_stranger(node):
    """A stranger reports 200,000 sessions that it claims to serve."""
    peer = Peer(node)
    names = [(1, f"SESSION{number:08}") for number in range(20_000)]
    for _ in range(10):
        if not peer.send(wire.batch((8, wire.message(*names)))):
            break
    time.sleep(1)
    peer.close()


@attack
def orders_of_a_stranger(node):
    """A stranger orders members removed, promoted, added and leadership transferred."""
    peer = Peer(node)
    for kind in range(5):
        fields = [(1, kind + 1), (2, kind), (3, wire.fixed64(peer.id)), (4, "127.0.0.1:9"), (5, 1)]
        peer.send(wire.batch((6, wire.message(*fields))))
    time.sleep(2)
    peer.close()
    role = node.status().get("role")
    return "" if role == "leader" else f"the node is {role} after a stranger's orders"


@attack
def a_log_full_of_strangers(node):
    """2,000 different complaints in the log: its lines are bounded, and one of our own still shows."""
    before = len(node.log().splitlines())
    for number in range(2_000):
        other = open_socket(node, node.raft_port)
        other.send(b"X%d" % number + os.urandom(8))
        other.close()
    time.sleep(1)
    lines = len(node.log().splitlines()) - before
    return f"{lines} lines of log for 2,000 strangers" if lines > 400 else ""
