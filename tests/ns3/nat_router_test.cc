// The NAT router inside ns-3: what goes over the wire on both of its sides.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/ns3/head_bytes.h"
#include "ns3/flow-id-tag.h"
#include "ns3/inet-socket-address.h"
#include "ns3/simulator.h"
#include "ns3/socket.h"
#include "ns3/string.h"
#include "ns3/udp-socket-factory.h"
#include "tests/ns3/nat_lab.h"

namespace culvert::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

const char* const kPublic = "198.51.100.2";

TEST(NatRouter, TranslatesUdpOutAndTheAnswerIn) {
  Lab lab;
  lab.udp(lab.a, "10.1.0.2:4000", "203.0.113.2:53", "question");
  lab.run();
  ASSERT_EQ(lab.at_x->seen.size(), 1u);
  const Arrival out = lab.at_x->seen[0];
  EXPECT_EQ(out.source().ip.to_string(), kPublic);
  EXPECT_NE(out.source().port, 4000);  // ports are random
  EXPECT_EQ(out.payload(), "question");
  EXPECT_TRUE(out.transport_checksum_ok());
  EXPECT_EQ(out.header.GetTtl(), 62);  // two routers

  lab.udp(lab.x, "203.0.113.2:53", out.source().to_string(), "answer");
  lab.run();
  ASSERT_EQ(lab.at_a->seen.size(), 1u);
  EXPECT_EQ(lab.at_a->seen[0].source().to_string(), "203.0.113.2:53");
  EXPECT_EQ(lab.at_a->seen[0].destination().to_string(), "10.1.0.2:4000");
  EXPECT_EQ(lab.at_a->seen[0].payload(), "answer");
  EXPECT_TRUE(lab.at_a->seen[0].transport_checksum_ok());
}

TEST(NatRouter, TranslatesTcp) {
  Lab lab;
  lab.tcp(lab.a, "10.1.0.2:4000", "203.0.113.2:80", CV_SYN);
  lab.run();
  ASSERT_EQ(lab.at_x->seen.size(), 1u);
  EXPECT_EQ(lab.at_x->seen[0].source().ip.to_string(), kPublic);
  EXPECT_TRUE(lab.at_x->seen[0].transport_checksum_ok());
  lab.tcp(lab.x, "203.0.113.2:80", lab.at_x->seen[0].source().to_string(), CV_SYN | CV_ACK);
  lab.run();
  ASSERT_EQ(lab.at_a->seen.size(), 1u);
  EXPECT_EQ(lab.at_a->seen[0].destination().to_string(), "10.1.0.2:4000");
  EXPECT_TRUE(lab.at_a->seen[0].transport_checksum_ok());
}

TEST(NatRouter, TranslatesPing) {
  Lab lab;
  lab.echo(lab.a, "10.1.0.2", "203.0.113.2", true, 77, "ping");
  lab.run();
  ASSERT_EQ(lab.at_x->seen.size(), 1u);
  const Arrival request = lab.at_x->seen[0];
  EXPECT_EQ(request.source().ip.to_string(), kPublic);
  EXPECT_TRUE(request.transport_checksum_ok());
  const auto identifier = static_cast<uint16_t>(request.bytes[4] << 8 | request.bytes[5]);
  lab.echo(lab.x, "203.0.113.2", kPublic, false, identifier, "ping");
  lab.run();
  ASSERT_EQ(lab.at_a->seen.size(), 1u);
  EXPECT_EQ(lab.at_a->seen[0].bytes[5], 77);
  EXPECT_EQ(lab.at_a->seen[0].destination().ip.to_string(), "10.1.0.2");
  EXPECT_TRUE(lab.at_a->seen[0].transport_checksum_ok());
}

