#include "impl/node/control.h"

#include <unistd.h>

#include <boost/asio/buffer.hpp>

namespace culvert::node {
namespace {

constexpr size_t kLongestLine = 4096;  // ours: no command comes near

}  // namespace

Control::Control(boost::asio::io_context& context, std::function<void(std::string_view)> line,
                 std::function<void()> ended)
    : input_(context), line_(std::move(line)), ended_(std::move(ended)) {}

bool Control::start() {
  boost::system::error_code error;
  input_.assign(dup(STDIN_FILENO), error);
  if (error) return false;
  read();
  return true;
}

void Control::read() {
  input_.async_read_some(boost::asio::buffer(piece_), [this](auto error, size_t size) {
    if (error) {
      if (error != boost::asio::error::operation_aborted) ended_();
      return;
    }
    for (size_t i = 0; i < size; ++i) {
      if (piece_[i] != '\n') {
        if (pending_.size() == kLongestLine) skipping_ = true;
        if (!skipping_) pending_ += piece_[i];
        continue;
      }
      std::string line;
      line.swap(pending_);
      if (!line.empty() && line.back() == '\r') line.pop_back();
      if (!skipping_ && !line.empty()) line_(line);
      skipping_ = false;
    }
    read();
  });
}

}  // namespace culvert::node
