// Column vectors: a batch of values of one type, the form in which events are decoded, expressions
// are evaluated and operators exchange changes.
//
// Invariants: valid()[i] is 1 or 0; data at an invalid position is unspecified but initialised.
// Text does not belong to the vector: it points into an Arena or into the log's mapped bytes, both of
// which outlive the ChangeBatch. One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "processor/vector/text_codes.h"
#include "proto/check.h"
#include "proto/value.h"

namespace kappa::processor {

// Rows in one ChangeBatch, at most: fits the caches, amortises the dispatch.
inline constexpr std::size_t kVectorRows = 2048;

// Bump allocator for the text of one batch. reset() keeps the first megabytes for the next.
class Arena {
 public:
  // Uninitialised bytes that live until reset().
  [[nodiscard]] char* allocate(std::size_t bytes);
  [[nodiscard]] std::string_view copy(std::string_view text);
  void reset();
  // What it holds, used or not.
  [[nodiscard]] std::size_t bytes() const;

 private:
  struct Block {
    std::unique_ptr<char[]> data;
    std::size_t size = 0;
  };
  std::vector<Block> blocks_;
  std::size_t block_ = 0;
  std::size_t used_ = 0;
};

// How a type lies in memory.
enum class Physical : std::uint8_t { kBool, kInt64, kDouble, kInt128, kText };
[[nodiscard]] constexpr Physical physical_of(TypeId id) {
  switch (id) {
    case TypeId::kBoolean: return Physical::kBool;
    case TypeId::kDouble: return Physical::kDouble;
    case TypeId::kNumeric: return Physical::kInt128;
    case TypeId::kText:
    case TypeId::kJson: return Physical::kText;
    case TypeId::kNull:
    case TypeId::kBigint:
    case TypeId::kTimestamp:
    case TypeId::kInterval: return Physical::kInt64;
  }
  return Physical::kInt64;
}

class Vector {
 public:
  Vector() = default;
  explicit Vector(Type type) : type_(type) {}

  [[nodiscard]] Type type() const { return type_; }
  [[nodiscard]] std::size_t size() const { return valid_.size(); }
  // Sets the size; new positions are NULL (and zero). Keeps capacity.
  void resize(std::size_t size);
  // Type and size at once, for reuse across batches.
  void reset(Type type, std::size_t size);

  [[nodiscard]] std::uint8_t* valid() { return valid_.data(); }
  [[nodiscard]] const std::uint8_t* valid() const { return valid_.data(); }

  // The data of the vector; T must be the physical type: std::uint8_t (kBool), std::int64_t, double,
  // Int128 or std::string_view.
  template <class T>
  [[nodiscard]] T* data() {
    return reinterpret_cast<T*>(storage<T>().data());
  }
  template <class T>
  [[nodiscard]] const T* data() const {
    return const_cast<Vector*>(this)->data<T>();
  }

  // From here to the next reset() or resize() the first `count` values stay as they are. Nothing for other types
  // than text.
  void offer_codes(std::size_t count);
  // Numbers of equal texts, for a caller that looks at `rows` rows; null: none (text_codes.h).
  struct Codes {
    const std::uint16_t* of = nullptr;  // By row.
    std::size_t distinct = 0;
  };
  [[nodiscard]] Codes codes(std::size_t rows) const {
    if (!codes_) return {};
    const std::uint16_t* const of = codes_->find(*this, rows);
    return {of, codes_->distinct()};
  }

  // Slow paths: one value in or out. Text set here is copied into `arena`.
  [[nodiscard]] Value value(std::size_t row) const;
  void set(std::size_t row, const Value& value, Arena& arena);

 private:
  template <class T>
  [[nodiscard]] std::vector<T>& storage() {
    if constexpr (std::is_same_v<T, std::uint8_t>) return bools_;
    else if constexpr (std::is_same_v<T, std::int64_t>) return int64s_;
    else if constexpr (std::is_same_v<T, double>) return doubles_;
    else if constexpr (std::is_same_v<T, Int128>) return int128s_;
    else {
      static_assert(std::is_same_v<T, std::string_view>);
      return texts_;
    }
  }
  Type type_;
  std::vector<std::uint8_t> valid_;
  std::vector<std::uint8_t> bools_;
  std::vector<std::int64_t> int64s_;
  std::vector<double> doubles_;
  std::vector<Int128> int128s_;
  std::vector<std::string_view> texts_;
  std::unique_ptr<TextCodes> codes_;
};

// Positions of the rows that count, ascending.
using Selection = std::vector<std::uint32_t>;

// Changes: `count` rows, column by column, each with a signed weight (DBSP: +1 inserted, -1 taken
// back, +n a bag's n copies). Rows outside the selection do not exist for the receiver.
struct ChangeBatch {
  std::size_t count = 0;
  std::vector<Vector*> columns;            // Borrowed; each has at least `count` values.
  std::span<const std::int64_t> weights;   // Empty: all +1.
  const Selection* selection = nullptr;    // nullptr: all rows.
  Arena* arena = nullptr;                  // For text that operators make; lives as long as the batch.

  [[nodiscard]] std::size_t selected() const { return selection ? selection->size() : count; }
  [[nodiscard]] std::int64_t weight(std::size_t row) const { return weights.empty() ? 1 : weights[row]; }
};

// Calls body(row) for every row that counts.
template <class Body>
inline void for_each_row(const ChangeBatch& batch, Body&& body) {
  if (batch.selection) {
    for (const std::uint32_t row : *batch.selection) body(row);
  } else {
    for (std::uint32_t row = 0; row < batch.count; ++row) body(row);
  }
}

}  // namespace kappa::processor
