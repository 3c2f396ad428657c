// Reads of a view by its key: get, and scans by prefix and range, against the view's whole answer.
#pragma once

#include <string>
#include <vector>

#include "tests/oracle/dual.h"
#include "tests/oracle/kappa_engine.h"
#include "tests/oracle/random.h"

namespace kappa::oracle {

// `expected`: what SQLite says is in the view, which has applied everything. Empty: every read gave just the
// rows that its keys ask for, in the order of the key.
[[nodiscard]] std::string check_key_reads(KappaEngine& engine, Random& random, const std::string& view,
                                          std::vector<Cells> expected, const std::vector<Column>& columns);

}  // namespace kappa::oracle
