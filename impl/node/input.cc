#include "impl/node/input.h"

#include <unistd.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <cerrno>

namespace culvert::node {

Input::Input(boost::asio::io_context& context, std::function<void(net::Bytes)> piece)
    : context_(context), input_(context), piece_(std::move(piece)) {}

void Input::start() {
  boost::system::error_code error;
  input_.assign(dup(STDIN_FILENO), error);
  // A plain file cannot be waited for, and need not be.
  if (error)
    boost::asio::post(context_, [this] { read_file(); });
  else
    wait();
}

void Input::wait() {
  input_.async_read_some(boost::asio::buffer(buffer_), [this](auto error, size_t size) {
    if (error == boost::asio::error::operation_aborted) return;
    piece_({buffer_.data(), error ? 0 : size});
    if (!error) wait();
  });
}

void Input::read_file() {
  ssize_t size = 0;
  do size = ::read(STDIN_FILENO, buffer_.data(), buffer_.size());
  while (size < 0 && errno == EINTR);
  piece_({buffer_.data(), size > 0 ? static_cast<size_t>(size) : 0});
  if (size > 0) boost::asio::post(context_, [this] { read_file(); });
}

}  // namespace culvert::node
