// bench-store-engines: which embedded database should be under net::Store on Linux? The broker's
// workload on RocksDB, SQLite (WAL) and LMDB: groups of small batches that put a message and a
// queue entry and, a thousand messages later, erase both, over 100,000 records that stay.
// docs/decisions/0009 has the figures. Built only where all three libraries are installed.
//   bench-store-engines FOLDER [groups]
#include <lmdb.h>
#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace {

struct Change {
  std::string key, value;
  bool erase = false;
};

void must(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "%s failed\n", what);
  std::exit(1);
}

class Engine {
 public:
  virtual ~Engine() = default;
  virtual void write(const std::vector<Change>& group) = 0;
  virtual size_t scan(const std::string& prefix) = 0;
};

class Rocks : public Engine {
 public:
  Rocks(const std::string& path, bool sync) {
    rocksdb::Options options;
    options.create_if_missing = true;
    options.write_buffer_size = 4 << 20;
    options.max_write_buffer_number = 2;
    options.max_background_jobs = 1;
    options.keep_log_file_num = 1;
    options.info_log_level = rocksdb::ERROR_LEVEL;
    options.compression = rocksdb::kNoCompression;
    rocksdb::BlockBasedTableOptions table;
    table.block_cache = rocksdb::NewLRUCache(1 << 20);
    options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    rocksdb::DB* db = nullptr;
    must(rocksdb::DB::Open(options, path, &db).ok(), "opening RocksDB");
    db_.reset(db);
    how_.sync = sync;
  }
  void write(const std::vector<Change>& group) override {
    batch_.Clear();
    for (const Change& c : group) {
      if (c.erase)
        batch_.Delete(c.key);
      else
        batch_.Put(c.key, c.value);
    }
    must(db_->Write(how_, &batch_).ok(), "writing to RocksDB");
  }
  size_t scan(const std::string& prefix) override {
    size_t count = 0;
    const std::unique_ptr<rocksdb::Iterator> i(db_->NewIterator({}));
    for (i->Seek(prefix); i->Valid() && i->key().starts_with(prefix); i->Next()) ++count;
    return count;
  }

 private:
  std::unique_ptr<rocksdb::DB> db_;
  rocksdb::WriteOptions how_;
  rocksdb::WriteBatch batch_;
};

