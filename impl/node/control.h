// Lines on stdin, as commands. Stands on Asio.
#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <functional>
#include <string>

namespace culvert::node {

class Control {
 public:
  // `line` gets each line without its end; `ended` runs once, at the end of the input.
  Control(boost::asio::io_context& context, std::function<void(std::string_view)> line,
          std::function<void()> ended);
  // False: stdin is a plain file, which cannot be waited for.
  bool start();

 private:
  void read();

  boost::asio::posix::stream_descriptor input_;
  std::function<void(std::string_view)> line_;
  std::function<void()> ended_;
  std::array<char, 4096> piece_;
  std::string pending_;
  bool skipping_ = false;  // the rest of a line that was too long
};

}  // namespace culvert::node
