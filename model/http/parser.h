// HTTP/1.1 messages read from bytes, piece by piece: Beast's parser behind our own limits and
// refusals, so that one file alone includes Beast. RFC 9112. Stands on message.h.
#pragma once

#include <memory>
#include <string>

#include "model/http/message.h"

namespace culvert::http {

// Why a message was refused. `status` is what a server answers.
struct Fault {
  int status = 400;
  std::string detail;
};

struct ParserLimits {
  size_t header_bytes = 16 * 1024;      // start line and fields; beyond it 414 or 431
  size_t body_bytes = 4 * 1024 * 1024;  // beyond it 413
  size_t fields = 100;                  // ours: beyond it 431, as Apache's LimitRequestFields
  size_t chunk_line_bytes = 8 * 1024;   // ours: a chunk's size and extensions, or the trailers
};

class Parser {
 public:
  enum class Kind : uint8_t { request, response };
  enum class Step : uint8_t {
    need_more,  // give what is left over again, with more behind it
    header,     // the header is whole; go on with what is left over
    done,       // the message is whole
    fault,      // fault() says why; nothing more can be read from this stream
  };

  Parser(Kind kind, const ParserLimits& limits);
  ~Parser();
  Parser(Parser&&) noexcept;
  Parser& operator=(Parser&&) noexcept;

  // Takes a prefix of `data` (not empty); returns its size.
  size_t put(net::Bytes data, Step& step);
  // The stream has ended: done or fault (a body that the end of the stream ends is done).
  Step end();
  void no_body();  // the response answers a HEAD; before the first put()

  const Fault& fault() const;
  bool keep_alive() const;  // once the header is whole
  bool version_10() const;
  bool started() const;    // some byte was taken
  bool in_header() const;  // the header is not whole yet

  Request& request();  // kind request: as far as it was read
  Response& response();

  struct Impl;  // parser.cc's

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace culvert::http