class Sqlite : public Engine {
 public:
  Sqlite(const std::string& path, bool sync) {
    must(sqlite3_open((path + "/db").c_str(), &db_) == SQLITE_OK, "opening SQLite");
    run("PRAGMA journal_mode=WAL");
    run("PRAGMA locking_mode=EXCLUSIVE");
    run(sync ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=OFF");
    run("PRAGMA cache_size=-2048");
    run("CREATE TABLE IF NOT EXISTS kv(k BLOB PRIMARY KEY, v BLOB) WITHOUT ROWID");
    sqlite3_prepare_v2(db_, "INSERT OR REPLACE INTO kv VALUES(?,?)", -1, &put_, nullptr);
    sqlite3_prepare_v2(db_, "DELETE FROM kv WHERE k=?", -1, &erase_, nullptr);
  }
  ~Sqlite() override {
    sqlite3_finalize(put_);
    sqlite3_finalize(erase_);
    sqlite3_close(db_);
  }
  void write(const std::vector<Change>& group) override {
    run("BEGIN");
    for (const Change& c : group) {
      sqlite3_stmt* s = c.erase ? erase_ : put_;
      sqlite3_bind_blob(s, 1, c.key.data(), static_cast<int>(c.key.size()), SQLITE_STATIC);
      if (!c.erase)
        sqlite3_bind_blob(s, 2, c.value.data(), static_cast<int>(c.value.size()), SQLITE_STATIC);
      must(sqlite3_step(s) == SQLITE_DONE, "writing to SQLite");
      sqlite3_reset(s);
    }
    run("COMMIT");
  }
  size_t scan(const std::string& prefix) override {
    sqlite3_stmt* s = nullptr;
    sqlite3_prepare_v2(db_, "SELECT k,v FROM kv WHERE k>=? AND k<?", -1, &s, nullptr);
    std::string end = prefix;
    ++end.back();
    sqlite3_bind_blob(s, 1, prefix.data(), static_cast<int>(prefix.size()), SQLITE_STATIC);
    sqlite3_bind_blob(s, 2, end.data(), static_cast<int>(end.size()), SQLITE_STATIC);
    size_t count = 0;
    while (sqlite3_step(s) == SQLITE_ROW) ++count;
    sqlite3_finalize(s);
    return count;
  }

 private:
  void run(const char* sql) {
    must(sqlite3_exec(db_, sql, nullptr, nullptr, nullptr) == SQLITE_OK, sql);
  }
  sqlite3* db_ = nullptr;
  sqlite3_stmt *put_ = nullptr, *erase_ = nullptr;
};

class Lmdb : public Engine {
 public:
  Lmdb(const std::string& path, bool sync) {
    mdb_env_create(&env_);
    mdb_env_set_mapsize(env_, size_t{16} << 30);
    must(mdb_env_open(env_, path.c_str(), sync ? 0 : MDB_NOSYNC, 0644) == 0, "opening LMDB");
    MDB_txn* t = nullptr;
    mdb_txn_begin(env_, nullptr, 0, &t);
    mdb_dbi_open(t, nullptr, 0, &dbi_);
    mdb_txn_commit(t);
  }
  ~Lmdb() override { mdb_env_close(env_); }
  void write(const std::vector<Change>& group) override {
    MDB_txn* t = nullptr;
    must(mdb_txn_begin(env_, nullptr, 0, &t) == 0, "beginning in LMDB");
    for (const Change& c : group) {
      MDB_val k{c.key.size(), const_cast<char*>(c.key.data())};
      MDB_val v{c.value.size(), const_cast<char*>(c.value.data())};
      const int error = c.erase ? mdb_del(t, dbi_, &k, nullptr) : mdb_put(t, dbi_, &k, &v, 0);
      must(error == 0 || error == MDB_NOTFOUND, "writing to LMDB");
    }
    must(mdb_txn_commit(t) == 0, "committing to LMDB");
  }
  size_t scan(const std::string& prefix) override {
    MDB_txn* t = nullptr;
    mdb_txn_begin(env_, nullptr, MDB_RDONLY, &t);
    MDB_cursor* cursor = nullptr;
    mdb_cursor_open(t, dbi_, &cursor);
    MDB_val k{prefix.size(), const_cast<char*>(prefix.data())}, v{};
    size_t count = 0;
    for (int e = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
         e == 0 && k.mv_size >= prefix.size() &&
         std::memcmp(k.mv_data, prefix.data(), prefix.size()) == 0;
         e = mdb_cursor_get(cursor, &k, &v, MDB_NEXT))
      ++count;
    mdb_cursor_close(cursor);
    mdb_txn_abort(t);
    return count;
  }

 private:
  MDB_env* env_ = nullptr;
  MDB_dbi dbi_ = 0;
};

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

uint64_t number_in(const char* file, const char* field) {
  std::ifstream in(file);
  std::string word;
  uint64_t value = 0;
  while (in >> word)
    if (word == field && in >> value) return value;
  return 0;
}

uint64_t folder_bytes(const std::string& path) {
  uint64_t sum = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path))
    if (entry.is_regular_file()) sum += entry.file_size();
  return sum;
}

std::string key(char kind, uint64_t n) {
  char text[40];
  std::snprintf(text, sizeof text, "%c/%012llx", kind, static_cast<unsigned long long>(n));
  return text;
}

// Ends by SIGKILL, whatever the engine would have done at its end.
void in_child(const std::function<void()>& work) {
  std::fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    work();
    std::fflush(stdout);
    kill(getpid(), SIGKILL);
  }
  int status = 0;
  waitpid(child, &status, 0);
}

