// Folder: the raft folder itself: which process uses it, which node it belongs to, and the format
// it is written in. Knows nothing of what is in the databases.
// Any thread; blocks; used before the loop runs, but for raise_level() on the log lane and
// condemn() on the bulk lane. Owns the lock of the folder while it lives.
//
//   lock          flock of the process that uses the folder; its pid as text, for the error message
//   identity      format, node id and, from format 2 on, the feature level, as text with a
//                 checksum; renamed to this name last of all
//   identity.new  the same, while the folder is being made: files beside it are worthless
//   log/ data/    the two databases        log.mark   see high_water_mark.h
//   staging/      a snapshot that is being received; deleted at each start
//   condemned     why the folder may never be used again, one sentence (Store::condemn)
#pragma once

#include <cstdint>
#include <string>

#include "raft/result.h"
#include "raft/types.h"
#include "store/files.h"

namespace iris::store {

// The format of everything in the folder. A later one is refused (hazard 105). Format 1 is that of
// a folder at level 0, so that builds from before levels refuse a folder at a higher level.
inline constexpr std::uint32_t folder_format = 2;
inline constexpr raft::Level any_level{UINT64_MAX};

class Folder {
 public:
  // Makes the folder if there is none, takes the lock, reads the identity. Errc::busy names the
  // process that uses the folder, Errc::unimplemented the newer format or the level above
  // `level_max`, Errc::corrupt what is damaged or missing, Errc::refused why the folder is
  // condemned or that it is of an Iris of 2017; else Errc::io. `first_self`: the node id of a new
  // folder; 0: random.
  static Result<Folder> open(const std::string& path, raft::NodeId first_self = {},
                             raft::Level level_max = any_level);

  // The databases are still to be made. Without a complete() after that, the next open() begins
  // anew.
  [[nodiscard]] bool is_new() const { return is_new_; }
  [[nodiscard]] raft::NodeId self() const { return self_; }
  // Makes the folder valid, durably. REQUIRES: is_new(), and the databases are made and synced.
  Status complete();
  // From now on open() answers Errc::refused with a sentence that repeats `why`. Durable at return.
  Status condemn(const std::string& why);
  // Durable at return. Does nothing where the folder has the level already.
  Status raise_level(raft::Level level);

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string log_path() const { return path_ + "/log"; }
  [[nodiscard]] std::string data_path() const { return path_ + "/data"; }
  [[nodiscard]] std::string staging_path() const { return path_ + "/staging"; }
  [[nodiscard]] std::string mark_path() const { return path_ + "/log.mark"; }

 private:
  explicit Folder(std::string path) : path_(std::move(path)) {}
  Status lock();
  Status read_identity(raft::Level level_max);
  Status begin(raft::NodeId first_self);
  Status check_condemned() const;
  [[nodiscard]] std::string identity_path() const { return path_ + "/identity"; }
  [[nodiscard]] std::string condemned_path() const { return path_ + "/condemned"; }
  [[nodiscard]] std::string unfinished_path() const { return path_ + "/identity.new"; }

  std::string path_;
  Descriptor lock_;
  raft::NodeId self_;
  raft::Level level_;  // that a build must know to open it: no record of a higher one is in it
  bool is_new_ = false;
};

// Never 0. Errc::io: the system has no entropy.
Result<std::uint64_t> random_id();

}  // namespace iris::store
