#include "scenarios/ns3_runner/run_log.h"

#include <algorithm>

namespace culvert::runner {

net::EventLog::Sink RunLog::sink(const std::string& node, size_t rank) {
  return [this, node, rank](std::string_view line) { write(node, rank, line); };
}

std::unique_ptr<net::EventLog> RunLog::open(const std::string& node, size_t rank) {
  return std::make_unique<net::EventLog>(node, now_, sink(node, rank));
}

void RunLog::watch(const Condition& condition, std::function<void()> met) {
  // As EventLog writes it: the fields' order is part of the format.
  std::string head = ",\"service\":";
  net::append_json_string(head, condition.service);
  head += ",\"event\":";
  net::append_json_string(head, condition.event);
  watches_.push_back(
      {std::move(head), {condition.nodes.begin(), condition.nodes.end()}, std::move(met)});
}

void RunLog::write(const std::string& node, size_t rank, std::string_view line) {
  const net::Time now = now_();
  if (now != moment_) {
    flush_moment();
    moment_ = now;
  }
  pending_.push_back({rank, std::string(line)});
  for (size_t i = 0; i < watches_.size(); ++i) {
    Watch& watch = watches_[i];
    if (watch.missing.empty() || watch.missing.count(node) == 0) continue;
    const size_t at = line.find(watch.head);
    if (at == std::string_view::npos) continue;
    const char next = at + watch.head.size() < line.size() ? line[at + watch.head.size()] : 0;
    if (next != ',' && next != '}') continue;
    watch.missing.erase(node);
    if (watch.missing.empty()) watch.met();
  }
}

void RunLog::flush_moment() {
  std::stable_sort(pending_.begin(), pending_.end(),
                   [](const Line& a, const Line& b) { return a.rank < b.rank; });
  for (const Line& line : pending_) {
    text_ += line.text;
    text_ += '\n';
  }
  pending_.clear();
}

std::string RunLog::take() {
  flush_moment();
  return std::move(text_);
}

}  // namespace culvert::runner
