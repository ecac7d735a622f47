#include "impl/linux/nftables.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/xt_NFQUEUE.h>
#include <unistd.h>

namespace culvert::linux_host {

using net::Prefix;
using net::Result;
using net::Selector;
using net::Status;

namespace {

// Before connection tracking (-200), the raw table (-300) and defragmentation (-400), so that a
// hook sees packets as they came (uapi/linux/netfilter_ipv4.h).
constexpr int32_t kPriority = -450;
constexpr char kChain[] = "arriving";
constexpr uint32_t kRegister = NFT_REG_1;
constexpr uint8_t kFamilies[] = {NFPROTO_IPV4, NFPROTO_IPV6};

constexpr uint16_t type_of(int message) {
  return static_cast<uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | message);
}

nfgenmsg family_header(uint8_t family) { return {family, NFNETLINK_V0, 0}; }

void batch(NetlinkRequest& request, int message) {
  request.message(static_cast<uint16_t>(message), 0,
                  nfgenmsg{AF_UNSPEC, NFNETLINK_V0, htons(NFNL_SUBSYS_NFTABLES)});
}

// One expression of a rule.
void expression(NetlinkRequest& list, const char* name,
                const std::function<void(NetlinkRequest&)>& data) {
  list.nest(NFTA_LIST_ELEM, [&](NetlinkRequest& element) {
    element.put(NFTA_EXPR_NAME, std::string_view(name)).nest(NFTA_EXPR_DATA, data);
  });
}

void value(NetlinkRequest& r, uint16_t type, const void* data, size_t size) {
  r.nest(type, [&](NetlinkRequest& inside) { inside.put(NFTA_DATA_VALUE, data, size); });
}

void compare(NetlinkRequest& list, nft_cmp_ops op, const void* data, size_t size) {
  expression(list, "cmp", [&](NetlinkRequest& r) {
    r.put_be32(NFTA_CMP_SREG, kRegister).put_be32(NFTA_CMP_OP, op);
    value(r, NFTA_CMP_DATA, data, size);
  });
}

void meta(NetlinkRequest& list, nft_meta_keys key) {
  expression(list, "meta", [&](NetlinkRequest& r) {
    r.put_be32(NFTA_META_DREG, kRegister).put_be32(NFTA_META_KEY, key);
  });
}

void payload(NetlinkRequest& list, nft_payload_bases base, uint32_t offset, uint32_t size) {
  expression(list, "payload", [&](NetlinkRequest& r) {
    r.put_be32(NFTA_PAYLOAD_DREG, kRegister).put_be32(NFTA_PAYLOAD_BASE, base);
    r.put_be32(NFTA_PAYLOAD_OFFSET, offset).put_be32(NFTA_PAYLOAD_LEN, size);
  });
}

void match_prefix(NetlinkRequest& list, const Prefix& prefix, uint32_t offset) {
  if (prefix.ip.is_none() || prefix.length == 0) return;
  const size_t size = prefix.ip.size();
  uint8_t mask[16] = {}, network[16] = {}, zero[16] = {};
  for (size_t bit = 0; bit < prefix.length; ++bit)
    mask[bit / 8] = static_cast<uint8_t>(mask[bit / 8] | 0x80 >> bit % 8);
  for (size_t i = 0; i < size; ++i) network[i] = prefix.ip.bytes()[i] & mask[i];
  payload(list, NFT_PAYLOAD_NETWORK_HEADER, offset, static_cast<uint32_t>(size));
  expression(list, "bitwise", [&](NetlinkRequest& r) {
    r.put_be32(NFTA_BITWISE_SREG, kRegister).put_be32(NFTA_BITWISE_DREG, kRegister);
    r.put_be32(NFTA_BITWISE_LEN, static_cast<uint32_t>(size));
    value(r, NFTA_BITWISE_MASK, mask, size);
    value(r, NFTA_BITWISE_XOR, zero, size);
  });
  compare(list, NFT_CMP_EQ, network, size);
}

void match_ports(NetlinkRequest& list, uint16_t first, uint16_t last, uint32_t offset) {
  if (first == 0 && last == 65535) return;
  const uint16_t low = htons(first), high = htons(last);
  payload(list, NFT_PAYLOAD_TRANSPORT_HEADER, offset, 2);
  compare(list, NFT_CMP_GTE, &low, 2);
  compare(list, NFT_CMP_LTE, &high, 2);
}

bool applies(const Selector& selector, uint8_t family) {
  const auto wanted =
      family == NFPROTO_IPV4 ? net::IpAddress::Family::v4 : net::IpAddress::Family::v6;
  for (const Prefix* prefix : {&selector.source, &selector.destination})
    if (!prefix->ip.is_none() && prefix->ip.family() != wanted) return false;
  return true;
}

}  // namespace

