// Threads for work that blocks: Host::offload and name look-ups.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace culvert::linux_host {

class Workers {
 public:
  // Threads start with the first work that finds none idle.
  explicit Workers(size_t most) : most_(most) {}
  ~Workers();  // drops work that has not begun, waits for what has
  void add(std::function<void()> work);

 private:
  void run();
  const size_t most_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;
  std::vector<std::thread> threads_;
  size_t idle_ = 0;
  bool stop_ = false;
};

}  // namespace culvert::linux_host