// Mapping × filtering, one row each: does a second destination get the same external port, and who
// may answer to the mapping made towards 203.0.113.2:53.
TEST(NatRouter, ShowsTheNineKindsOnTheWire) {
  struct Row {
    const char *mapping, *filtering;
    bool same_for_port, same_for_address;  // 203.0.113.2:54, 203.0.113.3:53
    bool other_port, other_address;        // let in
  };
  const Row kRows[] = {
      {"eim", "eif", true, true, true, true},       {"eim", "adf", true, true, true, false},
      {"eim", "apdf", true, true, false, false},    {"adm", "eif", true, false, true, true},
      {"adm", "adf", true, false, true, false},     {"adm", "apdf", true, false, false, false},
      {"apdm", "eif", false, false, true, true},    {"apdm", "adf", false, false, true, false},
      {"apdm", "apdf", false, false, false, false},
  };
  for (const Row& row : kRows) {
    const std::string kind = std::string(row.mapping) + "-" + row.filtering;
    {
      Lab lab({kind});
      lab.udp(lab.a, "10.1.0.2:4000", "203.0.113.2:53", "1");
      lab.udp(lab.a, "10.1.0.2:4000", "203.0.113.2:54", "2");
      lab.udp(lab.a, "10.1.0.2:4000", "203.0.113.3:53", "3");
      lab.run();
      ASSERT_EQ(lab.at_x->seen.size(), 3u) << kind;
      const auto first = lab.at_x->seen[0].source();
      EXPECT_EQ(lab.at_x->seen[1].source() == first, row.same_for_port) << kind;
      EXPECT_EQ(lab.at_x->seen[2].source() == first, row.same_for_address) << kind;
    }
    Lab lab({kind});
    lab.udp(lab.a, "10.1.0.2:4000", "203.0.113.2:53", "1");
    lab.run();
    const std::string mapped = lab.at_x->seen.at(0).source().to_string();
    lab.udp(lab.x, "203.0.113.2:53", mapped, "same");
    lab.udp(lab.x, "203.0.113.2:54", mapped, "port");
    lab.udp(lab.x, "203.0.113.3:53", mapped, "address");
    lab.run();
    std::vector<std::string> arrived, expected = {"same"};
    for (const Arrival& arrival : lab.at_a->seen) arrived.push_back(arrival.payload());
    if (row.other_port) expected.push_back("port");
    if (row.other_address) expected.push_back("address");
    EXPECT_EQ(arrived, expected) << kind;
  }
}

TEST(NatRouter, HairpinsOrSaysWhyNot) {
  for (const char* const hairpin : {"none", "internal", "external"}) {
    Lab lab({"eim-eif", {{"hairpin", hairpin}}});
    lab.udp(lab.b, "10.2.0.2:5000", "203.0.113.2:53", "open");
    lab.run();
    const std::string b_outside = lab.at_x->seen.at(0).source().to_string();
    lab.udp(lab.a, "10.1.0.2:4000", b_outside, "hairpin");
    lab.run();
    if (hairpin == std::string("none")) {
      EXPECT_TRUE(lab.at_b->seen.empty());
      EXPECT_THAT(lab.drops, ElementsAre("hairpin_off"));
      continue;
    }
    ASSERT_EQ(lab.at_b->seen.size(), 1u) << hairpin;
    EXPECT_EQ(lab.at_b->seen[0].destination().to_string(), "10.2.0.2:5000");
    EXPECT_EQ(lab.at_b->seen[0].source().ip.to_string(),
              hairpin == std::string("external") ? kPublic : "10.1.0.2");
    EXPECT_TRUE(lab.at_b->seen[0].transport_checksum_ok());
    EXPECT_THAT(lab.log_lines, Contains(HasSubstr("\"direction\":\"hairpin\"")));
  }
}

