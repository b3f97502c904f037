"""Attacks by connections: too many, too slow, half open, and frames that HTTP/2 does not want."""
import os
import resource
import socket
import ssl
import struct
import time

import wire
from attacks_calls import BURST, many_calls, set_value
from http2 import Connection, open_socket, tls_context, wait_closed
from registry import attack

FEW, SOME = (64, 64), (128, 128)  # open files of the node: soft limit, hard limit


def allow_descriptors(count):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(count, hard), hard))


def bare_connections(port, count):
    sockets = []
    for _ in range(count):
        try:
            sockets.append(socket.create_connection(("127.0.0.1", port), timeout=1))
        except OSError:
            break
    return sockets


def close_all(sockets):
    for each in sockets:
        each.close()


@attack(descriptors=FEW)
def idle_connections_with_few_descriptors(node):
    """200 idle connections to a node that may open 64 files; when they are gone the port takes others."""
    close_all(held(bare_connections(node.port, 200), node.many(2, 1)))


@attack(descriptors=(1024, 1024), short=False)
def idle_connections_with_1024_descriptors(node):
    """1,200 idle connections to a node that may open 1,024 files."""
    close_all(held(bare_connections(node.port, 1_200), 2))


@attack(descriptors=SOME)
def connections_held_while_the_disk_needs_files(node):
    """200 connections held to a node that may open 128 files, beside great writes: the store still finds descriptors."""
    writer = Connection(node)
    sockets = bare_connections(node.port, 200)
    for number in range(40):
        answer = writer.ask_paced("SetValue", set_value("files", f"key{number}", b"f" * (1 << 20)))
        if answer is None or answer[0] != 0:
            return f"great write {number} was answered {answer}"
    close_all(sockets)
    writer.close()
    return ""


@attack(descriptors=SOME, short=False)
def raft_connections_with_few_descriptors(node):
    """200 idle connections to the raft port of a node that may open 128 files."""
    close_all(held(bare_connections(node.raft_port, 200), 2))


def held(sockets, seconds):
    time.sleep(seconds)
    return sockets


@attack
def idle_connections(node):
    """5,000 idle connections. (Short: 2,000.)"""
    allow_descriptors(8_192)
    close_all(held(bare_connections(node.port, node.many(5_000, 2_000)), node.many(2, 1)))


@attack
def connections_opened_and_closed(node):
    """20,000 connections, each closed at once. (Short: 3,000.)"""
    for _ in range(node.many(20_000, 3_000)):
        try:
            socket.create_connection(("127.0.0.1", node.port), timeout=1).close()
        except OSError:
            time.sleep(0.01)


@attack
def connections_broken_off(node):
    """5,000 connections that end in a reset amid their preface."""
    for _ in range(5_000):
        broken = open_socket(node, node.port)
        broken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        broken.send(wire.PREFACE[:10])
        broken.close()


@attack(short=False)
def preface_a_byte_at_a_time(node):
    """1,000 connections that say a byte a second."""
    allow_descriptors(4_096)
    sockets = bare_connections(node.port, 1_000)
    for index in range(4):
        for each in sockets:
            try:
                each.send(wire.PREFACE[index : index + 1])
            except OSError:
                pass
        time.sleep(1)
    close_all(sockets)


@attack
def other_protocols(node):
    """HTTP/1.1, SSH and noise on the gRPC port."""
    for words in (b"GET / HTTP/1.1\r\nHost: iris\r\n\r\n", b"SSH-2.0-OpenSSH\r\n", os.urandom(100_000)):
        for _ in range(100):
            other = open_socket(node, node.port)
            try:
                other.sendall(words)
            except OSError:
                pass
            other.close()


def half_open(port, count):
    """Begins so many TLS handshakes; a complaint where the node does not hang up in time."""
    sockets = bare_connections(port, count)
    for each in sockets:
        try:
            each.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        except OSError:
            pass
    left = len(sockets) - wait_closed(sockets, 12)
    close_all(sockets)
    return f"{left} half-open handshakes stand after 12 s" if left else ""


