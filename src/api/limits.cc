#include "src/api/limits.h"

namespace iris {

Status check_optional_name(const Limits& limits, std::string_view field, std::string_view name) {
  if (name.size() <= limits.name_bytes_max) return Unit{};
  return fail(Errc::invalid_argument, std::string(field) + " is " + std::to_string(name.size()) +
                                          " bytes long; the limit is " +
                                          std::to_string(limits.name_bytes_max) +
                                          " (server flag -max-name-bytes)");
}

Status check_name(const Limits& limits, std::string_view field, std::string_view name) {
  if (name.empty()) {
    return fail(Errc::invalid_argument, "you must provide a " + std::string(field) +
                                            ": the field \"" + std::string(field) + "\" is empty");
  }
  return check_optional_name(limits, field, name);
}

Status check_value(const Limits& limits, std::string_view source, std::string_view key,
                   std::string_view value) {
  if (value.size() > limits.value_bytes_max) {
    return fail(Errc::invalid_argument,
                "value is " + std::to_string(value.size()) + " bytes long; the limit is " +
                    std::to_string(limits.value_bytes_max) + " (server flag -max-value-bytes)");
  }
  const std::uint64_t update = source.size() + key.size() + value.size() + update_overhead_bytes;
  if (update > limits.message_bytes_max()) {
    return fail(Errc::invalid_argument, "source, key and value make a message of " +
                                            std::to_string(update) + " bytes; the limit is " +
                                            std::to_string(limits.message_bytes_max()) +
                                            " (server flag -max-value-bytes)");
  }
  return Unit{};
}

}  // namespace iris
