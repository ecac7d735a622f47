#include "model/mqtt/broker/message.h"

#include <cstring>
#include <new>

namespace culvert::mqtt {

struct Message::Extra {
  MessageProperties properties;
};

namespace {

size_t text_size(const MessageProperties& p) {
  size_t size = p.content_type.size();
  if (p.response_topic) size += p.response_topic->size();
  if (p.correlation_data) size += p.correlation_data->size();
  for (const UserProperty& user : p.user) size += user.name.size() + user.value.size();
  return size;
}

bool has_any(const MessageProperties& p) {
  return p.utf8_payload || p.expiry_s || !p.content_type.empty() || p.response_topic ||
         p.correlation_data || !p.user.empty();
}

// Puts one text after the other into memory that is large enough.
class Copier {
 public:
  explicit Copier(uint8_t* to) : to_(to) {}
  Bytes copy(Bytes from) {
    if (!from.empty()) std::memcpy(to_, from.data(), from.size());
    const Bytes copied(to_, from.size());
    to_ += from.size();
    return copied;
  }
  std::string_view copy(std::string_view from) { return net::as_text(copy(net::as_bytes(from))); }

 private:
  uint8_t* to_;
};

}  // namespace

template <class Source>
MessagePtr Message::make_from(const Source& source, net::Time arrived) {
  const MessageProperties& given = source.properties;
  const bool extra = has_any(given);
  const size_t texts = source.topic.size() + source.payload.size() + (extra ? text_size(given) : 0);
  const size_t head = sizeof(Message) + (extra ? sizeof(Extra) : 0);
  auto* memory = static_cast<uint8_t*>(::operator new(head + texts));
  auto* message = new (memory) Message;
  message->bytes_ = static_cast<uint32_t>(head + texts);
  message->qos_ = source.qos;
  message->retain_ = source.retain;
  Copier copier(memory + head);
  message->topic_ = copier.copy(source.topic);
  message->payload_ = copier.copy(source.payload);
  if (extra) {
    static_assert(sizeof(Message) % alignof(Extra) == 0);
    auto* kept = new (memory + sizeof(Message)) Extra{given};
    MessageProperties& p = kept->properties;
    p.content_type = copier.copy(p.content_type);
    if (p.response_topic) p.response_topic = copier.copy(*p.response_topic);
    if (p.correlation_data) p.correlation_data = copier.copy(*p.correlation_data);
    for (UserProperty& user : p.user) {
      user.name = copier.copy(user.name);
      user.value = copier.copy(user.value);
    }
    if (p.expiry_s) message->expires_ = arrived + std::chrono::seconds(*p.expiry_s);
    message->extra_ = kept;
  }
  return MessagePtr(message);
}

MessagePtr Message::make(const Publish& publish, net::Time arrived) {
  return make_from(publish, arrived);
}

MessagePtr Message::make(const Will& will, net::Time arrived) { return make_from(will, arrived); }

const MessageProperties& Message::properties() const {
  static const MessageProperties none;
  return extra_ ? extra_->properties : none;
}

void Message::destroy() const {
  if (extra_) extra_->~Extra();
  this->~Message();
  ::operator delete(const_cast<Message*>(this));
}

}  // namespace culvert::mqtt