@attack(secure=True, short=False)
def half_open_handshakes(node):
    """5,000 TLS handshakes that stop after the first bytes."""
    allow_descriptors(8_192)
    return half_open(node.port, 5_000)


@attack(secure=True, short=False)
def half_open_handshakes_on_the_raft_port(node):
    """2,000 TLS handshakes on the raft port that stop after the first bytes."""
    allow_descriptors(4_096)
    return half_open(node.raft_port, 2_000)


@attack(secure=True)
def strangers_without_a_certificate(node):
    """500 whole handshakes by clients that have no certificate: refused on both ports. (Short: 100.)"""
    context = ssl.create_default_context(cafile=f"{node.certs}/ca.crt")
    context.set_alpn_protocols(["h2"])
    for port in (node.port, node.raft_port):
        for _ in range(node.many(250, 50)):
            plain = open_socket(node, port)
            try:
                stranger = context.wrap_socket(plain, server_hostname="Iris")
                stranger.sendall(wire.PREFACE + wire.settings())
                if stranger.recv(100):
                    return f"port {port} spoke to a client without a certificate"
            except OSError:
                pass
            plain.close()
    return ""


@attack(secure=True)
def a_client_certificate_on_the_raft_port(node):
    """A client's certificate opens no door on the raft port."""
    context = tls_context(node.certs, "client")
    plain = open_socket(node, node.raft_port)
    try:
        stranger = context.wrap_socket(plain, server_hostname="Iris")
        stranger.sendall(wire.raft_frame(wire.hello(7)))
        return "the raft port answered a client's certificate" if stranger.recv(100) else ""
    except OSError:
        return ""


# --- HTTP/2


@attack(p99_ms=2_500, because=BURST)
def rapid_reset(node):
    """100,000 calls, each reset at once (CVE-2023-44487)."""
    connection = Connection(node)
    headers = wire.call_headers("SetValue")
    for _ in range(1_000):
        pairs = []
        for _ in range(100):
            stream = connection.next_stream()
            pairs.append(wire.frame(wire.HEADERS, wire.END_HEADERS, stream, headers) + wire.reset(stream))
        if not connection.send(b"".join(pairs)):
            break
    return still_there(connection)


def still_there(connection):
    """A complaint where the node lets such a client go on."""
    ended = connection.hung_up(3)
    connection.close()
    return "" if ended else "the connection of a client that resets all its calls was not ended"


@attack(p99_ms=2_500, because=BURST)
def rapid_reset_of_whole_calls(node):
    """60,000 whole writes, each reset at once."""
    connection = Connection(node)
    headers, payload = wire.call_headers("SetValue"), set_value("reset", "key", b"v")
    for _ in range(600):
        streams = [connection.next_stream() for _ in range(100)]
        if not connection.send(b"".join(wire.call_frames(stream, headers, payload) + wire.reset(stream) for stream in streams)):
            break
    return still_there(connection)


@attack(p99_ms=2_500, because="fifty connections stay below what one may reset; each of their calls costs gRPC some 30 us", short=False)
def rapid_reset_on_new_connections(node):
    """Fifty connections of 1,000 such calls each."""
    headers = wire.call_headers("GetValue")
    for _ in range(50):
        connection = Connection(node)
        pairs = []
        for _ in range(1_000):
            stream = connection.next_stream()
            pairs.append(wire.frame(wire.HEADERS, wire.END_HEADERS, stream, headers) + wire.reset(stream))
        connection.send(b"".join(pairs))
        connection.close()


PING_SECONDS = 5


@attack
def pings_each_second(node):
    """A quiet stream of a client that pings each second, which is promised to be welcome."""
    connection = Connection(node)
    many_calls(connection, 1, "Listen", wire.message((1, "QUIET")))
    for _ in range(PING_SECONDS):
        connection.send(wire.frame(wire.PING, 0, 0, b"quietly!"))
        if not connection.read(1) or connection.goodbye is not None:
            return f"the node said goodbye to a client that pings each second: {connection.goodbye}"
    connection.close()
    return ""


