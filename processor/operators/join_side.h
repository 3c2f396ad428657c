// The rows of one input of a join, found by join key. Three forms, by what the input promises:
//
// kList: rows are never taken back and come in the log's order. Arrival order, in chunks, so that a key with very
// many rows costs no more than one with few:
//   join key, u32 big-endian chunk -> (chunk 0: u32 number of the last chunk) | (varint length, row bytes)*
// kUnique: at most one row a key at rest:
//   join key -> rows with weights (copies.h)
// kOrdered: everything else. Follows from the rows alone; with a time bound a probe is a range of times:
//   join key, [8 bytes time, big-endian, sign flipped], u64 big-endian hash of the row bytes -> rows with weights
//
// Of the processor thread. State grows with the rows of the input.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "processor/operators/copies.h"
#include "processor/state/state_store.h"
#include "proto/error.h"

namespace kappa::processor {

class JoinSide {
 public:
  enum class Form : std::uint8_t { kList, kUnique, kOrdered };
  JoinSide(Form form, bool timed, StateStore& store, TableId table);

  // Loads what add() and for_each() will need of a key (without a row: of for_each() only), while readers may
  // still read.
  [[nodiscard]] Status load(std::string_view key, std::int64_t time, std::optional<std::string_view> row);
  // Changes the row's weight; after begin_changes(). kCorrupt 3301.
  [[nodiscard]] Status add(std::string_view key, std::int64_t time, std::string_view row, std::int64_t weight);

  // Inclusive; of the times of a timed side.
  struct Times {
    std::int64_t from = INT64_MIN;
    std::int64_t to = INT64_MAX;
  };
  // Calls body(row bytes, weight) -> Status for the rows of a key. The body may change anything but this side.
  template <class Body>
  [[nodiscard]] Status for_each(std::string_view key, Times times, Body&& body);
  // Whether the key has a row with a weight above zero.
  [[nodiscard]] Expected<bool> any(std::string_view key);

 private:
  [[nodiscard]] std::string_view chunk_key(std::string_view key, std::uint32_t chunk);
  [[nodiscard]] std::string_view row_key(std::string_view key, std::int64_t time, std::string_view row);
  [[nodiscard]] Status append(std::string_view key, std::string_view row);
  [[nodiscard]] KeyRange range_of(std::string_view key, Times times) const;
  // The next values of the range, which is moved behind them; whether there may be more.
  [[nodiscard]] Expected<bool> read_piece(KeyRange& range, std::vector<std::string>& values);
  template <class Body>
  [[nodiscard]] static Status each_copy(std::string_view value, Body& body);

  const Form form_;
  const bool timed_;
  StateStore& store_;
  const TableId table_;
  std::string key_;
  std::string scratch_;
};

template <class Body>
Status JoinSide::each_copy(std::string_view value, Body& body) {
  ByteReader in(as_bytes(value));
  while (in.remaining() > 0) {
    const StoredCopy copy = next_copy(in);
    if (copy.weight == 0) return damaged_state("a row of a join");
    KAPPA_CHECK_OK(body(copy.row, copy.weight));
  }
  return {};
}

template <class Body>
Status JoinSide::for_each(std::string_view key, Times times, Body&& body) {
  switch (form_) {
    case Form::kUnique: {
      KAPPA_TRY(const StateEntry* const entry, store_.entry(table_, key));
      return entry->exists ? each_copy(entry->value, body) : Status{};
    }
    case Form::kOrdered: {
      if (timed_ && times.from > times.to) return {};
      // What follows from a row changes the store, which ends a cursor: so in pieces.
      KeyRange range = range_of(key, times);
      std::vector<std::string> values;
      for (;;) {
        KAPPA_TRY(const bool more, read_piece(range, values));
        for (const std::string& value : values) KAPPA_CHECK_OK(each_copy(value, body));
        if (!more) return {};
      }
    }
    case Form::kList: break;
  }
  KAPPA_TRY(const StateEntry* entry, store_.entry(table_, chunk_key(key, 0)));
  if (!entry->exists) return {};
  ByteReader in(as_bytes(entry->value));
  const std::uint32_t last = in.u32();
  for (std::uint32_t chunk = 0;;) {
    while (in.remaining() > 0) {
      const std::string_view row = in.text(static_cast<std::size_t>(in.varint()));
      if (!in.ok()) return damaged_state("a row of a join");
      KAPPA_CHECK_OK(body(row, std::int64_t{1}));
    }
    if (!in.ok()) return damaged_state("a row of a join");
    if (chunk++ == last) return {};
    KAPPA_TRY(entry, store_.entry(table_, chunk_key(key, chunk)));
    in = ByteReader(as_bytes(entry->value));
  }
}

}  // namespace kappa::processor
