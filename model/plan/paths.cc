// One-way delays between hosts and NATs along the routes, for whoever compares with a bound.
#include <deque>
#include <map>

#include "model/plan/network.h"

namespace culvert::plan {

boost::json::object one_way_delays_ms(const Network& network) {
  boost::json::object out;
  for (const Node& start : network.nodes) {
    if (start.kind == "router") continue;
    std::map<std::string, double> delay{{start.name, 0}};
    std::deque<const Node*> todo{&start};
    while (!todo.empty()) {
      const Node& node = *todo.front();
      todo.pop_front();
      if (node.kind == "host" && &node != &start) continue;  // hosts do not forward
      for (const Interface& i : node.interfaces) {
        const Link& link = *network.link(i.link);
        for (const std::string& end : link.ends)
          if (delay.emplace(end, delay[node.name] + link.delay_ms).second)
            todo.push_back(network.node(end));
      }
    }
    for (const Node& end : network.nodes)
      if (&end != &start && end.kind != "router" && delay.count(end.name))
        out[start.name + ">" + end.name] = delay[end.name];
  }
  return out;
}

}  // namespace culvert::plan
