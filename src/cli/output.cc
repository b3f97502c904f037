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

}  // namespace

void print(std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size() && first_error == 0) {
    first_error = errno;
  }
}

void print_json(const Json& object) {
  // A name of a source or key is UTF-8; should one not be, better a replaced letter than no line.
  print(object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

bool finish() {
  if (std::fflush(stdout) != 0 && first_error == 0) first_error = errno;
  if (first_error == 0) return true;
  say(std::string("cannot write the output: ") + std::strerror(first_error));
  return false;
}

void say(std::string_view text) {
  std::string line = "iris-cli: ";
  line.append(text).append("\n");
  std::fwrite(line.data(), 1, line.size(), stderr);
}

bool is_terminal() { return ::isatty(STDOUT_FILENO) == 1; }

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
