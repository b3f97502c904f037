#include "src/cli/output.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "src/base/utf8.h"

namespace iris::cli {
namespace {

int first_error = 0;  // of stdout

// The length of the UTF-8 sequence that begins with this byte. REQUIRES: it is valid.
std::size_t sequence_length(unsigned char first) {
  return first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

// The code point of two or three bytes of UTF-8.
unsigned code_point(std::string_view sequence) {
  unsigned point = static_cast<unsigned char>(sequence[0]) & (sequence.size() == 2 ? 0x1fu : 0x0fu);
  for (const char next : sequence.substr(1)) {
    point = point << 6 | (static_cast<unsigned char>(next) & 0x3fu);
  }
  return point;
}

// Beyond ASCII: C1, line separators, and the marks that turn the direction of writing.
bool steers(unsigned point) {
  return (point >= 0x80 && point <= 0x9f) || point == 0x200e || point == 0x200f ||
         (point >= 0x2028 && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
}

std::string hex_escape(const char* format, unsigned number) {
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), format, number);
  return text.data();
}

std::string escaped_byte(unsigned char byte) {
  switch (byte) {
    case '\n':
      return "\\n";
    case '\t':
      return "\\t";
    case '\r':
      return "\\r";
    default:
      return hex_escape(byte < 0x80 ? "\\u%04x" : "\\x%02x", byte);
  }
}

}  // namespace

void print(std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size() && first_error == 0) {
    first_error = errno;
  }
}

void print_json(const Json& object) {
  // A name of a source or key is UTF-8; should one not be, better a replaced letter than no line.
  // No byte below 0x20 is left in it, and the escapes of the rest are those of JSON.
  print(value_text(object.dump(-1, ' ', false, Json::error_handler_t::replace)) + "\n");
}

bool finish() {
  if (std::fflush(stdout) != 0 && first_error == 0) first_error = errno;
  if (first_error == 0) return true;
  say(std::string("cannot write the output: ") + std::strerror(first_error));
  return false;
}

void say(std::string_view text) {
  std::string line = "iris-cli: ";
  line.append(::isatty(STDERR_FILENO) == 1 ? escaped(text, "\n") : text).append("\n");
  std::fwrite(line.data(), 1, line.size(), stderr);
}

bool is_terminal() {
  static const bool terminal = ::isatty(STDOUT_FILENO) == 1;
  return terminal;
}

std::string escaped(std::string_view text, std::string_view kept) {
  const bool utf8 = client::is_utf8(text);
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const auto byte = static_cast<unsigned char>(text[at]);
    const std::size_t length = utf8 ? sequence_length(byte) : 1;
    const std::string_view sequence = text.substr(at, length);
    at += length;
    if (length == 1) {
      const bool control = byte < 0x20 || byte >= 0x7f;
      const bool keep = kept.find(text[at - 1]) != std::string_view::npos;
      out += control && !keep ? escaped_byte(byte) : std::string(sequence);
    } else if (length < 4 && steers(code_point(sequence))) {
      out += hex_escape("\\u%04x", code_point(sequence));
    } else {
      out += sequence;
    }
  }
  return out;
}

std::string name_text(std::string_view name) {
  if (is_terminal()) return escaped(name, "");
  std::string out;
  out.reserve(name.size());
  for (const char byte : name) {
    if (byte == '\n') {
      out += "\\n";
    } else {
      out += byte;
    }
  }
  return out;
}

std::string value_text(std::string_view value, std::string_view kept) {
  return is_terminal() ? escaped(value, kept) : std::string(value);
}

std::string base64(std::string_view bytes) {
  static constexpr char letters[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      group = group << 8 | (j < count ? static_cast<unsigned char>(bytes[i + j]) : 0u);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      text.push_back(j <= count ? letters[group >> (18 - 6 * j) & 63] : '=');
    }
  }
  return text;
}

void add_value(Json& object, std::string_view bytes) {
  if (client::is_utf8(bytes)) {
    object["value"] = bytes;
  } else {
    object["value"] = base64(bytes);
    object["encoding"] = "base64";
  }
}

std::string size_text(std::uint64_t bytes) {
  static constexpr std::array<const char*, 5> units = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < units.size()) {
    value /= 1024;
    ++unit;
  }
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), unit == 0 || value >= 100 ? "%.0f %s" : "%.1f %s", value,
                units[unit]);
  return text.data();
}

}  // namespace iris::cli
