#include "model/services/command_line.h"

namespace culvert::services {
namespace {

net::Endpoint to_endpoint(const std::string& name, const std::string& text) {
  const auto endpoint = net::Endpoint::parse(text);
  if (!endpoint) throw CLI::ValidationError(name, "'" + text + "' is not ADDRESS:PORT");
  return *endpoint;
}

}  // namespace

CLI::Option* add_endpoint(CLI::App& app, const std::string& name, net::Endpoint& value,
                          const std::string& about) {
  return app
      .add_option_function<std::string>(
          name, [&value, name](const std::string& text) { value = to_endpoint(name, text); }, about)
      ->type_name("ADDRESS:PORT");
}

CLI::Option* add_endpoints(CLI::App& app, const std::string& name,
                           std::vector<net::Endpoint>& values, const std::string& about) {
  return app
      .add_option_function<std::vector<std::string>>(
          name,
          [&values, name](const std::vector<std::string>& texts) {
            for (const auto& text : texts) values.push_back(to_endpoint(name, text));
          },
          about)
      ->type_name("ADDRESS:PORT")
      ->type_size(1)
      ->expected(1, 64)
      ->allow_extra_args(false);
}

CLI::Option* add_ms(CLI::App& app, const std::string& name, net::Duration& value,
                    const std::string& about) {
  return app
      .add_option_function<double>(
          name,
          [&value, name](const double& ms) {
            // A day: nothing that a service waits for is longer, and the sums cannot overflow.
            if (!(ms >= 0 && ms <= 86400000.0))
              throw CLI::ValidationError(name, "must lie in 0..86400000 ms");
            value = net::from_ms(ms);
          },
          about)
      ->type_name("MS")
      ->default_str(std::to_string(value.count() / 1000000));
}

CLI::Option* add_target(CLI::App& app, const std::string& name, Target& value,
                        const std::string& about) {
  return app
      .add_option_function<std::string>(
          name,
          [&value, name](const std::string& text) {
            if (const auto endpoint = net::Endpoint::parse(text)) {
              value = {endpoint->ip.to_string(), endpoint->port};
              return;
            }
            const size_t colon = text.rfind(':');
            const std::string port = colon == std::string::npos ? "" : text.substr(colon + 1);
            unsigned number = 0;
            for (const char c : port)
              number = c < '0' || c > '9' || number > 65535 ? 65536 : number * 10 + (c - '0');
            if (colon == 0 || port.empty() || number == 0 || number > 65535 ||
                text.find(':') != colon)
              throw CLI::ValidationError(name, "'" + text + "' is not NAME:PORT or ADDRESS:PORT");
            value = {text.substr(0, colon), static_cast<uint16_t>(number)};
          },
          about)
      ->type_name("NAME:PORT");
}

}  // namespace culvert::services