TEST(NatRouter, BringsAnIcmpErrorFromBeyondToTheHostInsideWithItsOwnAddresses) {
  Lab lab;
  lab.udp(lab.a, "10.1.0.2:4000", "203.0.113.2:53", "far", 2);  // ends at the core
  lab.run();
  ASSERT_EQ(lab.at_a->seen.size(), 1u);
  const Arrival& error = lab.at_a->seen[0];
  EXPECT_EQ(error.source().ip.to_string(), "198.51.100.1");
  EXPECT_EQ(error.destination().ip.to_string(), "10.1.0.2");
  ASSERT_GE(error.bytes.size(), 36u);
  EXPECT_EQ(error.bytes[0], 11);  // time exceeded
  EXPECT_TRUE(error.transport_checksum_ok());
  const std::vector<uint8_t> inner_source(error.bytes.begin() + 20, error.bytes.begin() + 24);
  EXPECT_THAT(inner_source, ElementsAre(10, 1, 0, 2));
  EXPECT_EQ(error.bytes[28] << 8 | error.bytes[29], 4000);  // inner source port
  // The inner header's own checksum is right too.
  EXPECT_EQ(ns3_world::internet_checksum({error.bytes.data() + 8, 20}), 0);
}

TEST(NatRouter, AnswersItselfWhenTheTtlEndsAndMakesNoMapping) {
  Lab lab;
  lab.udp(lab.a, "10.1.0.2:4000", "203.0.113.2:53", "near", 1);
  lab.run();
  ASSERT_EQ(lab.at_a->seen.size(), 1u);
  EXPECT_EQ(lab.at_a->seen[0].source().ip.to_string(), "10.1.0.1");
  EXPECT_EQ(lab.at_a->seen[0].bytes[0], 11);
  EXPECT_EQ(lab.at_a->seen[0].bytes[28] << 8 | lab.at_a->seen[0].bytes[29], 4000);
  EXPECT_EQ(lab.router->GetNat()->mapping_count(), 0u);
}

TEST(NatRouter, AnswersOutsidersWhoseTtlEndsAtTheNatWithoutStateOrDelivery) {
  Lab lab({"eim-eif"});
  lab.udp(lab.a, "10.1.0.2:4000", "203.0.113.2:53", "open");
  lab.run();
  const std::string mapped = lab.at_x->seen.at(0).source().to_string();
  lab.udp(lab.x, "203.0.113.3:9", mapped, "opener", 2);  // the core takes one off
  lab.run();
  EXPECT_TRUE(lab.at_a->seen.empty());
  ASSERT_EQ(lab.at_x->seen.size(), 2u);
  EXPECT_EQ(lab.at_x->seen[1].bytes[0], 11);
  EXPECT_EQ(lab.at_x->seen[1].source().ip.to_string(), kPublic);
  EXPECT_EQ(lab.router->GetNat()->counters().in, 0u);
}

TEST(NatRouter, TranslatesFragmentsWithoutReassembly) {
  LabOptions options;
  options.hosts_consume = false;
  Lab lab(options);
  std::string big(4000, 'f');
  big.back() = '!';
  const auto server = ns3::Socket::CreateSocket(lab.x, ns3::UdpSocketFactory::GetTypeId());
  server->Bind(ns3::InetSocketAddress(ns3::Ipv4Address::GetAny(), 53));
  lab.udp(lab.a, "10.1.0.2:4000", "203.0.113.2:53", big);
  lab.run();
  EXPECT_EQ(lab.at_x->seen.size(), 3u);  // 4008 bytes in pieces of 1480
  for (const Arrival& piece : lab.at_x->seen) EXPECT_EQ(piece.source().ip.to_string(), kPublic);
  ns3::Address from;
  const auto packet = server->RecvFrom(from);  // whole, and its checksum was right
  ASSERT_TRUE(packet);
  std::string received(packet->GetSize(), 0);
  packet->CopyData(reinterpret_cast<uint8_t*>(received.data()), packet->GetSize());
  EXPECT_EQ(received, big);
  server->SendTo(packet, 0, from);
  lab.run();
  EXPECT_EQ(lab.at_a->seen.size(), 3u);
  for (const Arrival& piece : lab.at_a->seen)
    EXPECT_EQ(piece.destination().ip.to_string(), "10.1.0.2");
  // Nobody listens at a: its stack's ICMP error goes out, about the packet as x had sent it.
  ASSERT_EQ(lab.at_x->seen.size(), 4u);
  const Arrival& error = lab.at_x->seen[3];
  EXPECT_EQ(error.bytes[0], 3);
  EXPECT_EQ(error.source().ip.to_string(), kPublic);
  const std::vector<uint8_t> inner(error.bytes.begin() + 24, error.bytes.begin() + 28);
  EXPECT_THAT(inner, ElementsAre(198, 51, 100, 2));
  EXPECT_TRUE(error.transport_checksum_ok());
}

