"""Attacks by calls that a client may make: too many, too great, never read, never ended."""
import gzip
import time
import zlib

import wire
from http2 import Connection
from registry import attack

NEVER = 1 << 63  # a revision that never comes
VALUE_BYTES = 4 << 20
HOUR = "1H"
INVALID_ARGUMENT = 3


def get_value(source="big", key="value", min_revision=0):
    fields = [(2, source), (3, key)]
    if min_revision:
        fields.append((5, min_revision))
    return wire.message(*fields)


def set_value(source, key, value):
    return wire.message((2, source), (3, key), (4, value))


def get_keys(source, min_revision=0, with_values=False):
    fields = [(2, source)]
    if min_revision:
        fields.append((4, min_revision))
    if with_values:
        fields.append((8, 1))
    return wire.message(*fields)


def store_big_value(node):
    stored = node.cli("set", "big", "value", "-", timeout="20s", stdin=b"v" * (VALUE_BYTES - 200))
    assert stored.returncode == 0, f"the great value was not stored: {stored.stderr.decode(errors='replace')}"


def store_rows(node, source, rows, value_bytes):
    connection = Connection(node)
    for row in range(rows):
        stream = connection.call("SetValue", set_value(source, f"key{row:05}", b"r" * value_bytes))
        answer = connection.answer(stream, 20)
        assert answer and answer[0] == 0, f"a row was not stored: {answer}"
    connection.close()


BURST = "each of the calls that come at once costs gRPC some 60 us, and the bystander's wait behind them"


def many_calls(connection, count, method, payload, timeout=HOUR):
    headers = wire.call_headers(method, timeout)
    for begin in range(0, count, 200):
        frames = [wire.call_frames(connection.next_stream(), headers, payload) for _ in range(min(200, count - begin))]
        if not connection.send(b"".join(frames)):
            return


@attack(p99_ms=2_500, because=BURST, short=False)
def reads_of_a_revision_that_never_comes(node):
    """20,500 reads that wait for an hour, on one connection that then hangs up."""
    connection = Connection(node)
    many_calls(connection, 20_500, "GetValue", get_value(min_revision=NEVER))
    connection.read(1)
    connection.close()


@attack(p99_ms=2_500, because=BURST)
def waiting_reads_held(node):
    """20,500 reads that wait for an hour, while their connection stands: others still read. (Short: 5,000.)"""
    connection = Connection(node)
    many_calls(connection, node.many(20_500, 5_000), "GetValue", get_value(min_revision=NEVER))
    connection.read(node.many(4, 1))
    connection.close()


@attack(p99_ms=5_000, because=BURST, short=False)
def waiting_reads_on_many_connections(node):
    """Forty connections with 1,000 waiting reads each."""
    connections = [Connection(node) for _ in range(40)]
    for connection in connections:
        many_calls(connection, 1_000, "GetValue", get_value(min_revision=NEVER))
    time.sleep(2)
    for connection in connections:
        connection.close()


@attack
def waiting_reads_reset(node):
    """Reads that wait for an hour, each reset by its client at once."""
    connection = Connection(node)
    headers, payload = wire.call_headers("GetValue", HOUR), get_value(min_revision=NEVER)
    for _ in range(100):
        streams = [connection.next_stream() for _ in range(100)]
        calls = b"".join(wire.call_frames(stream, headers, payload) for stream in streams)
        if not connection.send(calls + b"".join(wire.reset(stream) for stream in streams)):
            break
        connection.read(0.01)
    connection.close()


@attack
def lists_of_a_revision_that_never_comes(node):
    """600 lists that wait for an hour, on a connection that then hangs up: others still list."""
    connection = Connection(node)
    many_calls(connection, 600, "GetKeys", get_keys("start", NEVER))
    connection.read(1)
    connection.close()


@attack
def waiting_lists_held(node):
    """600 lists that wait for an hour on a connection that stands."""
    connection = Connection(node)
    many_calls(connection, 600, "GetKeys", get_keys("start", NEVER))
    connection.read(node.many(4, 1))
    connection.close()


@attack(prepare=store_big_value)
def great_answers_never_read(node):
    """1,401 reads of a value of 4 MB on a connection without a window."""
    connection = Connection(node, initial_window=0)
    many_calls(connection, 1_401, "GetValue", get_value(), "60S")
    time.sleep(node.many(4, 2))
    connection.close()


@attack(prepare=store_big_value, short=False)
def great_answers_never_read_on_many_connections(node):
    """Fifty connections with 100 such reads each."""
    connections = [Connection(node, initial_window=0) for _ in range(50)]
    for connection in connections:
        many_calls(connection, 100, "GetValue", get_value(), "60S")
    time.sleep(4)
    for connection in connections:
        connection.close()


@attack(prepare=lambda node: store_rows(node, "rows", 100, 4096))
def lists_never_read(node):
    """1,000 lists with values whose client does not read."""
    connection = Connection(node, initial_window=0)
    many_calls(connection, 1_000, "GetKeys", get_keys("rows", with_values=True), "60S")
    time.sleep(node.many(4, 2))
    connection.close()


@attack(prepare=lambda node: store_rows(node, "rows", 100, 4096))
def backups_never_read(node):
    """Eight backups whose client does not read, beside which an operator's backup works."""
    connection = Connection(node, initial_window=0)
    many_calls(connection, 8, "/iris.pb.Maintenance/Snapshot", b"", HOUR)
    time.sleep(1)
    backup = node.cli("backup", f"{node.folder.name}/backup", timeout="30s")
    connection.close()
    return "" if backup.returncode == 0 else f"the operator's backup: {backup.stderr.decode()[-200:]}"


