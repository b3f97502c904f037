// The file of `watch -resume`: how far a watch got, so that the next one goes on there. One JSON
// object; replaced as a whole, so that it is the old one or the new one. It is written after a
// change was dealt with, never before: a change may be seen again after a crash, none is passed
// over. One thread. Owns nothing but the path.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "src/client/client.h"

namespace iris::cli {

class ResumeFile {
 public:
  ResumeFile(std::string path, client::Topic topic);

  // Where to go on; revision 0: amid a state. nullopt: there is no such file yet.
  // Code::invalid_argument: it cannot be read, is damaged, or belongs to a watch of something else.
  [[nodiscard]] client::Result<std::optional<client::Position>> read() const;
  // Durable when it returns. An error says which file and why.
  [[nodiscard]] std::optional<client::Error> write(const client::Position& position) const;

 private:
  std::string path_;
  client::Topic topic_;
};

}  // namespace iris::cli
