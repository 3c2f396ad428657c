// The end of a derived stream's dataflow: result rows become events, each with the identity that the log
// alone gives it, (source offset, ordinal), and its number in the stream.
//
// The source of an event is the last log event of the cut that its row came of, or, where rows are not cut
// by event because nothing is kept between them, the event that the row is of. Events of one source are put in
// the order of the view's key, then of the row; a row that one source gives and takes back is no event; a row
// that is only taken back is none either: the stream says what came to be. So the same events with the same
// identities follow from the same log prefix, whatever the chunks and restarts.
// Rows given outside of cuts (before the first event) are owed to no event, and are left out.
// One thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "processor/operators/operator.h"
#include "processor/sql/plan.h"
#include "proto/error.h"
#include "proto/ids.h"
#include "proto/value.h"

namespace kappa::processor {

struct DerivedEvent {
  std::uint64_t number = 0;   // Dense in the stream, from 0.
  Offset source;
  std::uint32_t ordinal = 0;  // Among the events of the source, from 0.
  std::string value;          // A JSON object: the visible columns.
  std::optional<std::string> key;  // The GROUP BY key without its window: its text, or a JSON array of several.
  std::optional<Timestamp> timestamp;  // The stream's event time, else the end of the row's window.
};

class DerivedSink final : public Operator {
 public:
  // Takes the next event; an error ends the view.
  using Give = std::function<Status(const DerivedEvent& event)>;

  // `plan` is a derived stream's and must live as long; `stream` is what readers see of it.
  DerivedSink(const ViewPlan& plan, const StreamDefinition& stream, Give give);

  // The number of the next event, to go on from a stored state.
  void set_number(std::uint64_t number) { number_ = number; }
  [[nodiscard]] std::uint64_t number() const { return number_; }

  // Rows that come next are of a cut that ends with this event; gives the events of the one before.
  [[nodiscard]] Status begin_cut(Offset source);
  // After the last cut of a chunk.
  [[nodiscard]] Status end_cut();
  [[nodiscard]] Status push(const ChangeBatch& batch) override;

 private:
  struct Pending {
    std::uint64_t source = 0;
    std::string order;  // Key columns, then all columns, in order-preserving bytes.
    std::int64_t weight = 0;
    Row row;
  };
  [[nodiscard]] Status give(const Pending& row, Offset source, std::uint32_t ordinal);

  const ViewPlan& plan_;
  const Give give_;
  std::optional<std::size_t> offset_column_;  // Where the source's offset stands in each row.
  std::vector<std::size_t> text_key_;         // Columns of the event's key.
  std::optional<std::size_t> time_column_;
  std::int64_t time_shift_micros_ = 0;        // From the column to the timestamp.
  std::vector<std::string> member_starts_;    // {"name": and ,"name":
  std::optional<Offset> cut_;
  std::vector<Pending> pending_;
  std::uint64_t number_ = 0;
};

}  // namespace kappa::processor
