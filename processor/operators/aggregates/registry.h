// The table of aggregates: what the binder, the builder and EXPLAIN know of each by its name. A new aggregate
// is one file here and one row of the table in registry.cc (docs/architecture.md shows one).
//
// Static storage, immutable.
#pragma once

#include <optional>
#include <string_view>

#include "processor/operators/aggregates/aggregate.h"
#include "proto/value.h"

namespace kappa::processor {

// What an aggregate keeps if that is not of a fixed size, for EXPLAIN.
struct Keeps {
  std::string_view rows_stay;  // Over input that takes nothing back.
  std::string_view rows_go;
};

struct AggregateKind {
  std::string_view name;  // Aggregate::function of a plan.
  AggregateFactory make = nullptr;
  // The type of the result over values of a type; nullopt: it does not take them.
  std::optional<Type> (*result)(Type argument) = nullptr;
  // How it is written, and what the binder makes of that: Aggregate's arguments, order_by and parameters.
  enum class Form : std::uint8_t {
    kValue,          // f(x): {x}
    kOrdered,        // f(x [ORDER BY ...]): {x}, what orders the rows, what breaks ties
    kLeastBy,        // f(x, y): {x}, y and what breaks ties; rows with NULL y are left out
    kGreatestBy,     // the same, y descending
    kWithinGroup,    // f(p) WITHIN GROUP (ORDER BY x): {}, x, p in 0..1
    kWithFraction,   // f(x, p): {x}, p in 0..1
    kWithDelimiter,  // f(x, delimiter [ORDER BY ...]): {x}, as kOrdered, the delimiter
  };
  Form form = Form::kValue;
  // f(DISTINCT x): around it (distinct.cc), of no consequence, its own affair, or refused.
  enum class Distinct : std::uint8_t { kAround, kSame, kOwn, kRefused };
  Distinct distinct = Distinct::kAround;
  // Cannot take rows back: the error says what to write instead; empty: it can.
  std::string_view instead_of_taking_back;
  Keeps keeps;
};

// nullptr if there is none. Takes the aliases of the language too.
[[nodiscard]] const AggregateKind* find_aggregate(std::string_view name);

// kInvalid 2005: this aggregate over input that takes rows back.
[[nodiscard]] std::unexpected<Error> cannot_take_back(const AggregateKind& kind);

}  // namespace kappa::processor
