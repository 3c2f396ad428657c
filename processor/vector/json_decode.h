// JSON events to column vectors: one pass over each event, whole validation, only the columns that
// any view of the topic needs.
//
// The outcome for an event never depends on which columns are asked for: the whole event is valid
// RFC 8259 JSON with an object at the top (strict UTF-8, depth <= limits::kJsonDepthMax), or it is
// poison. The last of duplicate members wins, at every level of a path. A missing member, a null and
// a value that is not of the column's type read as NULL; the last kind is a conversion failure.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "processor/sql/plan.h"
#include "processor/vector/vector.h"
#include "proto/error.h"

namespace kappa::processor {

// Checks one event. kInvalid 5001 (not JSON; the message says what and at which byte when known),
// 5002 (top level is not an object), 5003 (nested too deeply), 5004 (invalid UTF-8).
// Thread-safe; keeps a parser per thread.
[[nodiscard]] Status validate_json_event(std::string_view event);

// Decodes events of one topic into columns. One thread at a time.
class JsonDecoder {
 public:
  // `columns` are deduplicated by the caller; each gets a vector in the same order.
  explicit JsonDecoder(std::vector<StreamColumn> columns);
  ~JsonDecoder();
  JsonDecoder(JsonDecoder&&) noexcept;
  JsonDecoder& operator=(JsonDecoder&&) noexcept;

  // Prepares `out` (one Vector per column) for a new batch of at most kVectorRows events.
  void start(std::vector<Vector>& out);
  // Decodes one event into position `row` of `out`. Returns false if the event is poison (every
  // column is NULL there then). Escaped text is copied to `arena`; other text points into `event`.
  // `padded`: at least 64 bytes behind the event may be read, which is faster and makes no other difference.
  [[nodiscard]] bool decode(std::string_view event, std::size_t row, std::vector<Vector>& out, Arena& arena,
                            bool padded);
  // Conversion failures per column since construction.
  [[nodiscard]] const std::vector<std::uint64_t>& conversion_failures() const;
  // Of the last event alone: how many columns have one (none in a poison event), and which.
  [[nodiscard]] std::size_t event_failures() const;
  [[nodiscard]] bool event_failed(std::size_t column) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kappa::processor
