// TestDisk: a file system between RocksDB and the real one. It can refuse an operation, and it
// records what was synced, so that a power cut can be tried.
// Any thread. Only contents of files can be lost: a file that was made stays, as if its folder had
// been synced.
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
  // The next such operation on a path that contains `part` fails. All later ones succeed, as on a
  // real disk, where a second fsync does not report what the first one has lost.
  void refuse_once(Refusal what, const std::string& part);
  [[nodiscard]] bool refused() const;
  // All writes and syncs so far of paths that contain `part`.
  [[nodiscard]] std::uint64_t operations(const std::string& part) const;

  // Makes `to` what a power cut at this moment leaves of `from`: of each file the synced bytes, and
  // a random part of the bytes written after them. Writes wait meanwhile.
  void power_cut(const std::string& from, const std::string& to, std::mt19937& random) const;

 private:
  class Files;
  std::shared_ptr<Files> files_;
  std::unique_ptr<rocksdb::Env> env_;
};

}  // namespace iris::store::test
