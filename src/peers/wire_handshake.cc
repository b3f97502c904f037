// The handshake <-> bytes. Field numbers are proto/peer.proto's.
#include <limits>
#include <utility>

#include "src/peers/wire.h"
#include "src/peers/wire_parts.h"

namespace iris::wire {
namespace {

// Hello and Welcome begin alike.
void write(ProtoWriter& out, std::uint32_t newest, std::uint32_t oldest,
           const PeerIdentity& sender) {
  out.number(1, newest);
  out.number(2, oldest);
  out.fixed(3, sender.cluster.value);
  out.fixed(4, sender.node.value);
  out.bytes(5, sender.address);
  out.number(8, sender.level.value);
  out.number(9, sender.cluster_level.value);
}

Complaint parse_version(std::uint64_t number, std::uint32_t& version) {
  if (number == 0 || number > std::numeric_limits<std::uint32_t>::max()) {
    return "handshake: no protocol version";
  }
  version = static_cast<std::uint32_t>(number);
  return {};
}

Complaint parse_common(ProtoReader& in, std::uint32_t& newest, std::uint32_t& oldest,
                       PeerIdentity& sender) {
  switch (in.field()) {
    case 1:
      return parse_version(in.number(), newest);
    case 2:
      return parse_version(in.number(), oldest);
    case 3:
      sender.cluster.value = in.fixed();
      return {};
    case 4:
      sender.node.value = in.fixed();
      return {};
    case 5:
      sender.address = in.bytes();
      return {};
    case 8:
      sender.level.value = in.number();
      return {};
    case 9:
      sender.cluster_level.value = in.number();
      return {};
    default:
      return {};
  }
}

Complaint check_common(std::uint32_t newest, std::uint32_t oldest, const PeerIdentity& sender) {
  if (newest == 0 || oldest == 0 || oldest > newest) return "handshake: no protocol version";
  if (sender.node.value == 0) return "handshake: no node id";
  if (!is_full_address(sender.address)) return "handshake: no valid address";
  if (sender.cluster_level > sender.level) return "handshake: a cluster beyond its own level";
  return {};
}

}  // namespace

std::string write(const Hello& hello) {
  std::string bytes;
  ProtoWriter out(bytes);
  write(out, hello.version, hello.version_oldest, hello.sender);
  out.fixed(6, hello.expected.value);
  out.number(7, static_cast<std::uint64_t>(hello.purpose));
  return bytes;
}

Result<Hello> read_hello(std::string_view bytes) {
  Hello hello{.version = 0, .version_oldest = 0};
  std::uint64_t purpose = 0;
  Complaint wrong = walk("Hello", bytes, [&](ProtoReader& in) {
    if (in.field() == 6) hello.expected.value = in.fixed();
    if (in.field() == 7) purpose = in.number();
    return parse_common(in, hello.version, hello.version_oldest, hello.sender);
  });
  if (wrong.empty()) wrong = check_common(hello.version, hello.version_oldest, hello.sender);
  if (wrong.empty() && (purpose < 1 || purpose > static_cast<std::uint64_t>(Purpose::probe))) {
    wrong = "Hello: of a purpose this build does not know";
  }
  if (!wrong.empty()) return fail(Errc::invalid_argument, std::move(wrong));
  hello.purpose = static_cast<Purpose>(purpose);
  return hello;
}

std::string write(const Welcome& welcome) {
  std::string bytes;
  ProtoWriter out(bytes);
  write(out, welcome.version, welcome.version_oldest, welcome.sender);
  out.bytes(6, std::string_view(welcome.refusal).substr(0, text_bytes_max));
  return bytes;
}

Result<Welcome> read_welcome(std::string_view bytes) {
  Welcome welcome{.version = 0, .version_oldest = 0};
  Complaint wrong = walk("Welcome", bytes, [&](ProtoReader& in) {
    if (in.field() == 6) welcome.refusal = in.bytes();
    return parse_common(in, welcome.version, welcome.version_oldest, welcome.sender);
  });
  if (wrong.empty()) wrong = check_common(welcome.version, welcome.version_oldest, welcome.sender);
  if (wrong.empty() && welcome.refusal.size() > text_bytes_max) {
    wrong = "Welcome: over the limit text_bytes_max";
  }
  if (!wrong.empty()) return fail(Errc::invalid_argument, std::move(wrong));
  return welcome;
}

bool speaks(std::uint32_t newest, std::uint32_t oldest) {
  return newest >= version_oldest && version >= oldest;
}

}  // namespace iris::wire
