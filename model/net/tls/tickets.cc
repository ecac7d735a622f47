#include "model/net/tls/tickets.h"

#include <algorithm>

namespace culvert::net::tls {
namespace {

constexpr size_t kMostNames = 128;           // ours: servers that one client context remembers
constexpr size_t kMostSessionData = 16384;   // ours: bytes of one; a certificate chain is in it
constexpr unsigned kReplayWindowMs = 10000;  // RFC 8446 section 8.2: "ten seconds" is typical
constexpr size_t kMostSeen = 65536;          // ours: ClientHellos remembered, some 6 MB

}  // namespace

void ResumptionCache::store(const std::string& name, Bytes data) {
  if (data.size() > kMostSessionData) return;
  forget(name);
  if (entries_.size() >= kMostNames) {
    index_.erase(entries_.back().name);
    entries_.pop_back();
  }
  entries_.push_front({name, Buffer(data.begin(), data.end())});
  index_[name] = entries_.begin();
}

const Buffer* ResumptionCache::find(const std::string& name) {
  const auto found = index_.find(name);
  if (found == index_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return &found->second->data;
}

void ResumptionCache::forget(const std::string& name) {
  const auto found = index_.find(name);
  if (found == index_.end()) return;
  entries_.erase(found->second);
  index_.erase(found);
}

Result<Key> ticket_master(Host& host, const std::string& secret) {
  Key master;
  if (secret.empty()) {
    host.secure_random(master);
    return master;
  }
  const auto bytes = host.secret(secret);
  if (!bytes) return Status(bytes.error(), "ticket key: " + bytes.status().detail);
  if (bytes->size() < 16)
    return {Error::invalid, "ticket key: the secret '" + secret + "' is shorter than 16 bytes"};
  return key_from(*bytes);
}

Buffer ticket_key(const Key& master, Bytes trust) {
  Buffer key;  // GnuTLS wants 64 bytes (gnutls_session_ticket_key_generate)
  for (const std::string_view half : {"tls ticket 1", "tls ticket 2"}) {
    const Key part = derive_key(master, half, trust);
    key.insert(key.end(), part.begin(), part.end());
  }
  return key;
}

AntiReplay::AntiReplay() {
  gnutls_anti_replay_init(&handle_);
  gnutls_anti_replay_set_window(handle_, kReplayWindowMs);
  gnutls_anti_replay_set_ptr(handle_, this);
  gnutls_anti_replay_set_add_function(handle_, &AntiReplay::add);
}

AntiReplay::~AntiReplay() { gnutls_anti_replay_deinit(handle_); }

// `expires` is one window from now on GnuTLS' clock, the wall's: in a simulation it stands nearly
// still, and so does its window.
int AntiReplay::add(void* self, time_t expires, const gnutls_datum_t* key, const gnutls_datum_t*) {
  auto& me = *static_cast<AntiReplay*>(self);
  constexpr time_t kWindow = kReplayWindowMs / 1000;
  const time_t now = expires - kWindow;
  while (!me.order_.empty() && me.seen_[me.order_.front()] <= now) {
    me.seen_.erase(me.order_.front());
    me.order_.pop_front();
  }
  std::string name(reinterpret_cast<const char*>(key->data), key->size);
  if (me.seen_.size() >= kMostSeen || me.seen_.count(name)) return GNUTLS_E_DB_ENTRY_EXISTS;
  me.order_.push_back(name);
  // Twice the window: an entry may come from its early or from its late edge.
  me.seen_.emplace(std::move(name), now + 2 * kWindow);
  return 0;
}

}  // namespace culvert::net::tls
