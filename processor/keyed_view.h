// Point reads of one view for who reads often: its name, columns and key are looked up once, and many keys are read
// at one applied offset, from the wire form of their values (proto/value.h) to the wire form of rows.
//
// It follows its name: after a cutover it reads the version that serves, unless that has other columns or another
// key. It keeps nothing of the view open between two reads. One thread at a time; not longer than the engine.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "processor/sql/plan.h"
#include "processor/state/state_store.h"
#include "proto/bytes.h"
#include "proto/error.h"
#include "proto/ids.h"

namespace kappa::processor {

// Number of the error of a view whose columns or key are not those it was opened with.
inline constexpr std::uint16_t kViewChanged = 2019;

// The rows of one read, in memory that is used again. One thread.
class KeyedRows {
 public:
  [[nodiscard]] Offset applied() const { return applied_; }
  [[nodiscard]] std::size_t size() const { return ends_.size(); }
  // Of key `i`: the row's wire form, nullopt if there is none. Valid until the next read.
  [[nodiscard]] std::optional<std::string_view> row(std::size_t i) const {
    const std::size_t begin = i == 0 ? 0 : ends_[i - 1];
    if (ends_[i] == begin) return std::nullopt;  // A row is never without bytes.
    return std::string_view(bytes_).substr(begin, ends_[i] - begin);
  }

  // --- for who reads ---
  void begin(Offset applied) {
    static constexpr std::size_t kBytesKept = std::size_t{1} << 20;
    applied_ = applied;
    bytes_.clear();
    if (bytes_.capacity() > kBytesKept) bytes_.shrink_to_fit();
    ends_.clear();
  }
  // Where the next key's row goes, if it has one; then end_row().
  [[nodiscard]] std::string& bytes() { return bytes_; }
  void end_row() { ends_.push_back(bytes_.size()); }
  PointBatch found;

 private:
  Offset applied_;
  std::string bytes_;
  std::vector<std::size_t> ends_;
};

class KeyedView {
 public:
  virtual ~KeyedView() = default;
  // As a client sees them.
  [[nodiscard]] virtual const std::vector<Column>& columns() const = 0;
  [[nodiscard]] virtual const std::vector<Column>& key() const = 0;
  // Whether read() would find it: kNotFound 2003, kInvalid 2019.
  [[nodiscard]] virtual Status check() = 0;
  // Reads a row of key values, as a row travels, and appends the key's bytes for read(). kInvalid 2011, 1010.
  [[nodiscard]] virtual Status encode_key(ByteReader& row, std::string& out) const = 0;
  // All keys at one applied offset; never blocks. kNotFound 2003, kInvalid 2019, kTooLarge 2021 for more than
  // kPointBytesMax of rows, kBusy 2016 if it must_wait(), and errors of the view's state.
  [[nodiscard]] virtual Status read(std::span<const std::string_view> keys, KeyedRows& out) = 0;
};

}  // namespace kappa::processor
