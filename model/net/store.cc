#include "model/net/store.h"

namespace culvert::net {

Status check_store_name(const std::string& name) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  bool good = !name.empty() && name.size() <= 64 && name[0] != '.';
  for (const char c : name) good = good && plain(c);
  if (good) return {};
  return {Error::invalid,
          "a store's name is 1 to 64 letters, digits, '.', '_' or '-' and begins with no '.'"};
}

Status check_store_batch(const StoreBatch& batch) {
  for (const StoreBatch::Change& change : batch.changes) {
    if (change.key.size() > kStoreKeyMost)
      return {Error::too_big, "a key of a store has at most 4096 bytes"};
    if (change.value.size() > kStoreValueMost)
      return {Error::too_big, "a value of a store has at most 64 MiB"};
  }
  return {};
}

}  // namespace culvert::net
