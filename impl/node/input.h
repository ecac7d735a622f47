// What comes on stdin, in pieces, whatever stdin is: a pipe, a terminal, a file. Stands on Asio.
#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>

#include "model/net/bytes.h"

namespace culvert::node {

class Input {
 public:
  // `piece` gets what comes; an empty one is the end, once.
  Input(boost::asio::io_context& context, std::function<void(net::Bytes)> piece);
  void start();

 private:
  void wait();
  void read_file();

  boost::asio::io_context& context_;
  boost::asio::posix::stream_descriptor input_;
  std::function<void(net::Bytes)> piece_;
  std::array<uint8_t, 65536> buffer_;
};

}  // namespace culvert::node
