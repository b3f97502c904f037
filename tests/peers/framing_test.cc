// src/peers/framing.h: frames in a stream of bytes that the network cuts anywhere or damages.
#include "src/peers/framing.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include "src/base/crc32c.h"
#include "tests/catch.h"

namespace iris {
namespace {

std::string frame(std::string_view payload) {
  std::string out;
  const std::size_t begun = begin_frame(out);
  out += payload;
  seal_frame(out, begun);
  return out;
}

struct Cut {
  std::vector<std::string> payloads;
  std::string error;
};

// Feeds `bytes` in pieces of at most `piece_bytes`.
Cut cut(FrameReader& reader, std::string_view bytes, std::size_t piece_bytes) {
  Cut result;
  while (!bytes.empty() && result.error.empty()) {
    const auto space = reader.space();
    const std::size_t count = std::min({space.size(), bytes.size(), piece_bytes});
    std::memcpy(space.data(), bytes.data(), count);
    reader.filled(count);
    bytes.remove_prefix(count);
    for (;;) {
      const auto next = reader.next();
      if (!next) result.error = next.error().text;
      if (!next || !*next) break;
      result.payloads.emplace_back(**next);
    }
  }
  return result;
}

Cut cut(std::string_view bytes, std::size_t piece_bytes = 1 << 16, std::size_t limit = 1 << 20) {
  FrameReader reader(limit);
  return cut(reader, bytes, piece_bytes);
}

TEST_CASE("CRC-32C gives the published values, with and without the instruction") {
  const std::string zeros(32, '\0');
  const std::string ones(32, '\xff');
  for (auto* function : {&crc32c, &detail::crc32c_by_table}) {
    CHECK(function("123456789", 0) == 0xe3069283);
    CHECK(function(zeros, 0) == 0x8a9136aa);
    CHECK(function(ones, 0) == 0x62a8ab43);
    CHECK(function("", 0) == 0);
  }
  std::mt19937_64 random(7);  // a fixed seed: a failure must come back
  for (std::size_t bytes = 0; bytes < 200; ++bytes) {
    std::string text(bytes, '\0');
    for (char& byte : text) byte = static_cast<char>(random());
    CHECK(crc32c(text) == detail::crc32c_by_table(text));
  }
}

TEST_CASE("frames are found however the bytes arrive (hazard 106)") {
  const std::vector<std::string> payloads = {"first", "", std::string(100'000, 'x'),
                                             std::string("\0IRP", 4), "last"};
  std::string stream;
  for (const std::string& payload : payloads) stream += frame(payload);
  for (const std::size_t piece : {1u, 2u, 3u, 11u, 12u, 13u, 4096u, 1u << 20}) {
    CAPTURE(piece);
    const Cut result = cut(stream, piece);
    CHECK(result.error.empty());
    CHECK(result.payloads == payloads);
  }
  CHECK(cut(stream.substr(0, stream.size() - 1)).payloads.size() == payloads.size() - 1);
}

TEST_CASE("large frames one after the other leave no large buffer behind") {
  FrameReader reader(frame_bytes_max);
  const std::string large(8u << 20, 'x');
  for (int round = 0; round < 3; ++round) {
    CHECK(cut(reader, frame(large) + frame("small"), 1 << 20).payloads ==
          std::vector<std::string>{large, "small"});
  }
  CHECK(reader.space().size() <= 2 * frame_target_bytes);
}

TEST_CASE(
    "a frame is taken at the limit and refused one byte over it, before it came (hazard 107)") {
  CHECK(cut(frame(std::string(1000, 'x')), 100, 1000).payloads.size() == 1);
  const std::string header = frame(std::string(1001, 'x')).substr(0, frame_header_bytes);
  CHECK(cut(header, 100, 1000).error == "a frame of 1001 bytes is over the limit of 1000");
  const std::string bomb = std::string("IRP\1\xff\xff\xff\xff", 8) + "crc?";
  CHECK(cut(bomb, 100, frame_bytes_max).error ==
        "a frame of 4294967295 bytes is over the limit of 33554432");
}

TEST_CASE("damage, other formats and other protocols are told apart (hazard 107)") {
  std::string damaged = frame("payload");
  damaged.back() ^= 1;
  CHECK(cut(damaged).error == "a frame's checksum does not fit its bytes");
  std::string later = frame("payload");
  later[3] = 2;
  CHECK(cut(later).error == "frame format 2 where this build knows format 1");
  CHECK(cut("GET / HTTP/1.1\r\n\r\n").error == "the bytes are no frame of Iris");
  CHECK(cut("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").error == "the bytes are no frame of Iris");
}

TEST_CASE("no flipped bit in a frame goes unnoticed") {
  const std::string whole = frame("payload") + frame("next");
  for (std::size_t bit = 0; bit < frame("payload").size() * 8; ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    CAPTURE(bit);
    // A longer length makes the reader wait; it never yields a frame that was not sent.
    CHECK(cut(flipped).payloads.empty());
  }
}

TEST_CASE("random bytes never crash the frame reader (hazard 107)") {
  std::mt19937_64 random(20260102);  // a fixed seed: a failure must come back
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = frame(std::string(random() % 40, 'p')) + frame("q");
    for (std::size_t i = random() % 6; i > 0; --i) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    static_cast<void>(cut(bytes, 1 + random() % 50, 64));
  }
}

}  // namespace
}  // namespace iris
