// The database file under a store: SQLite, one connection, one table of keys and values. Safe from
// two threads. Stands on libsqlite3.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "impl/linux/system.h"
#include "model/net/store.h"

struct sqlite3;
struct sqlite3_stmt;

namespace culvert::linux_host {

class StoreFile {
 public:
  static net::Result<std::unique_ptr<StoreFile>> open(const std::string& path, bool sync);
  ~StoreFile();

  // Each batch all or nothing, and all in one transaction unless the disk is full. `outcomes` gets
  // a Status for each.
  using Batches = std::vector<const net::StoreBatch*>;
  void write(const Batches& batches, std::vector<net::Status>& outcomes);
  // The same in one transaction, if that needs no waiting: nobody else has the file, and the disk
  // takes it, and the WAL is not far behind with being tidied. False: nothing was written.
  bool write_now(const Batches& batches);
  // Moves what has gathered in the WAL into the database and flushes both: milliseconds, in which
  // nobody writes. Urgent if untidy(); worth a quiet moment if much().
  void tidy();
  bool untidy() const { return untidy_; }
  bool much() const;
  net::Result<net::Buffer> get(const std::string& key);
  net::Status scan(const std::string& prefix,
                   const std::function<void(const std::string&, net::Bytes)>& visit);

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  struct Close {
    void operator()(sqlite3* database) const;
  };
  using Statement = std::unique_ptr<sqlite3_stmt, Finalize>;

  StoreFile() = default;
  net::Status prepare(bool sync);
  net::Status run(const char* sql);
  net::Result<Statement> compile(const char* sql);
  net::Status apply(const net::StoreBatch::Change& change);
  net::Status transact(const net::StoreBatch* const* batches, size_t count);
  bool fits_inside(const net::StoreBatch& batch);
  void look_at_wal();
  void move_wal();
  void wal_is_empty();
  void give_up_reserve();
  void keep_reserve();
  net::Status problem(const char* doing) const;

  std::string path_;
  std::recursive_mutex mutex_;  // whoever scans may get
  std::unique_ptr<sqlite3, Close> database_;
  Statement begin_, commit_, rollback_, put_, erase_, get_;
  std::atomic<int> wal_pages_{0};
  std::atomic<bool> untidy_{false};
  int looked_at_ = 0;   // wal_pages_ when that was last judged
  int file_pages_ = 0;  // of the database after the last checkpoint
  int new_pages_ = 0;   // by which the WAL will make it grow, when that was last judged
  Fd reserve_;          // room on the disk that is given up when there is no other
};

}  // namespace culvert::linux_host
