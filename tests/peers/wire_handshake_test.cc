// The handshake against the code generated from proto/peer.proto.
#include "proto/peer.pb.h"
#include "src/peers/wire.h"
#include "tests/catch.h"

namespace iris {
namespace {

TEST_CASE("a handshake comes back as it left, through the generated code as well") {
  const wire::Hello hello{.version = 3,
                          .version_oldest = 2,
                          .sender = {.node = {0xa1},
                                     .cluster = {0xc1},
                                     .address = "a:1",
                                     .level = {5},
                                     .cluster_level = {4}},
                          .expected = {0xb2},
                          .purpose = wire::Purpose::bulk};
  peer::Hello parsed;
  REQUIRE(parsed.ParseFromString(wire::write(hello)));
  CHECK(parsed.ShortDebugString() ==
        "version: 3 version_oldest: 2 cluster: 193 node: 161 address: \"a:1\" expected: 178 "
        "purpose: BULK level: 5 cluster_level: 4");
  const auto back = wire::read_hello(parsed.SerializeAsString());
  REQUIRE(back);
  CHECK(wire::write(*back) == wire::write(hello));

  const wire::Welcome welcome{
      .version = 3,
      .version_oldest = 2,
      .sender = {.node = {0xb2}, .cluster = {0}, .address = "b:1", .level = {6}},
      .refusal = "no"};
  peer::Welcome answer;
  REQUIRE(answer.ParseFromString(wire::write(welcome)));
  CHECK(answer.ShortDebugString() ==
        "version: 3 version_oldest: 2 node: 178 address: \"b:1\" refusal: \"no\" level: 6");
  const auto answered = wire::read_welcome(answer.SerializeAsString());
  REQUIRE(answered);
  CHECK(wire::write(*answered) == wire::write(welcome));
}

TEST_CASE("versions agree where their ranges overlap (hazard 118)") {
  CHECK(wire::speaks(wire::version, wire::version_oldest));
  CHECK(wire::speaks(wire::version + 5, wire::version));
  CHECK_FALSE(wire::speaks(wire::version + 5, wire::version + 1));
  CHECK_FALSE(wire::speaks(wire::version_oldest - 1, 0));
}

TEST_CASE("a handshake without an identity is refused") {
  const auto error = [](const wire::Hello& hello) {
    const auto read = wire::read_hello(wire::write(hello));
    return read ? "" : read.error().text;
  };
  wire::Hello hello{.sender = {.node = {1}, .cluster = {1}, .address = "a:1"}};
  CHECK(error(hello).empty());
  hello.purpose = static_cast<wire::Purpose>(4);
  CHECK(error(hello) == "Hello: of a purpose this build does not know");
  hello.purpose = wire::Purpose::probe;
  hello.sender.address = "a";
  CHECK(error(hello) == "handshake: no valid address");
  hello.sender.address = "a:1";
  hello.sender.cluster_level = {1};
  CHECK(error(hello) == "handshake: a cluster beyond its own level");
  hello.sender.level = {1};
  CHECK(error(hello).empty());
  hello.sender.node = {0};
  CHECK(error(hello) == "handshake: no node id");
  hello.version_oldest = 2;
  CHECK(error(hello) == "handshake: no protocol version");
  CHECK(wire::read_hello("").error().text == "handshake: no protocol version");
  CHECK(wire::read_welcome("\xff").error().text == "Welcome: malformed bytes");
}

}  // namespace
}  // namespace iris
