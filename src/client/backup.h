// BackupFile: a backup on its way into a file: written beside it, checked against the hash it ends
// with, synced, and only then given its name. One thread. Owns the unfinished file and removes it
// where it fails.
#pragma once

#include <openssl/evp.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace iris::client {

class BackupFile {
 public:
  explicit BackupFile(std::string path);
  ~BackupFile();
  BackupFile(const BackupFile&) = delete;
  BackupFile& operator=(const BackupFile&) = delete;

  // Begins, or begins again from nothing. Each returns false where the disk refused: see error().
  [[nodiscard]] bool begin();
  [[nodiscard]] bool add(std::string_view bytes);
  // `sha256`: what the node says, in hex. Also false where the bytes are not what was sent.
  [[nodiscard]] bool finish(const std::string& sha256);

  [[nodiscard]] const std::string& error() const { return error_; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  bool fail(const std::string& what);
  [[nodiscard]] bool lock() const;
  bool write(std::string_view bytes);
  [[nodiscard]] std::string part() const { return path_ + ".part"; }

  std::string path_;
  int file_ = -1;
  std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> hash_;
  std::string tail_;  // the last bytes so far: at the end they are the hash of those before them
  std::uint64_t bytes_ = 0;
  std::string error_;
};

}  // namespace iris::client