TEST(NatRouter, TellsTheHostInsideWhenItsPacketIsTooBigForTheNatsOwnLink) {
  LabOptions options;
  options.wan_mtu = 1280;
  Lab lab(options);
  lab.udp(lab.a, "10.1.0.2:4000", "203.0.113.2:53", std::string(1400, 'x'), 64, true);
  lab.run();
  EXPECT_TRUE(lab.at_x->seen.empty());
  ASSERT_EQ(lab.at_a->seen.size(), 1u);
  const Arrival& error = lab.at_a->seen[0];
  EXPECT_EQ(error.bytes[0], 3);
  EXPECT_EQ(error.bytes[1], 4);  // fragmentation needed
  EXPECT_EQ(error.bytes[6] << 8 | error.bytes[7], 1280);
  EXPECT_EQ(error.bytes[28] << 8 | error.bytes[29], 4000);
  EXPECT_TRUE(error.transport_checksum_ok());
}

TEST(NatRouter, LetsTheNodesOwnPacketsPass) {
  Lab lab({"eim-apdf", {}, {kPublic}, false});
  lab.udp(lab.nat, "198.51.100.2:700", "203.0.113.2:53", "own");
  lab.echo(lab.a, "10.1.0.2", "10.1.0.1", true, 5, "router?");
  lab.run();
  ASSERT_GE(lab.at_x->seen.size(), 1u);
  EXPECT_EQ(lab.at_x->seen[0].source().to_string(), "198.51.100.2:700");
  ASSERT_EQ(lab.at_a->seen.size(), 1u);
  EXPECT_EQ(lab.at_a->seen[0].bytes[0], 0);  // echo reply
  EXPECT_EQ(lab.at_a->seen[0].source().ip.to_string(), "10.1.0.1");
}

TEST(NatRouter, LeavesWhatGoesFromOneInsideSubnetToAnotherAlone) {
  Lab lab({"symmetric"});
  lab.udp(lab.a, "10.1.0.2:4000", "10.2.0.2:5000", "neighbour");
  lab.run();
  ASSERT_EQ(lab.at_b->seen.size(), 1u);
  EXPECT_EQ(lab.at_b->seen[0].source().to_string(), "10.1.0.2:4000");
  EXPECT_EQ(lab.router->GetNat()->mapping_count(), 0u);
}

TEST(NatRouter, AnswersPingToItsPublicAddressOnlyIfToldTo) {
  for (const char* const delivery : {"ping", "none"}) {
    Lab lab({"eim-apdf", {{"local_delivery", delivery}}});
    lab.echo(lab.x, "203.0.113.2", kPublic, true, 5, "router?");
    lab.run();
    EXPECT_EQ(lab.at_x->seen.size(), delivery == std::string("ping") ? 1u : 0u) << delivery;
  }
}

TEST(NatRouter, KeepsTags) {
  Lab lab;
  std::vector<uint8_t> datagram = {0x0f, 0xa0, 0, 53, 0, 12, 0, 0, 'd', 'a', 't', 'a'};
  lab.send(lab.a, "10.1.0.2", "203.0.113.2", CV_UDP, datagram, 64, false,
           [](ns3::Ptr<ns3::Packet> packet) {
             packet->AddPacketTag(ns3::FlowIdTag(41));
             packet->AddByteTag(ns3::FlowIdTag(42));        // all of it
             packet->AddByteTag(ns3::FlowIdTag(43), 0, 2);  // only what the NAT rewrites
           });
  lab.run();
  ASSERT_EQ(lab.at_x->seen.size(), 1u);
  ns3::FlowIdTag tag;
  ASSERT_TRUE(lab.at_x->seen[0].packet->PeekPacketTag(tag));
  EXPECT_EQ(tag.GetFlowId(), 41u);
  std::map<uint32_t, uint32_t> bytes;  // id → bytes covered
  for (auto i = lab.at_x->seen[0].packet->GetByteTagIterator(); i.HasNext();) {
    const auto item = i.Next();
    item.GetTag(tag);
    bytes[tag.GetFlowId()] += item.GetEnd() - item.GetStart();
  }
  EXPECT_EQ(bytes, (std::map<uint32_t, uint32_t>{{42, 12}, {43, 2}}));
}