using Make = std::function<std::unique_ptr<Engine>(const std::string&, bool)>;

void measure(const char* name, const Make& make, const std::string& path, bool sync, int batches,
             int groups) {
  std::filesystem::remove_all(path);
  std::filesystem::create_directories(path);
  // A process each: a fork must find no engine's threads in its parent.
  in_child([&] {
    const uint64_t empty = number_in("/proc/self/status", "VmRSS:");
    const auto engine = make(path, sync);
    std::vector<Change> group;
    for (uint64_t i = 0; i < 100'000; ++i) {
      group.push_back({key('r', i * 7919 % 1'000'003), std::string(150, 'r')});
      if (group.size() == 1000) engine->write(group), group.clear();
    }
    std::vector<double> times;
    const uint64_t before = number_in("/proc/self/io", "wchar:");
    const uint64_t cpu = static_cast<uint64_t>(std::clock());
    const double start = seconds();
    uint64_t next = 0;
    for (int g = 0; g < groups; ++g) {
      group.clear();
      for (int b = 0; b < batches; ++b, ++next) {
        group.push_back({key('m', next), std::string(120, 'm')});
        group.push_back({key('q', (next % 50) << 40 | next), std::string(12, 'q')});
        if (next < 1000) continue;
        const uint64_t old = next - 1000;
        group.push_back({key('m', old), {}, true});
        group.push_back({key('q', (old % 50) << 40 | old), {}, true});
      }
      const double t = seconds();
      engine->write(group);
      times.push_back((seconds() - t) * 1e6);
    }
    const double took = seconds() - start;
    const double cpu_us =
        static_cast<double>(static_cast<uint64_t>(std::clock()) - cpu) / groups / batches;
    std::sort(times.begin(), times.end());
    std::printf("%-8s %-5s %5d %10.0f %9.1f %9.1f %9.0f %9.2f %7llu %8.1f %6.1f", name,
                sync ? "sync" : "kill", batches, groups * batches / took, times[times.size() / 2],
                times[times.size() * 99 / 100], times.back(), cpu_us,
                static_cast<unsigned long long>((number_in("/proc/self/io", "wchar:") - before) /
                                                static_cast<uint64_t>(groups * batches)),
                static_cast<double>(number_in("/proc/self/status", "VmRSS:") - empty) / 1024,
                static_cast<double>(folder_bytes(path)) / 1e6);
  });
  in_child([&] {
    const double start = seconds();
    const auto engine = make(path, sync);
    const size_t left = engine->scan("r/") + engine->scan("m/") + engine->scan("q/");
    std::printf(" %7.1f %s\n", (seconds() - start) * 1e3,
                left == 102'000 ? "" : ("LOST: " + std::to_string(left)).c_str());
  });
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return std::fprintf(stderr, "bench-store-engines FOLDER [groups]\n"), 2;
  const int groups = argc > 2 ? std::atoi(argv[2]) : 20'000;
  std::printf("%-8s %-5s %5s %10s %9s %9s %9s %9s %7s %8s %6s %7s\n", "engine", "mode", "group",
              "batches/s", "p50 us", "p99 us", "max us", "cpu us/b", "B/batch", "RSS MB", "MB",
              "open ms");
  const std::string path = std::string(argv[1]) + "/engine";
  for (const bool sync : {false, true})
    for (const int batches : {1, 16, 256})
      for (const auto& [name, make] : std::vector<std::pair<const char*, Make>>{
               {"rocksdb", [](auto&p, bool s) { return std::make_unique<Rocks>(p, s); }},
               {"sqlite", [](auto&p, bool s) { return std::make_unique<Sqlite>(p, s); }},
               {"lmdb", [](auto&p, bool s) { return std::make_unique<Lmdb>(p, s); }}}) {
        const int count = sync ? groups / 20 : groups;
        measure(name, make, path, sync, batches, std::max(batches == 256 ? count / 16 : count, 50));
      }
  std::filesystem::remove_all(path);
}
