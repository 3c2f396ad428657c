// What a SELECT reads: a FROM clause in both spellings, and the scope that it opens.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tests/oracle/dual.h"
#include "tests/oracle/expressions.h"

namespace kappa::oracle {

struct From {
  Dual text;
  Scope scope;
  // The one stream that gives the rows: `alias._offset` breaks ties. Empty: rows have no offset.
  std::string stream_alias;
  std::string event_time;  // "alias.ts" of that stream.
  // One source: its alias, so that SQLite can wrap it ("SELECT alias.*").
  std::string single_alias;
  // Windows of a table function: columns to group by.
  bool windowed = false;
  // Aggregates over it take rows back, though it is a stream: sessions that merge.
  bool sessions = false;
  std::vector<std::string> needs;
};

}  // namespace kappa::oracle
