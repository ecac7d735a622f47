// A store on Linux: one SQLite database in WAL mode a name, a group of batches a transaction
// (docs/decisions/0009). A small group is written on the loop, in some 20 us, anything longer by a
// thread of its own. What is told durable survives kill -9; with `sync` a loss of power too, for
// one fdatasync a group.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "impl/linux/store_file.h"
#include "model/net/host.h"

namespace culvert::linux_host {

class StoreImpl final : public net::Store {
 public:
  // The file is FOLDER/NAME.db, with NAME.db-wal beside it while it is open. Makes the folder if it
  // is missing. in_use, invalid (a name, or a file that is no store), not_permitted, exhausted.
  static net::Result<std::unique_ptr<net::Store>> open(net::Host& host, const std::string& folder,
                                                       const std::string& name, bool sync);
  StoreImpl(net::Host& host, std::unique_ptr<StoreFile> file, bool sync);
  ~StoreImpl() override;  // waits for the write that is under way

  net::Result<net::Buffer> get(const std::string& key) const override;
  net::Status scan(const std::string& prefix,
                   const std::function<void(const std::string&, net::Bytes)>& visit) const override;
  void commit(net::StoreBatch batch, std::function<void(net::Status)> on_durable) override;

 private:
  using Change = net::StoreBatch::Change;
  struct Pending {
    net::StoreBatch batch;
    std::function<void(net::Status)> on_durable;
    net::Status status;  // of the batch itself
  };
  using Group = std::vector<Pending>;  // the batches of one turn of the loop
  using GroupPtr = std::shared_ptr<Group>;

  void hand_over();
  bool write_here(const Group& group);
  void written(size_t groups, const std::vector<net::Status>& outcomes);
  void refresh_index() const;
  void run();

  net::Host& host_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  const std::unique_ptr<StoreFile> file_;
  const bool sync_;

  // The loop's: every group not known to be written, oldest first; the last may still be growing.
  std::deque<GroupPtr> pending_;
  bool growing_ = false;
  net::Time slow_until_{0};  // the disk keeps the loop waiting: the thread is to write
  bool told_much_ = false;   // the thread knows that file_->much()
  // The newest change of each pending key; made only for those who read.
  mutable boost::unordered_flat_map<std::string_view, const Change*> index_;
  mutable size_t indexed_groups_ = 0, indexed_batches_ = 0;

  std::mutex mutex_;  // of what follows
  std::condition_variable wake_;
  std::vector<GroupPtr> queue_;
  uint64_t written_here_ = 0;  // groups
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace culvert::linux_host
