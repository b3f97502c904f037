// Frames: how one connection's bytes are cut into payloads (hazards 106, 107).
// One thread; owns its buffers. Knows no sockets and nothing of what a payload means.
//
//   0        3        4           8            12
//   +--------+--------+-----------+------------+------------------+
//   | "IRP"  | format | length    | CRC-32C    | payload          |
//   | 3 B    | 1 B    | 4 B LE    | 4 B LE     | `length` bytes   |
//   +--------+--------+-----------+------------+------------------+
//
// The checksum covers the payload. The format is that of this header only; what payloads mean is
// negotiated in the handshake.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "raft/result.h"

namespace iris {

inline constexpr std::size_t frame_header_bytes = 12;
inline constexpr char frame_format = 1;
// Payloads. A batch stops growing at the target; one large message may pass it, up to the maximum.
inline constexpr std::size_t frame_target_bytes = 1u << 20;
inline constexpr std::size_t frame_bytes_max = 32u << 20;
inline constexpr std::size_t handshake_bytes_max = 4u << 10;

// Leaves room for a header at the end of `out`; then append the payload, then seal.
[[nodiscard]] std::size_t begin_frame(std::string& out);
// REQUIRES: `begun` is what begin_frame() returned, at most frame_bytes_max bytes since.
void seal_frame(std::string& out, std::size_t begun);

// Bytes in, payloads out. Read into space(), say how many came, then ask next() until it is empty.
class FrameReader {
 public:
  // Larger payloads are refused before anything is allocated for them.
  explicit FrameReader(std::size_t payload_bytes_max) : payload_bytes_max_(payload_bytes_max) {}

  void set_limit(std::size_t payload_bytes_max) { payload_bytes_max_ = payload_bytes_max; }

  // Never empty. Large enough for the rest of the frame under way, once its header is here.
  [[nodiscard]] std::span<char> space();
  // REQUIRES: at most space().size()
  void filled(std::size_t bytes);
  // The next whole payload, good until space() is called; none: more bytes are needed.
  // Errc::invalid_argument where the bytes are no frame or over the limit: the connection is lost.
  [[nodiscard]] Result<std::optional<std::string_view>> next();

 private:
  [[nodiscard]] std::size_t held() const { return end_ - begin_; }
  [[nodiscard]] std::uint32_t header_word(std::size_t offset) const;

  std::size_t payload_bytes_max_;
  std::size_t frame_bytes_ = 0;  // header and payload of the frame at begin_; 0: not known yet
  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;  // bytes not consumed yet: [begin_, end_)
  std::size_t end_ = 0;
};

}  // namespace iris
