#include "impl/linux/store_file.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

#include "impl/linux/system.h"

namespace culvert::linux_host {

using net::Error;
using net::Result;
using net::Status;

namespace {

constexpr int kApplication = 0x436c7674;  // "Clvt", SQLite's application_id; ours
constexpr int kFormat = 1;                // user_version; ours
constexpr int kMuchPages = 1000;          // 4 MB of WAL, SQLite's own default for checkpoints
constexpr int kMostPages = 8192;     // 32 MB of WAL; ours: seldom enough not to show in latencies
constexpr int kMostNewPages = 1000;  // which the database itself has yet to grow by; ours
constexpr int kFarTooMany = 1250;    // of those: the loop lets the thread catch up first; ours
constexpr int kLookPages = 250;      // of WAL, before both are judged again; ours
constexpr off_t kReserve = 6 << 20;  // bytes; ours: kFarTooMany, kLookPages and a group more
const char* const kReserveSuffix = "-reserve";

const std::string kFormatPragma = "PRAGMA user_version=" + std::to_string(kFormat);

// Bytes as SQLite takes them; a null pointer would be NULL, not an empty value.
int bind(sqlite3_stmt* statement, int at, const void* data, size_t size) {
  return sqlite3_bind_blob(statement, at, size == 0 ? "" : data, static_cast<int>(size),
                           SQLITE_STATIC);
}

int integer(sqlite3* database, const char* pragma) {
  sqlite3_stmt* statement = nullptr;
  int value = -1;
  if (sqlite3_prepare_v2(database, pragma, -1, &statement, nullptr) == SQLITE_OK &&
      sqlite3_step(statement) == SQLITE_ROW)
    value = sqlite3_column_int(statement, 0);
  sqlite3_finalize(statement);
  return value;
}

}  // namespace

void StoreFile::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
void StoreFile::Close::operator()(sqlite3* database) const { sqlite3_close(database); }

StoreFile::~StoreFile() { give_up_reserve(); }

Result<std::unique_ptr<StoreFile>> StoreFile::open(const std::string& path, bool sync) {
  // Made by us, so that only this user reads it; the WAL takes the same mode. One that exists is
  // not touched: closing any descriptor of a file drops this process's locks on it.
  Fd made(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!made && errno != EEXIST) return status_of(errno, "making the store " + path);
  made.reset();
  struct stat about {};
  if (lstat(path.c_str(), &about) != 0) return status_of(errno, "opening the store " + path);
  if (!S_ISREG(about.st_mode)) return {Error::invalid, path + " is no file"};
  std::unique_ptr<StoreFile> out(new StoreFile);
  out->path_ = path;
  sqlite3* database = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
  const int error = sqlite3_open_v2(path.c_str(), &database, flags, nullptr);
  out->database_.reset(database);
  if (error != SQLITE_OK) return out->problem("opening");
  if (const Status status = out->prepare(sync); !status) return status;
  out->keep_reserve();
  return out;
}

Status StoreFile::problem(const char* doing) const {
  const int code = database_ ? sqlite3_errcode(database_.get()) : SQLITE_NOMEM;
  const std::string sentence = std::string(doing) + " the store " + path_ + ": " +
                               (database_ ? sqlite3_errmsg(database_.get()) : "no memory is left");
  switch (code & 0xff) {
    case SQLITE_FULL:
    case SQLITE_NOMEM:
      return {Error::exhausted, sentence};
    case SQLITE_BUSY:
      return {Error::in_use, "the store " + path_ + " is open already"};
    case SQLITE_NOTADB:
      return {Error::invalid, path_ + " is no store"};
    case SQLITE_PERM:
    case SQLITE_READONLY:
      return {Error::not_permitted, sentence};
    default:
      return {Error::failed, sentence};
  }
}

Status StoreFile::run(const char* sql) {
  if (sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return problem("preparing");
}

Result<StoreFile::Statement> StoreFile::compile(const char* sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v3(database_.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &statement,
                         nullptr) != SQLITE_OK)
    return problem("preparing");
  return Statement(statement);
}

Status StoreFile::prepare(bool sync) {
  // Exclusive: a lock on the file for as long as it is open, and no shared memory beside it.
  for (const char* pragma :
       {"PRAGMA locking_mode=EXCLUSIVE", "PRAGMA journal_mode=WAL", "BEGIN IMMEDIATE; COMMIT",
        "PRAGMA temp_store=MEMORY", "PRAGMA cache_size=-2048", "PRAGMA wal_autocheckpoint=0"})
    if (const Status status = run(pragma); !status) return status;
  // NORMAL flushes at checkpoints only: a loss of power loses the last commits, not the file.
  if (const Status status = run(sync ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
      !status)
    return status;
  const int application = integer(database_.get(), "PRAGMA application_id");
  const int format = integer(database_.get(), "PRAGMA user_version");
  if (application == 0 && format == 0 && integer(database_.get(), "PRAGMA schema_version") == 0) {
    const std::string sql =
        "BEGIN; PRAGMA application_id=" + std::to_string(kApplication) + "; " + kFormatPragma +
        "; CREATE TABLE kv(k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID; COMMIT";
    if (const Status status = run(sql.c_str()); !status) return status;
  } else if (application != kApplication) {
    return {Error::invalid, path_ + " is somebody else's database, no store"};
  } else if (format != kFormat) {
    return {Error::invalid, path_ + " is a store of another version: " + std::to_string(format)};
  }
  const std::pair<Statement*, const char*> statements[] = {
      {&begin_, "BEGIN IMMEDIATE"},
      {&commit_, "COMMIT"},
      {&rollback_, "ROLLBACK"},
      {&put_, "INSERT OR REPLACE INTO kv VALUES(?1, ?2)"},
      {&erase_, "DELETE FROM kv WHERE k = ?1"},
      {&get_, "SELECT v FROM kv WHERE k = ?1"}};
  for (const auto& [statement, sql] : statements) {
    auto compiled = compile(sql);
    if (!compiled) return compiled.status();
    *statement = std::move(*compiled);
  }
  file_pages_ = integer(database_.get(), "PRAGMA page_count");
  sqlite3_wal_hook(
      database_.get(),
      [](void* self, sqlite3*, const char*, int pages) {
        static_cast<StoreFile*>(self)->wal_pages_ = pages;
        return SQLITE_OK;
      },
      this);
  return {};
}

Status StoreFile::apply(const net::StoreBatch::Change& change) {
  sqlite3_stmt* statement = change.erase ? erase_.get() : put_.get();
  bind(statement, 1, change.key.data(), change.key.size());
  if (!change.erase) bind(statement, 2, change.value.data(), change.value.size());
  const bool done = sqlite3_step(statement) == SQLITE_DONE;
  const Status status = done ? Status() : problem("writing");
  sqlite3_reset(statement);
  return status;
}

Status StoreFile::transact(const net::StoreBatch* const* batches, size_t count) {
  const auto step = [this](const Statement& statement) {
    const bool done = sqlite3_step(statement.get()) == SQLITE_DONE;
    const Status status = done ? Status() : problem("writing");
    sqlite3_reset(statement.get());
    return status;
  };
  Status status = step(begin_);
  if (!status) return status;
  for (size_t i = 0; i < count; ++i)
    for (const net::StoreBatch::Change& change : batches[i]->changes)
      if (status = apply(change); !status) {
        // Some errors have rolled back already.
        if (!sqlite3_get_autocommit(database_.get())) step(rollback_);
        return status;
      }
  status = step(commit_);
  if (!status && !sqlite3_get_autocommit(database_.get())) step(rollback_);
  return status;
}

void StoreFile::write(const Batches& batches, std::vector<Status>& outcomes) {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  if (new_pages_ >= kFarTooMany) tidy();  // the loop was faster than whoever tidies
  const Status status = transact(batches.data(), batches.size());
  outcomes.assign(batches.size(), status);
  if (status.error != Error::exhausted) return look_at_wal();
  // Each by itself: a large one must not fail those that need no room.
  move_wal();
  for (size_t i = 0; i < batches.size(); ++i) {
    outcomes[i] = transact(&batches[i], 1);
    if (outcomes[i].error != Error::exhausted || !fits_inside(*batches[i])) continue;
    give_up_reserve();
    outcomes[i] = transact(&batches[i], 1);
    move_wal();
  }
}

bool StoreFile::write_now(const Batches& batches) {
  const std::unique_lock<std::recursive_mutex> lock(mutex_, std::try_to_lock);
  if (!lock || new_pages_ >= kFarTooMany || !transact(batches.data(), batches.size())) return false;
  look_at_wal();
  return true;
}

// A WAL may become long, as its pages are mostly the same few ones again; but what the database
// must grow by has to fit into the reserve.
void StoreFile::look_at_wal() {
  if (wal_pages_ < looked_at_ + kLookPages) return;
  looked_at_ = wal_pages_;
  new_pages_ = integer(database_.get(), "PRAGMA page_count") - file_pages_;
  untidy_ = wal_pages_ >= kMostPages || new_pages_ >= kMostNewPages;
}

bool StoreFile::much() const { return wal_pages_ >= kMuchPages; }

// Whether the database has pages for it that are free: all that is missing then is room for the
// WAL.
bool StoreFile::fits_inside(const net::StoreBatch& batch) {
  int64_t pages = 0;
  for (const net::StoreBatch::Change& change : batch.changes)
    if (!change.erase)
      pages += 2 + static_cast<int64_t>((change.key.size() + change.value.size()) / 4000);
  return pages == 0 || pages <= integer(database_.get(), "PRAGMA freelist_count");
}

// On a full disk: what is in the WAL goes into the database, in the room kept for that, and the WAL
// begins again.
void StoreFile::move_wal() {
  give_up_reserve();
  if (sqlite3_wal_checkpoint_v2(database_.get(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr,
                                nullptr) == SQLITE_OK)
    wal_is_empty();
  keep_reserve();
}

void StoreFile::give_up_reserve() {
  if (!reserve_) return;
  reserve_.reset();
  ::unlink((path_ + kReserveSuffix).c_str());
}

void StoreFile::keep_reserve() {
  if (reserve_) return;
  const std::string path = path_ + kReserveSuffix;
  Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  // Without room for it, this store goes without.
  if (file && posix_fallocate(file.get(), 0, kReserve) == 0)
    reserve_ = std::move(file);
  else
    ::unlink(path.c_str());
}

void StoreFile::tidy() {
  // Most of the WAL goes to the disk while others may write; a checkpoint then has little to wait
  // for. SQLite takes no locks on this file, so that closing a descriptor of it loses none.
  if (const Fd wal(::open((path_ + "-wal").c_str(), O_RDONLY | O_CLOEXEC)); wal)
    ::fdatasync(wal.get());
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  untidy_ = false;
  keep_reserve();
  int pages = 0, moved = -1;
  // If it fails (a full disk), the WAL stays what is true, and the next time tries again.
  if (sqlite3_wal_checkpoint_v2(database_.get(), nullptr, SQLITE_CHECKPOINT_PASSIVE, &pages,
                                &moved) != SQLITE_OK ||
      pages != moved)
    return;
  // The next write begins the WAL anew and flushes its head: this one, in nobody's way.
  run(kFormatPragma.c_str());
  wal_is_empty();
}

void StoreFile::wal_is_empty() {
  looked_at_ = 0;
  new_pages_ = 0;
  file_pages_ = integer(database_.get(), "PRAGMA page_count");
}

Result<net::Buffer> StoreFile::get(const std::string& key) {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  bind(get_.get(), 1, key.data(), key.size());
  Result<net::Buffer> out(Error::not_found, "the store has no such key");
  const int stepped = sqlite3_step(get_.get());
  if (stepped == SQLITE_ROW) {
    const auto* data = static_cast<const uint8_t*>(sqlite3_column_blob(get_.get(), 0));
    out = net::Buffer(data, data + sqlite3_column_bytes(get_.get(), 0));
  } else if (stepped != SQLITE_DONE) {
    out = problem("reading");
  }
  sqlite3_reset(get_.get());
  return out;
}

Status StoreFile::scan(const std::string& prefix,
                       const std::function<void(const std::string&, net::Bytes)>& visit) {
  const std::lock_guard<std::recursive_mutex> lock(mutex_);
  // The first key beyond the prefix; none if it is all 0xff.
  std::string end = prefix;
  while (!end.empty() && static_cast<uint8_t>(end.back()) == 0xff) end.pop_back();
  if (!end.empty()) end.back() = static_cast<char>(end.back() + 1);
  auto statement = compile(end.empty() ? "SELECT k, v FROM kv WHERE k >= ?1 ORDER BY k"
                                       : "SELECT k, v FROM kv WHERE k >= ?1 AND k < ?2 ORDER BY k");
  if (!statement) return statement.status();
  bind(statement->get(), 1, prefix.data(), prefix.size());
  if (!end.empty()) bind(statement->get(), 2, end.data(), end.size());
  std::string key;
  for (;;) {
    const int stepped = sqlite3_step(statement->get());
    if (stepped == SQLITE_DONE) return {};
    if (stepped != SQLITE_ROW) return problem("reading");
    const auto* k = static_cast<const char*>(sqlite3_column_blob(statement->get(), 0));
    key.assign(k ? k : "", static_cast<size_t>(sqlite3_column_bytes(statement->get(), 0)));
    const auto* v = static_cast<const uint8_t*>(sqlite3_column_blob(statement->get(), 1));
    visit(key, {v, static_cast<size_t>(sqlite3_column_bytes(statement->get(), 1))});
  }
}

}  // namespace culvert::linux_host
