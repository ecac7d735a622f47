// The grid of a scenario: what is varied (axes), what is drawn for each seed, and from them one
// assignment of every parameter per run.
//
// A draw depends on the scenario's seed and the parameter's name alone, so that the cells of one
// seed, and both worlds, see the same network: differences between cells are then the cells' own.
#pragma once

#include <string>
#include <vector>

#include "model/plan/parameters.h"

namespace culvert::plan {

struct Choice {
  std::string label;  // as it stands in a column and an id
  Assignment values;  // what it sets
};

struct Axis {
  std::string name;
  std::vector<Choice> choices;
};

struct GridRequest {
  std::vector<std::pair<std::string, std::string>> sets;  // --set name=value[,value…]
  // Tables whose lists replace those of [vary] (null is skipped, the last wins): a world's
  // [world.NAME.vary], the same labels with, say, scaled time-outs; one [[grid]] of several.
  std::vector<const Item*> own = {};
};

class Grid {
 public:
  // Reads [sets], [vary], [[skip]] and [draw] of a scenario. `parameters` outlives the grid.
  Grid(const Item& scenario, const Parameters& parameters, const GridRequest& request);

  const std::vector<Axis>& axes() const { return axes_; }
  size_t cells() const;
  // Labels of one cell, in the order of the axes.
  std::vector<std::string> labels(size_t cell) const;
  // Does a [[skip]] of the scenario name this cell? Each key is an axis or a parameter with a value
  // or a list of them; a cell that has them all is none.
  bool skipped(size_t cell, const Assignment& overrides) const;
  // Every parameter's value in one cell for one seed; `overrides` (a world's) come before axes.
  Assignment assignment(size_t cell, uint64_t seed, const Assignment& overrides) const;

 private:
  void read_vary(const Item& vary, const Item* sets, const std::vector<const Item*>& own);
  void read_skips(const Item& skips);
  // A choice of this axis under that label, in whichever of the scenario's lists it stands.
  const Choice* known(const std::string& axis, const std::string& label) const;
  void apply_sets(const GridRequest& request, const Item* sets);
  std::vector<Choice> read_choices(const std::string& name, const Item& list) const;
  std::vector<Choice> named_set(const std::string& axis, const std::string& set, const Item* sets,
                                const Item& where) const;
  void draw(Assignment& values, const std::string& name, const Item& item, uint64_t seed) const;
  std::vector<const Choice*> chosen(size_t cell) const;

  const Parameters& parameters_;
  struct Skip {
    std::string name;
    std::vector<std::string> values;
  };
  std::vector<Axis> axes_;
  std::vector<Axis> everywhere_;  // the choices of all lists of each axis
  std::vector<std::vector<Skip>> skips_;
  std::vector<std::pair<std::string, Item>> draws_;
  Assignment fixed_;  // by --set
};

}  // namespace culvert::plan
