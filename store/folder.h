// Folder: the raft folder itself: who uses it, whose it is, in which format it is written.
// Any thread; blocking; used before the loop runs. Owns the lock for as long as it lives.
// Never looks into the databases; a folder counts as made only once complete() has returned.
//
//   lock          flock of the process that uses the folder; its pid as text, for the message
//   identity      format version and node id, as text with a checksum; written once, last of all
//   identity.new  the same while the folder is being made: what lies beside it is rubbish
//   log/ data/    the two databases        log.mark   see high_water_mark.h
//   staging/      a snapshot that is being received; deleted at every start
#pragma once

#include <cstdint>
#include <string>

#include "raft/result.h"
#include "raft/types.h"
#include "store/files.h"

namespace iris::store {

// Of everything under the raft folder. A folder of a later version is refused (hazard 105).
inline constexpr std::uint32_t folder_format = 1;

class Folder {
 public:
  // Makes the folder where there is none; takes the lock; reads whose it is. Errc::busy names the
  // process that has it, Errc::refused the newer format, Errc::corrupt what is damaged or missing.
  // `first_self` is what a new folder's node is called; 0: random.
  static Result<Folder> open(const std::string& path, raft::NodeId first_self = {});

  // No database has been made in it yet: make them, then complete().
  [[nodiscard]] bool is_new() const { return is_new_; }
  [[nodiscard]] raft::NodeId self() const { return self_; }
  Status complete();

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string log_path() const { return path_ + "/log"; }
  [[nodiscard]] std::string data_path() const { return path_ + "/data"; }
  [[nodiscard]] std::string staging_path() const { return path_ + "/staging"; }
  [[nodiscard]] std::string mark_path() const { return path_ + "/log.mark"; }

 private:
  explicit Folder(std::string path) : path_(std::move(path)) {}
  Status lock();
  Status read_identity();
  Status begin(raft::NodeId first_self);
  [[nodiscard]] std::string identity_path() const { return path_ + "/identity"; }
  [[nodiscard]] std::string unfinished_path() const { return path_ + "/identity.new"; }

  std::string path_;
  Descriptor lock_;
  raft::NodeId self_;
  bool is_new_ = false;
};

// Never 0. Errc::io where the system has no entropy.
Result<std::uint64_t> random_id();

}  // namespace iris::store