Result<QueueRules> QueueRules::open(int netns, uint16_t queue, uint32_t bypass) {
  auto netlink = Netlink::open(netns, NETLINK_NETFILTER);
  if (!netlink) return netlink.status();
  QueueRules rules(std::move(*netlink), queue, bypass);
  Status status = rules.make_tables();
  if (!status.ok()) return status;
  // Whether this kernel can queue is known only once a rule asks for it.
  status = rules.select({Selector{255, {}, {}, 0, 65535, 0, 65535}});
  if (!status.ok()) {
    rules.by_target_ = true;
    status = rules.select({Selector{255, {}, {}, 0, 65535, 0, 65535}});
  }
  if (status.ok()) status = rules.select({});
  if (!status.ok()) {
    if (status.error == net::Error::not_permitted) return status;
    return {net::Error::unsupported, "this kernel cannot queue packets: " + status.to_string()};
  }
  return rules;
}

QueueRules::QueueRules(Netlink netlink, uint16_t queue, uint32_t bypass)
    : netlink_(std::move(netlink)),
      queue_(queue),
      bypass_(bypass),
      table_("culvert-" + std::to_string(queue)) {}

Status QueueRules::make_tables() {
  NetlinkRequest request;
  batch(request, NFNL_MSG_BATCH_BEGIN);
  for (const uint8_t family : kFamilies) {
    request.message(type_of(NFT_MSG_NEWTABLE), NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK,
                    family_header(family));
    request.put(NFTA_TABLE_NAME, table_).put_be32(NFTA_TABLE_FLAGS, NFT_TABLE_F_OWNER);
    request.message(type_of(NFT_MSG_NEWCHAIN), NLM_F_CREATE | NLM_F_ACK, family_header(family));
    request.put(NFTA_CHAIN_TABLE, table_).put(NFTA_CHAIN_NAME, std::string_view(kChain));
    request.nest(NFTA_CHAIN_HOOK, [](NetlinkRequest& hook) {
      hook.put_be32(NFTA_HOOK_HOOKNUM, NF_INET_PRE_ROUTING);
      hook.put_be32(NFTA_HOOK_PRIORITY, static_cast<uint32_t>(kPriority));
    });
    request.put(NFTA_CHAIN_TYPE, std::string_view("filter"));
  }
  batch(request, NFNL_MSG_BATCH_END);
  return netlink_.request(request, "making the nftables table " + table_);
}

Status QueueRules::select(const std::vector<Selector>& selectors) {
  NetlinkRequest request;
  batch(request, NFNL_MSG_BATCH_BEGIN);
  const auto rule = [&](uint8_t family, const std::function<void(NetlinkRequest&)>& expressions) {
    request.message(type_of(NFT_MSG_NEWRULE), NLM_F_CREATE | NLM_F_APPEND | NLM_F_ACK,
                    family_header(family));
    request.put(NFTA_RULE_TABLE, table_).put(NFTA_RULE_CHAIN, std::string_view(kChain));
    request.nest(NFTA_RULE_EXPRESSIONS, expressions);
  };
  for (const uint8_t family : kFamilies) {
    const bool v4 = family == NFPROTO_IPV4;
    request.message(type_of(NFT_MSG_DELRULE), NLM_F_ACK, family_header(family));  // all of them
    request.put(NFTA_RULE_TABLE, table_).put(NFTA_RULE_CHAIN, std::string_view(kChain));
    if (selectors.empty()) continue;
    rule(family, [&](NetlinkRequest& list) {
      meta(list, NFT_META_MARK);
      compare(list, NFT_CMP_EQ, &bypass_, sizeof bypass_);
      expression(list, "immediate", [](NetlinkRequest& r) {
        r.put_be32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
        r.nest(NFTA_IMMEDIATE_DATA, [](NetlinkRequest& data) {
          data.nest(NFTA_DATA_VERDICT,
                    [](NetlinkRequest& v) { v.put_be32(NFTA_VERDICT_CODE, NF_ACCEPT); });
        });
      });
    });
    for (const Selector& selector : selectors) {
      if (!applies(selector, family)) continue;
      rule(family, [&](NetlinkRequest& list) {
        if (selector.protocol != 0) {
          meta(list, NFT_META_L4PROTO);
          compare(list, NFT_CMP_EQ, &selector.protocol, 1);
        }
        match_prefix(list, selector.source, v4 ? 12 : 8);
        match_prefix(list, selector.destination, v4 ? 16 : 24);
        match_ports(list, selector.source_port_first, selector.source_port_last, 0);
        match_ports(list, selector.destination_port_first, selector.destination_port_last, 2);
        if (by_target_) {
          expression(list, "target", [&](NetlinkRequest& r) {
            struct alignas(8) {
              xt_NFQ_info_v3 info;
            } data{{queue_, 1, NFQ_FLAG_BYPASS}};
            r.put(NFTA_TARGET_NAME, std::string_view("NFQUEUE")).put_be32(NFTA_TARGET_REV, 3);
            r.put(NFTA_TARGET_INFO, &data, sizeof data);
          });
        } else {
          expression(list, "queue", [&](NetlinkRequest& r) {
            r.put_be16(NFTA_QUEUE_NUM, queue_).put_be16(NFTA_QUEUE_TOTAL, 1);
            r.put_be16(NFTA_QUEUE_FLAGS, NFT_QUEUE_FLAG_BYPASS);
          });
        }
      });
    }
  }
  batch(request, NFNL_MSG_BATCH_END);
  return netlink_.request(request, "selecting packets for the queue");
}

}  // namespace culvert::linux_host
