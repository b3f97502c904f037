#include "src/peers/framing.h"

#include <algorithm>
#include <cstring>

#include "raft/check.h"
#include "src/base/crc32c.h"

namespace iris {
namespace {

constexpr std::string_view magic = "IRP";
constexpr std::size_t buffer_bytes = 64u << 10;             // to begin with
constexpr std::size_t kept_bytes = 2 * frame_target_bytes;  // a buffer larger than that is not kept

void store_word(char* at, std::uint32_t word) {
  for (int shift = 0; shift < 32; shift += 8) *at++ = static_cast<char>(word >> shift & 0xff);
}

// A record of TLS begins with its type (21 alert, 22 handshake) and 3, its major version.
std::string not_a_frame(std::string_view bytes) {
  const bool tls = bytes.size() > 1 && (bytes[0] == 21 || bytes[0] == 22) && bytes[1] == 3;
  return tls ? "the other end speaks TLS, this one does not (-insecure)"
             : "the bytes are no frame of Iris";
}

}  // namespace

std::size_t begin_frame(std::string& out) {
  const std::size_t begun = out.size();
  out.append(frame_header_bytes, '\0');
  return begun;
}

void seal_frame(std::string& out, std::size_t begun) {
  CHECK(out.size() >= begun + frame_header_bytes);
  const std::string_view payload = std::string_view(out).substr(begun + frame_header_bytes);
  CHECK(payload.size() <= frame_bytes_max);
  const std::uint32_t checksum = crc32c(payload);
  char* header = out.data() + begun;
  std::memcpy(header, magic.data(), magic.size());
  header[3] = frame_format;
  store_word(header + 4, static_cast<std::uint32_t>(payload.size()));
  store_word(header + 8, checksum);
}

std::span<char> FrameReader::space() {
  const std::size_t wanted = std::max(frame_bytes_, buffer_bytes);
  if (held() == 0) begin_ = end_ = 0;
  const bool too_large = held() == 0 && capacity_ > std::max(wanted, kept_bytes);
  if (begin_ + wanted > capacity_ || too_large) {
    if (wanted > capacity_ || too_large) {
      auto larger = std::make_unique_for_overwrite<char[]>(wanted);
      if (held() > 0) std::memcpy(larger.get(), buffer_.get() + begin_, held());
      buffer_ = std::move(larger);
      capacity_ = wanted;
    } else {
      std::memmove(buffer_.get(), buffer_.get() + begin_, held());
    }
    end_ -= begin_;
    begin_ = 0;
  }
  CHECK(end_ < capacity_);
  return {buffer_.get() + end_, capacity_ - end_};
}

void FrameReader::filled(std::size_t bytes) {
  CHECK(bytes <= capacity_ - end_);
  end_ += bytes;
}

std::uint32_t FrameReader::header_word(std::size_t offset) const {
  std::uint32_t word = 0;
  for (std::size_t i = 4; i-- > 0;) {
    word = word << 8 | static_cast<unsigned char>(buffer_[begin_ + offset + i]);
  }
  return word;
}

Result<std::optional<std::string_view>> FrameReader::next() {
  const std::string_view header(buffer_.get() + begin_, std::min(held(), frame_header_bytes));
  if (header.substr(0, magic.size()) != magic.substr(0, header.size())) {
    return fail(Errc::invalid_argument, not_a_frame(header));
  }
  if (header.size() < frame_header_bytes) return std::optional<std::string_view>();
  if (header[3] != frame_format) {
    return fail(Errc::invalid_argument,
                "frame format " + std::to_string(static_cast<unsigned char>(header[3])) +
                    " where this build knows format " + std::to_string(frame_format));
  }
  const std::size_t payload_bytes = header_word(4);
  if (payload_bytes > payload_bytes_max_) {
    return fail(Errc::invalid_argument, "a frame of " + std::to_string(payload_bytes) +
                                            " bytes is over the limit of " +
                                            std::to_string(payload_bytes_max_));
  }
  frame_bytes_ = frame_header_bytes + payload_bytes;
  if (held() < frame_bytes_) return std::optional<std::string_view>();
  const std::string_view payload(buffer_.get() + begin_ + frame_header_bytes, payload_bytes);
  if (crc32c(payload) != header_word(8)) {
    return fail(Errc::invalid_argument, "a frame's checksum does not fit its bytes");
  }
  begin_ += frame_bytes_;
  frame_bytes_ = 0;
  return std::optional(payload);
}

}  // namespace iris
