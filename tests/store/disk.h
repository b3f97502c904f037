// A disk between RocksDB and the real file system: it can refuse, and it knows what was synced, so
// that a power cut can be tried. Any thread. Models file contents, not folders: a file that was
// made is there.
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <string>

namespace rocksdb {
class Env;
}

namespace iris::store::test {

class TestDisk {
 public:
  enum class Refusal { write, sync };

  TestDisk();
  ~TestDisk();
  TestDisk(const TestDisk&) = delete;
  TestDisk& operator=(const TestDisk&) = delete;

  [[nodiscard]] rocksdb::Env* env() const;
  // From now on this fails once for a path that contains `part`; everything after it succeeds, as
  // on a real disk, where the second fsync says nothing of what the first one lost.
  void refuse_once(Refusal what, const std::string& part);
  [[nodiscard]] bool refused() const;
  // Writes and syncs of paths that contain `part`, ever.
  [[nodiscard]] std::uint64_t operations(const std::string& part) const;

  // Makes `to` what a power cut at this moment leaves of `from`: of each file what was synced, and
  // by chance some of what was written behind it. Nothing is written meanwhile.
  void power_cut(const std::string& from, const std::string& to, std::mt19937& random) const;

 private:
  class Files;
  std::shared_ptr<Files> files_;
  std::unique_ptr<rocksdb::Env> env_;
};

}  // namespace iris::store::test