@attack
def gzip_bomb(node):
    """A request of 400 KB that inflates to 400 MB."""
    bomb = gzip.compress(bytes(400 << 20), 9)
    return compressed(node, "gzip", bomb)


@attack
def deflate_bomb(node):
    """The same by deflate."""
    return compressed(node, "deflate", zlib.compress(bytes(400 << 20), 9))


def compressed(node, encoding, data):
    connection = Connection(node)
    headers = wire.call_headers("SetValue", "20S", more=[("grpc-encoding", encoding)])
    for _ in range(4):
        stream = connection.next_stream()
        body = wire.grpc_message(data, compressed=True)
        connection.send(wire.frame(wire.HEADERS, wire.END_HEADERS, stream, headers))
        for begin in range(0, len(body), 16384):
            last = begin + 16384 >= len(body)
            connection.send(wire.frame(wire.DATA, wire.END_STREAM if last else 0, stream, body[begin : begin + 16384]))
            connection.read(0.001)
        answer = connection.answer(stream, 10)
        if answer and answer[0] == 0:
            return "a bomb was taken for a request"
    connection.close()
    return ""


@attack
def requests_over_the_limit(node):
    """Values of 5 MiB, twenty at once."""
    connection = Connection(node)
    payload = set_value("over", "limit", b"o" * (5 << 20))
    for _ in range(20):
        answer = connection.ask_paced("SetValue", payload)
        if answer is None:
            connection.close()
            connection = Connection(node)
        elif answer[0] == 0:
            return "a value over the limit was stored"
    connection.close()
    return ""


@attack(p99_ms=2_500, because=BURST)
def half_sent_calls(node):
    """100,000 calls whose message never comes, of a client that acknowledges no limit: its connection is ended."""
    connection = Connection(node)
    headers = wire.call_headers("SetValue", HOUR)
    for _ in range(100):
        calls = b"".join(wire.frame(wire.HEADERS, wire.END_HEADERS, connection.next_stream(), headers) for _ in range(1000))
        if not connection.send(calls):
            break
    ended = connection.hung_up(3)
    connection.close()
    return "" if ended else "a connection with 100,000 half-sent calls stands"


@attack
def half_sent_messages(node):
    """A hundred calls whose message of 1 MiB stops a byte before its end."""
    connection = Connection(node)
    body = set_value("half", "sent", b"h" * (1 << 20))
    for _ in range(100):
        if connection.call_paced("SetValue", body, HOUR, end=False, keep_back=1) is None:
            break
    connection.read(2)
    connection.close()


@attack(p99_ms=2_500, because=BURST)
def deadlines_of_a_nanosecond(node):
    """20,000 calls that are over before they begin. (Short: 5,000.)"""
    connection = Connection(node)
    many_calls(connection, node.many(20_000, 5_000), "SetValue", set_value("late", "key", b"v"), "1n")
    connection.read(2)
    connection.close()


@attack
def malformed_messages(node):
    """Bytes that are no protobuf, names that are not UTF-8, names over the limit: an answer each."""
    connection = Connection(node)
    bad = [b"\xff" * 100, set_value(b"\xff\xfe", "key", b"v"), set_value("s" * (64 << 10) + "s", "key", b"v"), set_value("", "", b"")]
    complaints = []
    for payload in bad:
        for method in ("SetValue", "GetValue", "RemoveValue", "Subscribe", "GetKeys"):
            answer = connection.ask_paced(method, payload)
            if answer is None or answer[0] != INVALID_ARGUMENT:
                complaints.append(f"{method} of {payload[:8]!r} was answered {answer}")
    connection.close()
    return "; ".join(complaints)


@attack(p99_ms=2_500, because=BURST)
def unknown_methods(node):
    """20,000 calls of methods that do not exist, and of content types that are none of gRPC's. (Short: 6,000.)"""
    connection = Connection(node)
    many_calls(connection, node.many(10_000, 3_000), "/iris.pb.Iris/Nothing", b"")
    headers = wire.call_headers("SetValue", content_type="text/html")
    for _ in range(node.many(10_000, 3_000)):
        if not connection.send(wire.call_frames(connection.next_stream(), headers, b"")):
            break
    connection.read(1)
    connection.close()


@attack
def reflection_held_open(node):
    """2,000 streams of the reflection service that say nothing."""
    return held_open(node, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", b"", end=False)


@attack
def health_watches_held_open(node):
    """2,000 Watch streams of the health service."""
    return held_open(node, "/grpc.health.v1.Health/Watch", b"", end=True)


def held_open(node, method, payload, end):
    connections = [Connection(node) for _ in range(4)]
    headers = wire.call_headers(method, HOUR)
    for connection in connections:
        for _ in range(500):
            connection.send(wire.call_frames(connection.next_stream(), headers, payload, end))
    time.sleep(node.many(3, 1))
    for connection in connections:
        connection.close()
    return ""


@attack
def joins_of_nobody(node):
    """200 nodes that do not exist ask to join."""
    connection = Connection(node)
    for number in range(200):
        connection.call("Join", wire.message((1, f"127.0.0.1:{10_000 + number}")), "2S")
    connection.read(node.many(3, 1))
    connection.close()
    members = node.cli("member", "ls")
    count = len(members.stdout.splitlines())
    return "" if count <= 10 else f"{count} members after joins of nobody"
