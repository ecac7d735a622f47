// culvert-natbox: makes the namespace it runs in a NAT router that behaves as model/nat says.
// Events as JSON lines on stdout, commands as lines on stdin: reboot, rebind, address ADDR, stats.
#include <CLI/CLI.hpp>
#include <iostream>

#include "impl/natbox/box.h"
#include "impl/natbox/plumbing.h"
#include "impl/natbox/tun.h"
#include "impl/program.h"
#include "impl/wire/clock.h"
#include "model/nat/presets.h"

namespace culvert::natbox {
namespace {

int fail(const std::string& sentence) {
  std::cerr << "culvert-natbox: " << sentence << "\n";
  return 2;
}

int run(int argc, char** argv) {
  CLI::App app{
      "A NAT router in this network namespace (needs CAP_NET_ADMIN).\n"
      "Commands on stdin: reboot | rebind | address ADDR[,ADDR] | stats"};
  BoxOptions options;
  options.epoch_ns = wire::now_ns();
  options.kind = "port-restricted-cone";
  PlumbingOptions plumbing_options;
  std::vector<std::string> public_texts, axes;
  bool quiet = false;
  app.add_option("--inside", plumbing_options.inside, "interface on the inside; may be repeated")
      ->required();
  app.add_option("--outside", plumbing_options.outside, "interface on the outside")->required();
  app.add_option("--public", public_texts, "public IPv4 addresses")->delimiter(',');
  app.add_option("--kind", options.kind, "a preset such as symmetric, or eim-eif ... apdm-apdf");
  app.add_option("--set", axes, "axis=value, over what the kind says; may be repeated");
  app.add_option("--seed", options.seed, "of port choice");
  app.add_option("--epoch-ns", options.epoch_ns, "start of the run on the monotonic clock");
  app.add_option("--node", options.node, "the node's name in events");
  app.add_flag("--quiet", quiet, "no event for every packet and mapping");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    return fail(error.what());
  }
  options.log_packets = !quiet;

  auto config = nat::from_preset(options.kind);
  if (!config) return fail(config.status().detail);
  for (const std::string& axis : axes) {
    const size_t equals = axis.find('=');
    if (equals == std::string::npos) return fail("--set takes AXIS=VALUE, not '" + axis + "'");
    const auto status = nat::set(*config, axis.substr(0, equals), axis.substr(equals + 1));
    if (!status) return fail(status.detail);
  }
  if (const auto status = nat::check(*config); !status) return fail(status.detail);
  options.config = *config;
  std::vector<net::IpAddress> addresses;
  for (const std::string& text : public_texts) {
    const auto address = net::IpAddress::parse(text);
    if (!address || !address->is_v4()) return fail("'" + text + "' is no IPv4 address");
    addresses.push_back(*address);
  }
  if (config->kind == nat::Kind::nat) {
    if (addresses.empty()) return fail("a NAT needs --public ADDRESS");
    plumbing_options.public_addresses = addresses;
  }
  if (const auto status = nat::check_addresses(*config, addresses); !status)
    return fail(status.detail);

  Plumbing plumbing(plumbing_options);
  if (const auto status = plumbing.check(); !status) return fail(status.detail);
  const auto in = open_tun(kTunIn);
  if (!in) return fail(in.status().detail);
  const auto out = open_tun(kTunOut);
  if (!out) return fail(out.status().detail);
  if (const auto status = plumbing.set_up(); !status) return fail(status.detail);
  Box box(options, plumbing, addresses, *in, *out);
  box.run();
  return 0;
}

}  // namespace
}  // namespace culvert::natbox

int main(int argc, char** argv) {
  return culvert::run_program("culvert-natbox", [&] { return culvert::natbox::run(argc, argv); });
}
