#include "model/http/parser.h"

#include <boost/beast/http/basic_parser.hpp>
#include <optional>

#include "model/http/text.h"

namespace culvert::http {

namespace beast = boost::beast;
using beast::http::basic_parser;
using Code = beast::error_code;
using View = beast::string_view;

namespace {

// Ours: taken at once for a body of announced length; what is larger grows as it comes, so that a
// mere announcement costs no memory.
constexpr size_t kReserve = 64 * 1024;

// "0\r\n\r\n", the shortest chunked body. Beast asserts that it sees the whole of it at once.
constexpr size_t kEmptyBody = 5;

std::string_view view(View text) { return {text.data(), text.size()}; }

}  // namespace

// What both kinds share; the start line is the kinds' own.
struct Parser::Impl {
  explicit Impl(const ParserLimits& l) : limits(l) {}
  virtual ~Impl() = default;
  virtual size_t feed(const char* data, size_t size, Code& error) = 0;
  virtual void feed_end(Code& error) = 0;
  virtual void skip_body() = 0;
  virtual bool done() const = 0;
  virtual bool header_done() const = 0;
  virtual bool alive() const = 0;

  // Each refuses through `fault`, and with any error code so that Beast stops.
  bool refuse(int status, std::string detail, Code& error) {
    if (fault.status == 0) fault = {status, std::move(detail)};
    error = make_error_code(beast::http::error::bad_value);
    return false;
  }

  void field(beast::http::field kind, std::string_view name, std::string_view value, Code& error) {
    header_bytes += name.size() + value.size() + 4;
    if (header_bytes > limits.header_bytes) {
      refuse(431, "the header is too large", error);
      return;
    }
    if (header_seen) return;  // a trailer: nothing here wants one (RFC 9110 section 6.5.1)
    if (headers->all().size() >= limits.fields) {
      refuse(431, "the header has too many fields", error);
      return;
    }
    if (kind == beast::http::field::transfer_encoding) {
      // Beast takes an unknown coding for no coding, which is how requests are smuggled.
      if (coded) return void(refuse(400, "Transfer-Encoding came twice", error));
      coded = true;
      if (ten) return void(refuse(400, "HTTP/1.0 has no Transfer-Encoding", error));
      if (!equal_without_case(value, "chunked"))
        return void(refuse(501, "the only transfer coding is chunked", error));
    }
    if (kind == beast::http::field::host && is_request && hosts++ > 0)
      return void(refuse(400, "Host came twice", error));
    headers->add(std::string(name), std::string(value));
  }

  void header(Code& error) {
    header_seen = true;
    // RFC 9112 section 3.2.
    if (is_request && !ten && hosts == 0) refuse(400, "Host is missing", error);
  }

  void body_begins(const boost::optional<uint64_t>& length) {
    if (length) body->reserve(static_cast<size_t>(std::min<uint64_t>(*length, kReserve)));
  }
  size_t body_piece(View piece, Code& error) {
    if (body->size() + piece.size() > limits.body_bytes) {
      refuse(413, "the body is too large", error);
      return 0;
    }
    body->insert(body->end(), piece.begin(), piece.end());
    return piece.size();
  }

  void translate(const Code& error);

  const ParserLimits limits;
  Fault fault{0, {}};
  Request request;
  Response response;
  Headers* headers = nullptr;
  net::Buffer* body = nullptr;
  size_t header_bytes = 0;
  int hosts = 0;
  bool is_request = false, ten = false, coded = false, header_seen = false, header_told = false;
  bool started = false, line_seen = false, chunk_seen = false;
};

void Parser::Impl::translate(const Code& error) {
  if (fault.status != 0) return;
  using E = beast::http::error;
  if (error == E::header_limit)
    fault =
        line_seen ? Fault{431, "the header is too large"} : Fault{414, "the target is too long"};
  else if (error == E::body_limit)
    fault = {413, "the body is too large"};
  else if (error == E::bad_version)
    fault = {is_request ? 505 : 400, "the version is not HTTP/1.0 or HTTP/1.1"};
  else if (error == E::partial_message)
    fault = {400, "the message broke off"};
  else
    fault = {400, error.message()};
}

namespace {

template <bool isRequest>
struct Reader final : Parser::Impl, basic_parser<isRequest> {
  using Base = basic_parser<isRequest>;
  explicit Reader(const ParserLimits& l) : Impl(l) {
    is_request = isRequest;
    headers = isRequest ? &request.headers : &response.headers;
    body = isRequest ? &request.body : &response.body;
    Base::header_limit(static_cast<uint32_t>(std::min<size_t>(l.header_bytes, 1u << 30)));
    Base::body_limit(uint64_t{l.body_bytes});
  }

