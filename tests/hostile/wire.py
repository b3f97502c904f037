"""Bytes as they go over the wire: protobuf messages, HTTP/2 frames, frames of the raft port.

Written by hand, so that wrong ones can be made as easily as right ones. Nothing here opens a socket.
"""
import struct

# --- Protobuf


def varint(number):
    out = bytearray()
    while True:
        low, number = number & 0x7F, number >> 7
        out.append(low | (0x80 if number else 0))
        if not number:
            return bytes(out)


def message(*fields):
    """Each field is (number, value): an int is a varint, ("fixed64", int) eight bytes, text or bytes a length and them."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        elif isinstance(value, tuple):
            out += varint(number << 3 | 1) + struct.pack("<Q", value[1])
        else:
            raw = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(raw)) + raw
    return out


def fixed64(number):
    return ("fixed64", number)


# --- gRPC over HTTP/2 (RFC 9113)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 1, 1, 4
SETTINGS_INITIAL_WINDOW = 4
INITIAL_WINDOW = 65_535
FRAME_BYTES_MAX = 16_384
CANCEL = 8


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def settings(**values):
    names = {"initial_window": SETTINGS_INITIAL_WINDOW}
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", names[name], value) for name, value in values.items()))


def settings_of(payload):
    """{identifier: value} of a SETTINGS frame."""
    return dict(struct.unpack(">HI", payload[at : at + 6]) for at in range(0, len(payload) - 5, 6))


def window_update(stream, bytes_more):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", bytes_more))


def reset(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))


def header_block(fields):
    """HPACK without its tables: each field literal and never indexed (RFC 7541, 6.2.3), no Huffman code."""
    out = b""
    for name, value in fields:
        out += b"\x10" + _hpack_text(name) + _hpack_text(value)
    return out


def _hpack_text(text):
    raw = text.encode() if isinstance(text, str) else text
    if len(raw) < 127:
        return bytes([len(raw)]) + raw
    return b"\x7f" + varint(len(raw) - 127) + raw


def call_headers(method, timeout="5S", more=(), content_type="application/grpc"):
    fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", method if method.startswith("/") else f"/iris.pb.Iris/{method}"),
        (":authority", "Iris"),
        ("te", "trailers"),
        ("content-type", content_type),
    ]
    if timeout:
        fields.append(("grpc-timeout", timeout))
    return header_block(fields + list(more))


def grpc_message(payload, compressed=False):
    return struct.pack(">BI", int(compressed), len(payload)) + payload


def call_frames(stream, headers, payload, end=True):
    """A whole unary request, its message cut into frames of the default size."""
    data = grpc_message(payload)
    out = [frame(HEADERS, END_HEADERS, stream, headers)]
    for begin in range(0, len(data), 16384):
        piece = data[begin : begin + 16384]
        last = end and begin + 16384 >= len(data)
        out.append(frame(DATA, END_STREAM if last else 0, stream, piece))
    return b"".join(out)


# --- The raft port (src/peers/framing.h)

_CRC_TABLE = []
for _byte in range(256):
    _word = _byte
    for _ in range(8):
        _word = _word >> 1 ^ (0x82F63B78 if _word & 1 else 0)
    _CRC_TABLE.append(_word)


def crc32c(data):
    word = 0xFFFFFFFF
    for byte in data:
        word = word >> 8 ^ _CRC_TABLE[(word ^ byte) & 0xFF]
    return word ^ 0xFFFFFFFF


def raft_frame(payload, length=None, crc=None):
    """`length` and `crc`: what the header says instead of the truth."""
    said = len(payload) if length is None else length
    return b"IRP\x01" + struct.pack("<II", said, crc32c(payload) if crc is None else crc) + payload


CONTROL, BULK, PROBE = 1, 2, 3


def hello(node, cluster=0, address="127.0.0.1:9", purpose=CONTROL, expected=0, version=1, level=1000):
    """`level`: as far as the sender knows the log; one below the cluster's would not be let in."""
    return message((1, version), (2, 1), (3, fixed64(cluster)), (4, fixed64(node)), (5, address), (6, fixed64(expected)), (7, purpose), (8, level))


def batch(*bodies):
    """Each body is (number of its kind in proto/peer.proto's Message, its bytes)."""
    return message(*((1, message(body)) for body in bodies))


def raft_message(sender, receiver, term, kind, body):
    return (1, message((1, fixed64(sender)), (2, fixed64(receiver)), (3, term), (kind, body)))