TEST(NatRouter, RejectsUnsolicitedSynsAsTold) {
  struct Row {
    const char* reaction;
    int type;        // of the answer: 0 none, 1 RST, 2 ICMP
    double seconds;  // when
  };
  for (const Row& row :
       {Row{"drop", 0, 0}, Row{"rst", 1, 0}, Row{"icmp", 2, 0}, Row{"hold", 2, 6}}) {
    Lab lab({"eim-apdf", {{"unsolicited_tcp", row.reaction}}});
    lab.tcp(lab.x, "203.0.113.2:80", "198.51.100.2:2000", CV_SYN);
    lab.run(5);
    const size_t early = lab.at_x->seen.size();
    EXPECT_EQ(early, row.type != 0 && row.seconds == 0 ? 1u : 0u) << row.reaction;
    lab.run(5);
    if (row.type == 0) {
      EXPECT_TRUE(lab.at_x->seen.empty());
      continue;
    }
    ASSERT_EQ(lab.at_x->seen.size(), 1u) << row.reaction;
    const Arrival& answer = lab.at_x->seen[0];
    EXPECT_EQ(answer.source().ip.to_string(), kPublic);
    EXPECT_TRUE(answer.transport_checksum_ok());
    EXPECT_EQ(answer.header.GetProtocol(), row.type == 1 ? CV_TCP : CV_ICMP);
    EXPECT_TRUE(row.type == 1 ? answer.bytes[13] & CV_RST : answer.bytes[0] == 3);
    EXPECT_GE(net::to_ms(answer.when), row.seconds * 1000);
    EXPECT_LT(net::to_ms(answer.when), row.seconds * 1000 + 100);
  }
}

TEST(NatRouter, LosesEverythingWhenItReboots) {
  Lab lab({"eim-eif"});
  std::vector<std::string> expired;
  lab.router->TraceConnectWithoutContext(
      "MappingExpired",
      ns3::Callback<void, uint8_t, ns3::InetSocketAddress, ns3::InetSocketAddress, std::string>(
          [&](uint8_t, ns3::InetSocketAddress, ns3::InetSocketAddress, std::string why) {
            expired.push_back(why);
          }));
  lab.udp(lab.a, "10.1.0.2:4000", "203.0.113.2:53", "1");
  lab.run();
  const std::string before = lab.at_x->seen.at(0).source().to_string();
  lab.router->Reboot();
  EXPECT_THAT(expired, ElementsAre("rebooted"));
  lab.udp(lab.x, "203.0.113.2:53", before, "late");
  lab.run();
  EXPECT_TRUE(lab.at_a->seen.empty());
  EXPECT_THAT(lab.drops, ElementsAre("no_mapping"));
  EXPECT_EQ(lab.events("reboot").size(), 1u);
  EXPECT_THAT(lab.events("mapping_expired"), ElementsAre(HasSubstr("\"why\":\"reboot\"")));
}

TEST(NatRouter, MovesMappingsWhenItRebinds) {
  Lab lab({"eim-eif"});
  lab.udp(lab.a, "10.1.0.2:4000", "203.0.113.2:53", "1");
  lab.run();
  const auto before = lab.at_x->seen.at(0).source();
  lab.router->Rebind();
  lab.udp(lab.a, "10.1.0.2:4000", "203.0.113.2:53", "2");
  lab.run();
  EXPECT_NE(lab.at_x->seen.at(1).source(), before);
  EXPECT_THAT(lab.events("mapping_expired"), ElementsAre(HasSubstr("\"why\":\"rebind\"")));
  EXPECT_EQ(lab.events("mapping_created").size(), 2u);
}