def flood(node, frames, rounds):
    connection = Connection(node)
    for _ in range(rounds):
        if not connection.send(frames):
            break
    connection.read(1)
    connection.close()


@attack
def settings_flood(node):
    """200,000 SETTINGS frames, whose acknowledgements are not read."""
    flood(node, wire.settings() * 1000, 200)


@attack
def ping_flood(node):
    """200,000 PING frames."""
    flood(node, wire.frame(wire.PING, 0, 0, b"12345678") * 1000, 200)


@attack
def empty_data_flood(node):
    """200,000 DATA frames without a byte (CVE-2019-9518)."""
    connection = Connection(node)
    stream = connection.next_stream()
    connection.send(wire.frame(wire.HEADERS, wire.END_HEADERS, stream, wire.call_headers("SetValue")))
    for _ in range(200):
        if not connection.send(wire.frame(wire.DATA, 0, stream) * 1000):
            break
    connection.close()


@attack
def priority_flood(node):
    """200,000 PRIORITY frames."""
    flood(node, wire.frame(wire.PRIORITY, 0, 1, b"\0\0\0\0\x10") * 1000, 200)


@attack
def window_flood(node):
    """200,000 WINDOW_UPDATE frames, then one that overflows the window."""
    flood(node, wire.window_update(0, 1) * 1000, 200)
    flood(node, wire.window_update(0, 0x7FFFFFFF) * 4, 1)


@attack
def continuation_flood(node):
    """A header block that never ends: 64 MB of CONTINUATION frames (CVE-2024-27316)."""
    connection = Connection(node)
    stream = connection.next_stream()
    connection.send(wire.frame(wire.HEADERS, 0, stream, wire.call_headers("SetValue")))
    filler = wire.header_block([("x-filler", "f" * 8000)])
    for _ in range(8_000):
        if not connection.send(wire.frame(wire.CONTINUATION, 0, stream, filler)):
            break
    connection.close()


@attack
def great_metadata(node):
    """200 calls with 1 MB of metadata each."""
    connection = Connection(node)
    blocks = [wire.call_headers("SetValue")] + [wire.header_block([("x-filler", "m" * 15_000)])] * 66
    for _ in range(200):
        stream = connection.next_stream()
        frames = [wire.frame(wire.HEADERS, 0, stream, blocks[0])]
        frames += [wire.frame(wire.CONTINUATION, 0, stream, block) for block in blocks[1:-1]]
        frames.append(wire.frame(wire.CONTINUATION, wire.END_HEADERS, stream, blocks[-1]))
        if not connection.send(b"".join(frames)):
            break
        connection.read(0.005)
    connection.close()


@attack
def frames_of_no_stream(node):
    """DATA, RST_STREAM and HEADERS of streams that do not exist, of even numbers, and of a length that is a lie."""
    for frames in (
        wire.frame(wire.DATA, 0, 99, b"x"),
        wire.reset(98),
        wire.frame(wire.HEADERS, wire.END_HEADERS, 2, wire.call_headers("SetValue")),
        b"\xff\xff\xff" + wire.frame(wire.DATA, 0, 1, b"x")[3:],
        wire.frame(wire.PUSH, wire.END_HEADERS, 1, b"\0\0\0\x02"),
        wire.frame(wire.SETTINGS, 0, 0, b"123"),
        wire.frame(wire.PING, 0, 0, b"123"),
        wire.frame(99, 0xFF, 5, os.urandom(1000)),
    ):
        for _ in range(50):
            connection = Connection(node)
            connection.send(frames)
            connection.close()


@attack
def goodbye_and_go_on(node):
    """GOAWAY, after which the client goes on calling."""
    connection = Connection(node)
    connection.send(wire.frame(wire.GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\0"))
    many_calls(connection, 5_000, "SetValue", set_value("goodbye", "key", b"v"), "5S")
    connection.read(1)
    connection.close()
