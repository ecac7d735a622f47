// An application message inside the broker: immutable, shared by all queues that hold it, its texts
// in one allocation. Not thread-safe: a shard's own. Stands on packet.h.
#pragma once

#include <boost/smart_ptr/intrusive_ptr.hpp>
#include <string_view>

#include "model/mqtt/packet.h"
#include "model/net/time.h"

namespace culvert::mqtt {

class Message;
using MessagePtr = boost::intrusive_ptr<const Message>;

class Message {
 public:
  // Copies topic, payload and properties out of a PUBLISH. The expiry is counted from `arrived`.
  static MessagePtr make(const Publish& publish, net::Time arrived);
  static MessagePtr make(const Will& will, net::Time arrived);

  std::string_view topic() const { return topic_; }
  Bytes payload() const { return payload_; }
  const MessageProperties& properties() const;      // views into this message
  bool plain() const { return extra_ == nullptr; }  // has no properties
  uint8_t qos() const { return qos_; }
  bool retain() const { return retain_; }
  net::Time expires() const { return expires_; }  // Time::max(): never
  bool expired(net::Time now) const { return expires_ <= now; }
  size_t bytes() const { return bytes_; }  // of memory, for quotas

  // Under which number the broker's store knows it (0: it does not), and how many records there
  // refer to it. The broker's business (store_writer.h).
  struct Stored {
    uint64_t number = 0;
    uint32_t references = 0;
  };
  Stored& stored() const { return stored_; }

 private:
  friend void intrusive_ptr_add_ref(const Message* message) { ++message->references_; }
  friend void intrusive_ptr_release(const Message* message) {
    if (--message->references_ == 0) message->destroy();
  }
  void destroy() const;
  template <class Source>
  static MessagePtr make_from(const Source& source, net::Time arrived);
  Message() = default;
  ~Message() = default;
  mutable uint32_t references_ = 0;
  uint32_t bytes_ = 0;
  std::string_view topic_;
  Bytes payload_;
  net::Time expires_ = net::Time::max();
  mutable Stored stored_;
  struct Extra;  // properties, only where there are any
  const Extra* extra_ = nullptr;
  uint8_t qos_ = 0;
  bool retain_ = false;
};

}  // namespace culvert::mqtt
