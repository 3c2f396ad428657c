// The events of a chunk that a stream with on_error = 'dead_letter' sets aside: which ones, and why.
//
// An event is set aside if it is not a JSON object, or if a declared column has a value that is not of its
// type and the event is of the stream as far as can be told: every condition that WHERE joins with AND and
// that reads none of those columns is true. What is set aside is a pure function of the event and the
// stream's definition, whatever columns anybody reads and wherever chunks end.
// Owned and used by one EventSource; one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "processor/sql/plan.h"
#include "processor/vector/evaluate.h"
#include "processor/vector/json_decode.h"
#include "processor/vector/vector.h"
#include "proto/batch.h"

namespace kappa::processor {

// Of an event that `kappa dead retry` appended: the offset, in decimal, of the event that it stands for.
inline constexpr std::string_view kRetryHeader = "kappa-retry-of";
// The offset that the header of a record names; nullopt without a header of that name that holds one.
[[nodiscard]] std::optional<Offset> retry_of(std::string_view encoded_headers);

class SetAside {
 public:
  // `decoded`: the decoder's column of each declared column. `rows_wanted`: somebody reads the letters.
  SetAside(std::shared_ptr<const StreamDefinition> definition, std::vector<std::size_t> decoded, bool rows_wanted);

  void start_chunk();
  // Of one event, in the order of rows; its bytes stay until finish(). The event just decoded has failures:
  void note_failures(std::uint32_t row, std::string_view event, const JsonDecoder& decoder);
  // It is not a JSON object:
  void note_poison(std::uint32_t row, std::string_view event);
  // It has headers (its value may be sound or not):
  void note_headers(std::uint32_t row, std::string_view headers);

  // True if nothing was noted: then finish() would change nothing.
  [[nodiscard]] bool empty() const { return noted_.empty(); }
  // Once all of a chunk is decoded. `sound`: the rows of the chunk that are JSON objects, with the stream's
  // columns. Takes the rows that are set aside out of `kept`.
  void finish(const ChangeBatch& sound, Selection& kept);

  // Events of the chunk that were set aside.
  [[nodiscard]] std::uint64_t count() const { return count_; }
  // What is of interest to a reader of the letters: the events set aside and the retries.
  [[nodiscard]] const Selection& letters() const { return letters_; }
  // Why an event was set aside (NULL: it was not), and what it stands for (NULL: no retry).
  [[nodiscard]] Vector& reason() { return reason_; }
  [[nodiscard]] Vector& retried() { return retried_; }

 private:
  struct Noted {
    std::uint32_t row = 0;
    std::string_view event;
    bool poison = false;
    bool aside = false;
    std::size_t failed_first = 0, failed_end = 0;  // Into failed_: its declared columns that have failures.
    std::optional<Offset> retry_of;
  };
  struct Condition {  // One of those that WHERE joins with AND.
    ExpressionEvaluator evaluator;
    std::vector<std::size_t> columns;
    Selection true_for;
  };
  Noted& note(std::uint32_t row);
  void decide(const ChangeBatch& sound);
  void describe(Arena& arena);

  const std::shared_ptr<const StreamDefinition> definition_;
  const std::vector<std::size_t> decoded_;
  const bool rows_wanted_;
  std::vector<Condition> conditions_;
  std::vector<Noted> noted_;
  std::vector<std::size_t> failed_;
  std::uint64_t count_ = 0;
  Selection letters_;
  Selection scratch_;
  Vector reason_;
  Vector retried_;
  std::optional<JsonDecoder> raw_;  // Every declared column as JSON: what an event has there.
  std::vector<Vector> raw_values_;
};

}  // namespace kappa::processor
