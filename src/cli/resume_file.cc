#include "src/cli/resume_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "src/base/read_file.h"
#include "src/base/sync_folder.h"
#include "src/cli/output.h"

namespace iris::cli {
namespace {

client::Error bad(std::string text) { return {client::Code::invalid_argument, std::move(text)}; }

std::string topic_text(const client::Topic& topic) {
  return topic.source + (topic.key ? " " + *topic.key : "");
}

bool write_all(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(file, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

}  // namespace

ResumeFile::ResumeFile(std::string path, client::Topic topic)
    : path_(std::move(path)), topic_(std::move(topic)) {}

client::Result<std::optional<client::Position>> ResumeFile::read() const {
  const auto text = iris::read_file(path_);
  if (!text) {
    if (errno == ENOENT) return std::optional<client::Position>();
    return bad("cannot read " + path_ + ": " + std::strerror(errno));
  }
  const Json object = Json::parse(*text, nullptr, false);
  const auto has = [&](const char* name, auto check) {
    return object.is_object() && object.contains(name) && check(object[name]);
  };
  const auto is_text = [](const Json& value) { return value.is_string(); };
  const auto is_name = [](const Json& value) { return value.is_string() || value.is_null(); };
  const auto is_number = [](const Json& value) { return value.is_number_unsigned(); };
  if (!has("source", is_text) || !has("key", is_name) || !has("revision", is_number) ||
      !has("revision_key", is_text)) {
    return bad(path_ + " is damaged, or no file of watch -resume: remove it to begin anew");
  }
  client::Topic topic{object["source"].get<std::string>(), std::nullopt};
  if (object["key"].is_string()) topic.key = object["key"].get<std::string>();
  if (topic.source != topic_.source || topic.key != topic_.key) {
    return bad(path_ + " belongs to a watch of " + topic_text(topic) + ", not of " +
               topic_text(topic_));
  }
  client::Position position{object["revision"].get<std::uint64_t>(),
                            object["revision_key"].get<std::string>()};
  // A file of a former build has none.
  if (has("revision_source", is_text))
    position.source = object["revision_source"].get<std::string>();
  return std::optional(std::move(position));
}

std::optional<client::Error> ResumeFile::write(const client::Position& position) const {
  Json object;
  object["source"] = topic_.source;
  object["key"] = topic_.key ? Json(*topic_.key) : Json();
  object["revision"] = position.revision;
  object["revision_source"] = position.source;
  object["revision_key"] = position.key;
  const std::string fresh = path_ + ".new";
  const int file = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  bool good = file >= 0;
  if (good) {
    good = write_all(file, object.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n") &&
           ::fsync(file) == 0;
    good = ::close(file) == 0 && good;
  }
  good = good && std::rename(fresh.c_str(), path_.c_str()) == 0 && client::sync_folder_of(path_);
  if (good) return std::nullopt;
  return bad("cannot write " + path_ + ": " + std::strerror(errno));
}

}  // namespace iris::cli