TEST(NatRouter, LeavesItsOldAddressWhenItGetsAnother) {
  Lab lab({"eim-eif"});
  lab.udp(lab.a, "10.1.0.2:4000", "203.0.113.2:53", "1");
  lab.run();
  const std::string before = lab.at_x->seen.at(0).source().to_string();
  ASSERT_TRUE(lab.router->ChangeAddress({ns3::Ipv4Address("198.51.100.9")}));
  lab.udp(lab.a, "10.1.0.2:4000", "203.0.113.2:53", "2");
  lab.run();
  ASSERT_EQ(lab.at_x->seen.size(), 2u);
  const auto after = lab.at_x->seen[1].source();
  EXPECT_EQ(after.ip.to_string(), "198.51.100.9");
  lab.udp(lab.x, "203.0.113.2:53", before, "to the old address");
  lab.udp(lab.x, "203.0.113.2:53", after.to_string(), "to the new one");
  lab.run();
  ASSERT_EQ(lab.at_a->seen.size(), 1u);
  EXPECT_EQ(lab.at_a->seen[0].payload(), "to the new one");
}

TEST(NatRouter, ReportsMappingsThatExpireOnTime) {
  Lab lab({"eim-apdf", {{"udp_new", "30s"}}});
  lab.udp(lab.a, "10.1.0.2:4000", "203.0.113.2:53", "1");
  lab.run(29.9);
  EXPECT_TRUE(lab.events("mapping_expired").empty());
  lab.run(2);
  EXPECT_THAT(lab.events("mapping_expired"), ElementsAre(HasSubstr("\"why\":\"idle\"")));
}

TEST(NatRouter, UsesAllItsPublicAddresses) {
  Lab lab({"eim-eif", {{"pooling", "arbitrary"}}, {kPublic, "198.51.100.3", "198.51.100.4"}});
  for (int port = 0; port < 40; ++port)
    lab.udp(lab.a, "10.1.0.2:" + std::to_string(4000 + port), "203.0.113.2:53", "x");
  lab.run();
  std::map<std::string, int> used;
  for (const Arrival& arrival : lab.at_x->seen) ++used[arrival.source().ip.to_string()];
  EXPECT_EQ(used.size(), 3u);
  lab.udp(lab.x, "203.0.113.2:53", lab.at_x->seen.at(0).source().to_string(), "back");
  lab.run();
  EXPECT_EQ(lab.at_a->seen.size(), 1u);
}

TEST(NatRouter, WritesItsEvents) {
  Lab lab;
  lab.udp(lab.a, "10.1.0.2:4000", "203.0.113.2:53", "question");
  lab.udp(lab.x, "203.0.113.3:99", "198.51.100.2:1", "who?");
  lab.run();
  lab.router->LogCounters();
  ASSERT_EQ(lab.events("config").size(), 1u);
  EXPECT_THAT(lab.events("config")[0], HasSubstr("\"kind\":\"eim-apdf\""));
  EXPECT_THAT(lab.events("config")[0], HasSubstr("\"mapping\":\"eim\",\"filtering\":\"apdf\""));
  ASSERT_EQ(lab.events("mapping_created").size(), 1u);
  EXPECT_THAT(lab.events("mapping_created")[0], HasSubstr("\"internal\":\"10.1.0.2:4000\""));
  ASSERT_EQ(lab.events("translated").size(), 1u);
  const std::string translated = lab.events("translated")[0];
  EXPECT_THAT(translated, HasSubstr("\"direction\":\"out\",\"protocol\":\"udp\",\"source\":"
                                    "\"10.1.0.2:4000\",\"destination\":\"203.0.113.2:53\""));
  EXPECT_THAT(translated, HasSubstr("\"ttl\":64,\"bytes\":36,\"packet\":\"" +
                                    net::payload_mark(net::as_bytes("question")) + "\""));
  ASSERT_EQ(lab.events("dropped").size(), 1u);
  EXPECT_THAT(lab.events("dropped")[0], HasSubstr("\"why\":\"no_mapping\",\"bytes\":32"));
  ASSERT_EQ(lab.events("counters").size(), 1u);
  EXPECT_THAT(lab.events("counters")[0],
              HasSubstr("\"translated\":1,\"dropped\":1,\"mappings\":1,\"created\":1"));
}

