// What `--help` prints for a service, made from the options that it declared to CLI11: groups,
// units, defaults, ranges, an example. Only model/services/registry.cc uses it.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>

namespace culvert::services {

// `example`: a command line that works, without the program's name. `statuses`: what the program
// exits with; empty: what every service does.
std::string help_text(const CLI::App& app, std::string_view example, std::string_view statuses);

// What is wrong with a command line, as one sentence; what CLI11 threw is `error`.
std::string sentence_of(const CLI::App& app, const CLI::Error& error);

}  // namespace culvert::services