  size_t feed(const char* data, size_t size, Code& error) override {
    return Base::put({data, size}, error);
  }
  void feed_end(Code& error) override { Base::put_eof(error); }
  void skip_body() override { Base::skip(true); }
  bool done() const override { return Base::is_done(); }
  bool header_done() const override { return Base::is_header_done(); }
  bool alive() const override { return header_done() && Base::keep_alive(); }

  void on_request_impl(beast::http::verb, View method, View target, int version,
                       Code& error) override {
    request.method = view(method);
    request.target = view(target);
    line(version, method.size() + target.size() + 12, error);
  }
  void on_response_impl(int code, View reason, int version, Code& error) override {
    response.status = code;
    response.reason = view(reason);
    line(version, reason.size() + 15, error);
    if (code < 100) refuse(400, "the status is below 100", error);
  }
  void line(int version, size_t size, Code& error) {
    ten = version == 10;
    line_seen = true;
    header_bytes = size;
    error = {};
    if (size > limits.header_bytes) refuse(414, "the target is too long", error);
  }
  void on_field_impl(beast::http::field kind, View name, View value, Code& error) override {
    error = {};
    field(kind, view(name), view(value), error);
  }
  void on_header_impl(Code& error) override {
    error = {};
    header(error);
  }
  void on_body_init_impl(const boost::optional<uint64_t>& length, Code& error) override {
    error = {};
    body_begins(length);
  }
  size_t on_body_impl(View piece, Code& error) override {
    error = {};
    return body_piece(piece, error);
  }
  void on_chunk_header_impl(uint64_t, View extensions, Code& error) override {
    error = {};
    chunk_seen = true;
    if (extensions.size() > limits.chunk_line_bytes)
      refuse(400, "a chunk's size line is too long", error);
  }
  size_t on_chunk_body_impl(uint64_t, View piece, Code& error) override {
    error = {};
    return body_piece(piece, error);
  }
  void on_finish_impl(Code& error) override { error = {}; }
};

}  // namespace

Parser::Parser(Kind kind, const ParserLimits& limits) {
  if (kind == Kind::request)
    impl_ = std::make_unique<Reader<true>>(limits);
  else
    impl_ = std::make_unique<Reader<false>>(limits);
}
Parser::~Parser() = default;
Parser::Parser(Parser&&) noexcept = default;
Parser& Parser::operator=(Parser&&) noexcept = default;

size_t Parser::put(net::Bytes data, Step& step) {
  Impl& impl = *impl_;
  size_t used = 0;
  // RFC 9112 section 2.2: empty lines before a request line are skipped; a few, ours.
  if (impl.is_request && !impl.started)
    while (used < 4 && used < data.size() && (data[used] == '\r' || data[used] == '\n')) ++used;
  while (used < data.size()) {
    impl.started = true;
    if (impl.header_seen && impl.coded && !impl.chunk_seen && data[used] == '0' &&
        data.size() - used < kEmptyBody)
      break;
    Code error;
    const size_t took =
        impl.feed(reinterpret_cast<const char*>(data.data()) + used, data.size() - used, error);
    used += took;
    if (error == beast::http::error::need_more) {
      const size_t left = data.size() - used;
      if (impl.header_seen && left > impl.limits.chunk_line_bytes) {
        impl.fault = {400, "a chunk's size line or the trailers are too long"};
        step = Step::fault;
      } else {
        step = impl.fault.status ? Step::fault : Step::need_more;
      }
      return used;
    }
    if (error || impl.fault.status != 0) {
      impl.translate(error);
      step = Step::fault;
      return used;
    }
    if (impl.header_done() && !impl.header_told) {
      impl.header_told = true;
      step = impl.done() ? Step::done : Step::header;
      return used;
    }
    if (impl.done()) {
      step = Step::done;
      return used;
    }
    if (took == 0) break;
  }
  step = Step::need_more;
  return used;
}

Parser::Step Parser::end() {
  Impl& impl = *impl_;
  if (impl.done()) return Step::done;
  Code error = make_error_code(beast::http::error::partial_message);
  if (impl.started && impl.header_seen) impl.feed_end(error);
  if (!error && impl.done()) return Step::done;
  impl.translate(error);
  return Step::fault;
}

void Parser::no_body() { impl_->skip_body(); }
const Fault& Parser::fault() const { return impl_->fault; }
bool Parser::keep_alive() const { return impl_->alive(); }
bool Parser::version_10() const { return impl_->ten; }
bool Parser::started() const { return impl_->started; }
bool Parser::in_header() const { return !impl_->header_seen; }
Request& Parser::request() { return impl_->request; }
Response& Parser::response() { return impl_->response; }

}  // namespace culvert::http
