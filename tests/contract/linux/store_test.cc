// Stores where only Linux can be unkind: kill -9, a full disk, a failing one, other processes'
// files, and the flush that a loss of power needs.
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>

#include "impl/linux/host.h"
#include "impl/linux/store_file.h"
#include "model/net/random.h"

namespace {
std::atomic<int> g_flushes{0};
}
// SQLite's flushes come here first.
extern "C" int fdatasync(int fd) {
  ++g_flushes;
  return static_cast<int>(syscall(SYS_fdatasync, fd));
}
extern "C" int fsync(int fd) {
  ++g_flushes;
  return static_cast<int>(syscall(SYS_fsync, fd));
}

namespace culvert::linux_host {
namespace {

using net::Error;
using net::Status;
using net::Store;
using net::StoreBatch;
using net::operator""s;
using std::chrono_literals::operator""ms;

StoreBatch put(const std::string& key, const std::string& value) {
  StoreBatch batch;
  batch.changes.push_back({key, false, net::Buffer(value.begin(), value.end())});
  return batch;
}
StoreBatch erase(const std::string& key) {
  StoreBatch batch;
  batch.changes.push_back({key, true, {}});
  return batch;
}

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/culvert-store-XXXXXX";
    path = mkdtemp(name);
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::string path;
};

// A Host with a loop of its own, and a store on it.
struct Machine {
  explicit Machine(const std::string& folder, bool sync = false) {
    HostOptions options;
    options.data_folder = folder;
    options.sync_stores = sync;
    host = std::make_unique<LinuxHost>(loop, options);
  }
  net::Result<std::unique_ptr<Store>> open() { return host->open_store("box"); }
  Status keep(Store& store, StoreBatch batch) {
    Status status(Error::timed_out, "never told");
    bool told = false;
    store.commit(std::move(batch), [&](Status s) {
      status = std::move(s);
      told = true;
    });
    loop.run_until([&] { return told; }, Loop::monotonic() + 60s);
    return status;
  }
  Loop loop;
  std::unique_ptr<LinuxHost> host;
};

// Runs in a process of its own; its expectations count here. False: it was killed.
bool in_child(const std::function<void()>& body, pid_t* child = nullptr) {
  const pid_t pid = fork();
  if (pid == 0) {
    body();
    _exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  if (child) {
    *child = pid;
    return true;
  }
  int status = 0;
  waitpid(pid, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  return WIFEXITED(status);
}

TEST(LinuxStore, what_was_told_durable_survives_kill_9_and_no_batch_is_half_there) {
  const Folder folder;
  net::Random random(7);
  uint64_t first = 0;
  for (int round = 0; round < 15; ++round) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    pid_t child = 0;
    in_child(
        [&] {
          Machine machine(folder.path);
          const auto store = machine.open();
          if (!store) _exit(2);
          // Always some dozens under way; each batch writes two keys and erases an old pair.
          uint64_t next = first, durable = first;
          const std::function<void()> more = [&] {
            while (next < durable + 40) {
              const std::string n = std::to_string(next);
              StoreBatch batch = put("a/" + n, n);
              batch.changes.push_back({"b/" + n, false, net::Buffer(300, 'b')});
              if (next >= 500) {
                const std::string old = std::to_string(next - 500);
                batch.changes.push_back({"a/" + old, true, {}});
                batch.changes.push_back({"b/" + old, true, {}});
              }
              ++next;
              (*store)->commit(std::move(batch), [&](const Status& status) {
                if (!status || write(ends[1], &durable, sizeof durable) < 0) _exit(3);
                ++durable;
                if (durable % 10 == 0) more();
              });
            }
          };
          more();
          machine.loop.run();
        },
        &child);
    close(ends[1]);
    // Killed at some point after some reports, with more under way.
    uint64_t last = first, reports = 1 + random.next() % 2000;
    for (uint64_t n; reports > 0 && read(ends[0], &n, sizeof n) == sizeof n; --reports) last = n;
    kill(child, SIGKILL);
    for (uint64_t n; read(ends[0], &n, sizeof n) == sizeof n;) last = n;
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself: " << WEXITSTATUS(status);
    Machine machine(folder.path);
    const auto store = machine.open();
    ASSERT_TRUE(store) << store.status().to_string();
    uint64_t end = 0, count = 0;
    (*store)->scan("a/", [&](const std::string& key, net::Bytes) {
      const std::string n = key.substr(2);
      end = std::max<uint64_t>(end, std::stoull(n) + 1);
      ++count;
      EXPECT_TRUE((*store)->get("b/" + n)) << n;
    });
    size_t others = 0;
    (*store)->scan("b/", [&](const std::string&, net::Bytes) { ++others; });
    EXPECT_EQ(others, count);
    EXPECT_GT(end, last) << "a durable batch is missing";
    EXPECT_EQ(count, std::min<uint64_t>(end, 500)) << "a hole, or an erased key is back";
    first = end;
  }
  EXPECT_GT(first, 1000u);
}

TEST(LinuxStore, a_full_disk_refuses_a_batch_keeps_the_rest_and_works_again_with_room) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to mount a small file system";
  const Folder folder;
  in_child([&] {
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    ASSERT_EQ(mount("tmpfs", folder.path.c_str(), "tmpfs", 0, "size=16m"), 0);
    Machine machine(folder.path);
    auto store = machine.open();
    ASSERT_TRUE(store) << store.status().to_string();
    const std::string block(50'000, 'x');
    int kept = 0;
    Status status;
    while (kept < 500) {
      StoreBatch batch = put("block/" + std::to_string(kept), block);
      batch.changes.push_back({"mark/" + std::to_string(kept), false, {}});
      status = machine.keep(**store, std::move(batch));
      if (!status) break;
      ++kept;
    }
    EXPECT_EQ(status.error, Error::exhausted) << status.to_string();
    EXPECT_GT(kept, 10);
    const std::string refused = std::to_string(kept);
    EXPECT_FALSE((*store)->get("block/" + refused));
    EXPECT_FALSE((*store)->get("mark/" + refused));
    for (int i = 0; i < kept; ++i) EXPECT_TRUE((*store)->get("block/" + std::to_string(i))) << i;
    // Erasing works without any new room, and makes some.
    for (int i = 0; i < kept; i += 2)
      EXPECT_TRUE(machine.keep(**store, erase("block/" + std::to_string(i)))) << i;
    EXPECT_TRUE(machine.keep(**store, put("block/" + refused, block)));
    // What a stranger's file took and gave back is used again.
    const std::string stranger = folder.path + "/stranger";
    std::ofstream(stranger) << std::string(20 << 20, 's');
    int more = 0;
    while (more < 500 &&
           (status = machine.keep(**store, put("more/" + std::to_string(more), block))))
      ++more;
    EXPECT_EQ(status.error, Error::exhausted);
    unlink(stranger.c_str());
    EXPECT_TRUE(machine.keep(**store, put("more/" + std::to_string(more), block)));
    store->reset();
    store = machine.open();
    ASSERT_TRUE(store) << store.status().to_string();
    EXPECT_TRUE((*store)->get("more/" + std::to_string(more)));
    EXPECT_TRUE((*store)->get("block/1"));
    EXPECT_FALSE((*store)->get("block/0"));
  });
}

// Whatever the loop writes, what the database must yet grow by stays below what is kept in reserve.
TEST(LinuxStore, a_loop_faster_than_the_thread_cannot_outgrow_the_reserve) {
  const Folder folder;
  auto file = StoreFile::open(folder.path + "/box.db", false);
  ASSERT_TRUE(file) << file.status().to_string();
  const auto block = [](int i) {
    return put("block/" + std::to_string(i), std::string(50'000, 'x'));
  };
  constexpr int kAll = 1000;
  int i = 0;
  for (int round = 0; round < 3; ++round) {
    const int first = i;
    for (; i < kAll; ++i) {  // nobody tidies
      const StoreBatch batch = block(i);
      if (!(*file)->write_now({&batch})) break;
    }
    EXPECT_GT(i - first, 4'000'000 / 50'000) << "round " << round;
    EXPECT_LT(i - first, 6'291'456 / 50'000) << "round " << round;
    const StoreBatch batch = block(i++);
    std::vector<Status> outcomes;
    (*file)->write({&batch}, outcomes);
    ASSERT_EQ(outcomes.size(), 1u);
    EXPECT_TRUE(outcomes[0]) << outcomes[0].to_string();
  }
  for (int j = 0; j < i; ++j) EXPECT_TRUE((*file)->get("block/" + std::to_string(j))) << j;
}

TEST(LinuxStore, a_disk_that_fails_to_write_is_told_and_later_commits_work) {
  const Folder folder;
  in_child([&] {
    signal(SIGXFSZ, SIG_IGN);  // writes beyond the limit then fail with EFBIG
    Machine machine(folder.path);
    const auto store = machine.open();
    ASSERT_TRUE(store) << store.status().to_string();
    ASSERT_TRUE(machine.keep(**store, put("before", "1")));
    rlimit limit{};
    getrlimit(RLIMIT_FSIZE, &limit);
    const rlim_t whole = limit.rlim_cur;
    limit.rlim_cur = 64 * 1024;
    setrlimit(RLIMIT_FSIZE, &limit);
    const Status status = machine.keep(**store, put("during", std::string(200'000, 'd')));
    EXPECT_FALSE(status);
    EXPECT_NE(status.error, Error::timed_out);
    EXPECT_NE(status.detail.find("box.db"), std::string::npos) << status.to_string();
    EXPECT_FALSE((*store)->get("during"));
    EXPECT_TRUE((*store)->get("before"));
    limit.rlim_cur = whole;
    setrlimit(RLIMIT_FSIZE, &limit);
    EXPECT_TRUE(machine.keep(**store, put("after", std::string(200'000, 'a'))));
    EXPECT_TRUE((*store)->get("after"));
  });
}

TEST(LinuxStore, flushes_every_group_only_when_a_loss_of_power_must_be_survived) {
  const auto flushes = [](bool sync) {
    const Folder folder;
    Machine machine(folder.path, sync);
    const auto store = machine.open();
    EXPECT_TRUE(store) << store.status().to_string();
    const int before = g_flushes;
    for (int i = 0; i < 20; ++i)
      EXPECT_TRUE(machine.keep(**store, put(std::to_string(i), "value")));
    return g_flushes - before;
  };
  EXPECT_EQ(flushes(false), 0);
  EXPECT_GE(flushes(true), 20);
}

// The same few pages again and again: the WAL may grow, but not for ever, and what it holds is
// moved when nobody writes.
TEST(LinuxStore, a_long_wal_is_bounded_and_a_quiet_one_is_moved) {
  const Folder folder;
  Machine machine(folder.path);
  const auto store = machine.open();
  ASSERT_TRUE(store) << store.status().to_string();
  const auto size = [&](const char* name) {
    return std::filesystem::file_size(folder.path + name);
  };
  const std::string value(200, 'v');
  for (int i = 0; i < 3000; ++i)
    ASSERT_TRUE(machine.keep(**store, put(std::to_string(i % 50), value)));
  EXPECT_GT(size("/box.db-wal"), 4u << 20) << "checkpoints have come between the writes";
  const int before = g_flushes;
  const auto deadline = Loop::monotonic() + 60s;
  while (g_flushes < before + 3 && Loop::monotonic() < deadline)
    machine.loop.run_until([] { return false; }, Loop::monotonic() + 20ms);
  EXPECT_GE(g_flushes, before + 3) << "the WAL was not moved";
  EXPECT_GT(size("/box.db"), 8000u);
  for (int i = 0; i < 12000; ++i)
    ASSERT_TRUE(machine.keep(**store, put(std::to_string(i % 50), value)));
  EXPECT_LT(size("/box.db-wal"), 48u << 20);
  EXPECT_EQ(*(*store)->get("7"), net::Buffer(200, 'v'));
}

TEST(LinuxStore, another_process_has_it_until_it_dies) {
  const Folder folder;
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  pid_t child = 0;
  in_child(
      [&] {
        Machine machine(folder.path);
        const auto store = machine.open();
        if (!store || write(ends[1], "o", 1) != 1) _exit(2);
        for (;;) pause();
      },
      &child);
  char opened = 0;
  ASSERT_EQ(read(ends[0], &opened, 1), 1);
  Machine machine(folder.path);
  EXPECT_EQ(machine.open().error(), Error::in_use);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  const auto store = machine.open();
  EXPECT_TRUE(store) << store.status().to_string();
  close(ends[0]), close(ends[1]);
}

TEST(LinuxStore, files_that_are_no_store_are_refused_and_left_alone) {
  const Folder folder;
  const std::string path = folder.path + "/box.db";
  const std::string prose(5000, 'p');
  std::ofstream(path) << prose;
  Machine machine(folder.path);
  EXPECT_EQ(machine.open().error(), Error::invalid);
  std::ifstream in(path);
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), prose);
  unlink(path.c_str());

  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &database), SQLITE_OK);
  sqlite3_exec(database, "CREATE TABLE theirs(x)", nullptr, nullptr, nullptr);
  sqlite3_close(database);
  EXPECT_EQ(machine.open().error(), Error::invalid);
  unlink(path.c_str());

  ASSERT_EQ(symlink("/etc/hostname", path.c_str()), 0);
  EXPECT_FALSE(machine.open());
  unlink(path.c_str());
  ASSERT_EQ(mkdir(path.c_str(), 0700), 0);
  EXPECT_FALSE(machine.open());
}

TEST(LinuxStore, a_damaged_file_is_told_and_not_read_as_a_shorter_one) {
  const Folder folder;
  {
    Machine machine(folder.path);
    auto store = machine.open();
    ASSERT_TRUE(store) << store.status().to_string();
    for (int i = 0; i < 600; ++i)
      ASSERT_TRUE(
          machine.keep(**store, put("k" + std::to_string(1000 + i), std::string(500, 'v'))));
  }
  const std::string path = folder.path + "/box.db";
  const auto size = std::filesystem::file_size(path);
  ASSERT_GT(size, 200'000u);
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(size / 2 / 4096 * 4096));
    file << std::string(3 * 4096, '\xff');
  }
  Machine machine(folder.path);
  auto store = machine.open();
  ASSERT_TRUE(store) << store.status().to_string();
  size_t seen = 0;
  const Status status = (*store)->scan("k", [&](const std::string&, net::Bytes) { ++seen; });
  EXPECT_EQ(status.error, Error::failed) << status.to_string();
  EXPECT_LT(seen, 600u);
}

TEST(LinuxStore, is_for_its_owner_only_and_needs_a_folder) {
  const Folder folder;
  {
    Machine machine(folder.path + "/new");
    const auto store = machine.open();
    ASSERT_TRUE(store) << store.status().to_string();
    ASSERT_TRUE(machine.keep(**store, put("k", "v")));
    for (const char* name : {"/new/box.db", "/new/box.db-wal"}) {
      struct stat about {};
      ASSERT_EQ(stat((folder.path + name).c_str(), &about), 0) << name;
      EXPECT_EQ(about.st_mode & 077, 0u) << name;
    }
  }
  Machine without("");
  EXPECT_EQ(without.open().error(), Error::not_found);
  Machine deep(folder.path + "/no/such");
  EXPECT_FALSE(deep.open());
}

}  // namespace
}  // namespace culvert::linux_host
