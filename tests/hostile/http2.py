"""A small HTTP/2 client that may misbehave: it sends what it is told and reads only when asked."""
import select
import socket
import ssl
import struct
import sys
import time

SKIPPED = 77  # as Meson takes it
try:
    import hpack
except ImportError:
    print("skipped: needs Debian's python3-hpack (and its python3)", file=sys.stderr)
    sys.exit(SKIPPED)

import wire

CONNECT_SECONDS = 10


def tls_context(certs, certificate="client"):
    context = ssl.create_default_context(cafile=f"{certs}/ca.crt")
    context.load_cert_chain(f"{certs}/{certificate}.crt", f"{certs}/{certificate}.key")
    context.set_alpn_protocols(["h2"])
    return context


def open_socket(node, port):
    return socket.create_connection(("127.0.0.1", port), timeout=CONNECT_SECONDS)


def open_secure(node, port):
    """A connection with TLS where the node has it."""
    plain = open_socket(node, port)
    if node.certs is None:
        return plain
    certificate = "server" if port == node.raft_port else "client"
    context = tls_context(node.certs, certificate)
    if port == node.raft_port:
        context.set_alpn_protocols(["iris-raft"])
    return context.wrap_socket(plain, server_hostname="Iris")


class Connection:
    """One connection to the gRPC port. Streams are numbered by next_stream()."""

    def __init__(self, node, initial_window=None):
        self.socket = open_secure(node, node.port)
        self._stream = -1
        self._input = b""
        self._headers = hpack.Decoder(max_header_list_size=1 << 20)
        self.answers = {}  # stream -> [data, trailers]
        self.reset_streams = set()
        self.goodbye = None  # what its GOAWAY said
        self._window, self._stream_window = wire.INITIAL_WINDOW, wire.INITIAL_WINDOW  # ours to send, of the server
        self._stream_windows = {}
        values = {} if initial_window is None else {"initial_window": initial_window}
        self.send(wire.PREFACE + wire.settings(**values))

    def close(self):
        self.socket.close()

    def next_stream(self):
        self._stream += 2
        return self._stream

    def send(self, data):
        """False: the other end has hung up."""
        try:
            self.socket.sendall(data)
            return True
        except (OSError, ssl.SSLError):
            return False

    def call(self, method, payload=b"", timeout="5S", more=()):
        """Sends a whole unary call; the number of its stream."""
        stream = self.next_stream()
        self.send(wire.call_frames(stream, wire.call_headers(method, timeout, more), payload))
        return stream

    def call_paced(self, method, payload, timeout="30S", end=True, keep_back=0):
        """The same for a message greater than a window: sends as much as the server has said that it takes. All but the
        last `keep_back` bytes. None: it hung up, or stopped to take."""
        stream = self.next_stream()
        self._stream_windows[stream] = 0
        self.send(wire.frame(wire.HEADERS, wire.END_HEADERS, stream, wire.call_headers(method, timeout)))
        body = wire.grpc_message(payload)
        body = body[: len(body) - keep_back]
        give_up = time.monotonic() + CONNECT_SECONDS
        while body:
            room = min(self._window, self._stream_window + self._stream_windows[stream], wire.FRAME_BYTES_MAX, len(body))
            if room <= 0:
                if not self.read(0.002) or time.monotonic() > give_up:
                    return None
                continue
            piece, body = body[:room], body[room:]
            if not self.send(wire.frame(wire.DATA, wire.END_STREAM if end and not body else 0, stream, piece)):
                return None
            self._window -= room
            self._stream_windows[stream] -= room
            give_up = time.monotonic() + CONNECT_SECONDS
        return stream

    def ask_paced(self, method, payload):
        """call_paced(), and its answer()."""
        stream = self.call_paced(method, payload)
        return self.answer(stream) if stream else None

    def read(self, seconds):
        """Takes what comes within so long; False once the other end has hung up."""
        end = time.monotonic() + seconds
        try:
            while (left := end - time.monotonic()) > 0:
                self.socket.settimeout(left)
                try:
                    data = self.socket.recv(1 << 18)
                except (TimeoutError, ssl.SSLWantReadError):
                    continue
                except OSError:
                    return False
                if not data:
                    return False
                self.socket.settimeout(CONNECT_SECONDS)  # to send what the frames ask for
                self._input += data
                self._take_frames()
        finally:
            self.socket.settimeout(CONNECT_SECONDS)
        return True

    def answer(self, stream, seconds=10):
        """(status, data) of a call, or None where none came in time or the connection broke."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            alive = self.read(0.05)
            data, trailers = self.answers.get(stream, (b"", {}))
            if "grpc-status" in trailers:
                return int(trailers["grpc-status"]), data[5:]
            if not alive:
                return None
        return None

    def hung_up(self, seconds):
        """Does the other end hang up within so long?"""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not self.read(0.05):
                return True
        return False

    def _take_frames(self):
        while len(self._input) >= 9:
            size = int.from_bytes(self._input[:3], "big")
            if len(self._input) < 9 + size:
                return
            kind, flags, stream = struct.unpack(">BBI", self._input[3:9])
            payload, self._input = self._input[9 : 9 + size], self._input[9 + size :]
            if kind == wire.HEADERS:
                entry = self.answers.setdefault(stream, [b"", {}])
                entry[1].update(self._headers.decode(payload))
            elif kind == wire.DATA:
                entry = self.answers.setdefault(stream, [b"", {}])
                entry[0] += payload
                if size:
                    self.send(wire.window_update(0, size) + wire.window_update(stream, size))
            elif kind == wire.RST_STREAM:
                self.reset_streams.add(stream)
            elif kind == wire.WINDOW_UPDATE:
                more = int.from_bytes(payload, "big")
                if stream == 0:
                    self._window += more
                elif stream in self._stream_windows:
                    self._stream_windows[stream] += more
            elif kind == wire.GOAWAY:
                self.goodbye = payload
            elif kind == wire.SETTINGS and not flags & wire.ACK:
                self._stream_window = wire.settings_of(payload).get(wire.SETTINGS_INITIAL_WINDOW, self._stream_window)
                self.send(wire.frame(wire.SETTINGS, wire.ACK))
            elif kind == wire.PING and not flags & wire.ACK:
                self.send(wire.frame(wire.PING, wire.ACK, 0, payload))


def wait_closed(sockets, seconds):
    """How many of the sockets the other end has closed within so long."""
    end = time.monotonic() + seconds
    open_ones, closed = set(sockets), 0
    while open_ones and time.monotonic() < end:
        readable, _, _ = select.select(list(open_ones)[:1000], [], [], 0.1)
        for each in readable:
            try:
                data = each.recv(65536)
            except OSError:
                data = b""
            if not data:
                open_ones.discard(each)
                closed += 1
    return closed