TEST(NatRouter, LimitsItsLogAndCountsTheRest) {
  Lab lab;
  for (int i = 0; i < 200; ++i) lab.udp(lab.a, "10.1.0.2:4000", "203.0.113.2:53", "again");
  for (int i = 0; i < 1500; ++i) lab.udp(lab.x, "203.0.113.3:99", "198.51.100.2:1", "who?");
  lab.run();
  lab.router->LogCounters();
  EXPECT_EQ(lab.at_x->seen.size(), 200u);
  EXPECT_EQ(lab.events("translated").size(), 64u);
  EXPECT_EQ(lab.events("dropped").size(), 1000u + 5u);
  EXPECT_THAT(lab.events("counters"),
              ElementsAre(HasSubstr("\"translated\":200,\"dropped\":1500")));
}

TEST(NatRouter, TakesItsAxesAsAttributes) {
  const auto router = ns3::CreateObject<ns3_world::NatRouter>();
  EXPECT_TRUE(router->SetAttributeFailSafe("Mapping", ns3::StringValue("apdm")));
  EXPECT_TRUE(router->SetAttributeFailSafe("UdpNew", ns3::StringValue("42s")));
  EXPECT_TRUE(router->SetAttributeFailSafe("Preset", ns3::StringValue("full-cone")));
  EXPECT_FALSE(router->SetAttributeFailSafe("Mapping", ns3::StringValue("sideways")));
  const auto config = router->GetConfig();
  ASSERT_TRUE(config.ok());
  EXPECT_EQ(config->mapping, nat::Mapping::apdm);  // an axis beats the preset
  EXPECT_EQ(config->filtering, nat::Filtering::eif);
  EXPECT_EQ(config->timeouts.udp_new, std::chrono::seconds(42));
  EXPECT_TRUE(router->SetAttributeFailSafe("Preset", ns3::StringValue("marzipan")));
  EXPECT_FALSE(router->GetConfig().ok());
  router->SetConfig(*config, "a name of one's own");
  ASSERT_TRUE(router->GetConfig().ok());
  EXPECT_EQ(router->GetConfig()->mapping, nat::Mapping::apdm);
}

TEST(NatRouter, RefusesWhatCannotBe) {
  Lab lab;
  const auto second = ns3::CreateObject<ns3_world::NatRouter>();
  EXPECT_FALSE(second->Install(lab.nat, {}, lab.nat->GetDevice(3), {ns3::Ipv4Address(kPublic)}));
  EXPECT_FALSE(second->Install(lab.nat, {}, lab.x->GetDevice(0), {ns3::Ipv4Address(kPublic)}));
  EXPECT_FALSE(second->Install(lab.nat, {}, lab.nat->GetDevice(3), {}));
  EXPECT_FALSE(second->Install(ns3::CreateObject<ns3::Node>(), {}, nullptr, {}));
  EXPECT_FALSE(lab.router->SetAxis("mapping", "eim"));  // it works already
}

TEST(NatRouter, FirewallOnlyKeepsAddresses) {
  // The core would need a route inside, so the packet is seen at the outside link's far end.
  Lab lab({"firewall-only"});
  lab.at_nat = std::make_unique<Recorder>(lab.core, true);
  lab.udp(lab.a, "10.1.0.2:4000", "203.0.113.2:53", "out");
  lab.run();
  ASSERT_EQ(lab.at_nat->seen.size(), 1u);
  EXPECT_EQ(lab.at_nat->seen[0].source().to_string(), "10.1.0.2:4000");
}

}  // namespace
}  // namespace culvert::test
