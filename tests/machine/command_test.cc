// The bytes of commands: round trips, and bytes that are not a command.
#include "src/machine/command.h"

#include <random>
#include <string>
#include <vector>

#include "src/api/limits.h"
#include "tests/machine/fixture.h"

#include "tests/catch.h"  // last: its CHECK must not stand in for raft/check.h's

namespace iris {
namespace {

std::vector<Operation> samples() {
  const std::string zeros(3, '\0');
  return {SetValue{"s", "k", "v", {}},
          SetValue{"s", "k", "", 0},
          SetValue{zeros, "\xff", zeros, 127},
          SetValue{std::string(300, 's'), std::string(70'000, 'k'), std::string(100'000, 'v'),
                   UINT64_MAX},
          RemoveValue{"s", "k", {}},
          RemoveValue{"s", "k", 1u << 14},
          RemoveSource{"s"},
          Subscribe{"session", "s", {}},
          Subscribe{"session", "s", "k"},
          Unsubscribe{"session", "s", {}},
          Unsubscribe{"session", "s", "k"},
          ExpireSessions{},
          ExpireSessions{UINT64_MAX, {"a", "b", std::string(200, 'c')}}};
}

TEST_CASE("every command comes back from its bytes") {
  for (const auto& operation : samples()) {
    const auto decoded = decode(encode(operation));
    REQUIRE(decoded);
    CHECK(*decoded == operation);
  }
}

TEST_CASE("the bytes of a command are as command.cc draws them") {
  using namespace std::string_literals;
  CHECK(encode(SetValue{"s", "key", "v", 300}) == "\x01\x01\x01\xac\x02\x01s\x03keyv"s);
  CHECK(encode(RemoveValue{"s", "k", {}}) == "\x01\x02\x00\x01s\x01k"s);
  CHECK(encode(RemoveSource{"s"}) == "\x01\x03\x01s"s);
  CHECK(encode(Subscribe{"x", "s", "k"}) == "\x01\x04\x01x\x01s\x01\x01k"s);
  CHECK(encode(Unsubscribe{"x", "s", {}}) == "\x01\x05\x01x\x01s\x00"s);
  CHECK(encode(ExpireSessions{5, {"x", "y"}}) == "\x01\x06\x05\x02\x01x\x01y"s);
}

TEST_CASE("a command says by kind and version which level knows it (hazard 118)") {
  using namespace std::string_literals;
  constexpr raft::Level newer{feature_level.value + 1};
  for (const auto& operation : samples()) {
    const std::string bytes = encode(operation);
    CHECK(level_of(bytes) == raft::Level{});
    CHECK(encode(operation, {}) == bytes);
    const std::string later = encode(operation, newer);
    CHECK(level_of(later) == newer);
    CHECK(later.substr(1) == bytes.substr(1));
    CHECK(*decode(later) == operation);
  }
  CHECK_FALSE(level_of("\x02\x01"s));
  CHECK_FALSE(level_of("\x01\x00"s));
  CHECK_FALSE(level_of("\x01\x07"s));
  CHECK(level_of("") == raft::Level{});  // malformed, by every build
  CHECK(level_of("\x09") == raft::Level{});
  const auto entry = [](raft::Payload payload) {
    return raft::Entry{{{3}, {17}}, std::move(payload)};
  };
  CHECK(understands(entry(raft::Command("\x01")), {}));
  CHECK(understands(entry(raft::NoOp{}), {}));
  CHECK(understands(entry(raft::Members{.level = {4}}), {4}));
  CHECK(understands(entry(raft::Members{.level = {4}}), {3}).error().text ==
        "the cluster is at feature level 4, and this build knows feature levels up to 3: run the "
        "newer version of Iris here");
  CHECK(understands(entry(raft::Command("\x02\x01s"s)), {3}).error().text ==
        "entry 17 is a command of a kind or version of a newer one, and this build knows feature "
        "levels up to 3: run the newer version of Iris here");
  CHECK_FALSE(understands(entry(encode(samples().front(), newer)), feature_level));
  CHECK(understands(entry(encode(samples().front(), newer)), newer));
}

TEST_CASE("a cut, longer or bent command is refused, never misread (hazard 81)") {
  using namespace std::string_literals;
  for (const auto& operation : samples()) {
    const std::string bytes = encode(operation);
    const bool open_ended = std::holds_alternative<SetValue>(operation);
    // The ends are enough of the long sample.
    for (std::size_t size = 0; size < bytes.size(); size += size < 400 ? 1 : 997) {
      const auto decoded = decode(std::string_view(bytes).substr(0, size));
      if (decoded) CHECK(open_ended);
    }
    if (!open_ended) CHECK_FALSE(decode(bytes + "x"));
  }
  CHECK_FALSE(decode(""));
  CHECK_FALSE(decode("\x02\x03\x01s"s));           // version
  CHECK_FALSE(decode("\x01\x00\x01s"s));           // kind
  CHECK_FALSE(decode("\x01\x07\x01s"s));           // kind
  CHECK_FALSE(decode("\x01\x03\x00"s));            // empty name
  CHECK_FALSE(decode("\x01\x02\x02\x01s\x01k"s));  // flag
  CHECK_FALSE(decode("\x01\x03\x81\x00s"s));       // number not in its shortest form
  CHECK_FALSE(decode("\x01\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01s"s));  // length bomb
  CHECK_FALSE(decode("\x01\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02s"s));  // past 64 bits
  CHECK_FALSE(decode("\x01\x06\x00\xff\xff\xff\xff\x0f"s));                   // count bomb
}

// Valid commands with bytes changed, cut, doubled; and plain noise.
std::string garbage(std::mt19937_64& random) {
  static const std::vector<Operation> seeds = samples();
  std::string bytes;
  if (random() % 4 == 0) {
    bytes.resize(random() % 64);
    for (char& byte : bytes) byte = static_cast<char>(random());
    if (!bytes.empty() && random() % 2 == 0) bytes[0] = 1;
    return bytes;
  }
  do {
    bytes = encode(seeds[random() % seeds.size()]);
  } while (bytes.size() > 1000);
  for (std::uint64_t changes = random() % 4; changes > 0; --changes) {
    const std::size_t at = random() % bytes.size();
    switch (random() % 3) {
      case 0:
        bytes[at] = static_cast<char>(random());
        break;
      case 1:
        bytes.insert(at, 1, static_cast<char>(random()));
        break;
      default:
        bytes.resize(at + 1);
    }
  }
  return bytes;
}

TEST_CASE("any bytes decode or are refused, and apply without harm (hazards 40 and 81)") {
  std::mt19937_64 random(20170901);
  MachineFixture machine;
  int decoded_count = 0;
  int refused_count = 0;
  for (int round = 0; round < 200'000; ++round) {
    std::string bytes = garbage(random);
    const auto decoded = decode(bytes);
    if (decoded) {
      ++decoded_count;
      REQUIRE(encode(*decoded, *level_of(bytes)) == bytes);  // one command, one encoding
    } else {
      ++refused_count;
    }
    const Outcome outcome = machine.apply_bytes(bytes);
    REQUIRE((outcome.code == Outcome::Code::malformed) == !decoded);
    if (!decoded) REQUIRE(machine.no_ops(machine.last - 1).size() == 1);
  }
  CHECK(decoded_count > 10'000);
  CHECK(refused_count > 10'000);
}

TEST_CASE("names over the limit are applied all the same: they are checked before") {
  MachineFixture machine;
  const std::string name(Limits{}.name_bytes_max + 1, 'n');
  CHECK(machine.set(name, name, "v").changed);
  CHECK(machine.get(name, name) == "v");
}

}  // namespace
}  // namespace iris
