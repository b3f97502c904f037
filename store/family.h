// Family: the data from one installed snapshot to the next: a column family of RocksDB that holds
// all tables. An install makes a new family and drops the old one, which stays readable while a
// reader owns it.
// Any thread; shared by std::shared_ptr. Owns the handle. The last owner gives it to `retire`
// (DataDb), as releasing the handle of a dropped family deletes its files, which may block.
#pragma once

#include <cstdint>
#include <functional>
#include <utility>

#include "store/applied_marks.h"

namespace rocksdb {
class ColumnFamilyHandle;
class DB;
}  // namespace rocksdb

namespace iris::store {

class Family {
 public:
  using Retire = std::function<void(rocksdb::ColumnFamilyHandle*)>;
  Family(std::uint64_t number, rocksdb::DB* db, rocksdb::ColumnFamilyHandle* handle, Retire retire)
      : number_(number), db_(db), handle_(handle), retire_(std::move(retire)) {}
  ~Family() { retire_(handle_); }
  Family(const Family&) = delete;
  Family& operator=(const Family&) = delete;

  [[nodiscard]] std::uint64_t number() const { return number_; }
  [[nodiscard]] rocksdb::DB& db() const { return *db_; }
  [[nodiscard]] rocksdb::ColumnFamilyHandle* handle() const { return handle_; }
  [[nodiscard]] AppliedMarks& marks() { return marks_; }

 private:
  const std::uint64_t number_;
  rocksdb::DB* const db_;
  rocksdb::ColumnFamilyHandle* const handle_;
  const Retire retire_;
  AppliedMarks marks_;
};

}  // namespace iris::store
