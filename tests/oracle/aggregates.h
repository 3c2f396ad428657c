// The grammar of aggregates: every aggregate that SQLite can express, over any scope.
#pragma once

#include <set>
#include <string>

#include "tests/oracle/expressions.h"
#include "tests/oracle/from.h"
#include "tests/oracle/random.h"

namespace kappa::oracle {

class Aggregates {
 public:
  Aggregates(Random& random, const From& from, std::set<std::string>& used)
      : random_(random), from_(from), used_(used), expressions_(random, from.scope, used) {}

  // One aggregate call, with or without FILTER.
  Term any();
  // A condition on aggregates, for HAVING.
  Term having();

 private:
  Term simple(const Dual& filter);
  Term sum_or_average(const Dual& filter);
  Term extreme(const Dual& filter);
  Term spread(const Dual& filter);
  Term ordered(const Dual& filter);
  Term percentile(const Dual& filter);
  Term array(const Dual& filter);
  Term approximate(const Dual& filter);
  void note(const char* production) { used_.insert(production); }

  Random& random_;
  const From& from_;
  std::set<std::string>& used_;
  Expressions expressions_;
};

}  // namespace kappa::oracle
