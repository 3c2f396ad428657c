// Which rows of a text column are equal, found once for all views that group by it.
//
// Each distinct text of a chunk gets a number, in the order of first appearance; NULL counts as one more text. A view
// that groups by the column then looks up each distinct key once, and knows the rest by their numbers. Columns that
// mostly have other texts in every row give nothing, and are tried only now and then.
//
// Belongs to a vector (Vector::offer_codes) whose values do not change until the next reset. One thread at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace kappa::processor {

class Vector;

class TextCodes {
 public:
  // A new chunk: the vector's first `count` rows.
  void start(std::size_t count) {
    count_ = count;
    state_ = State::kUseless;
    if (count < kRowsMin) return;
    if (skip_ == 0) state_ = State::kUnknown;
    if (skip_ > 0) --skip_;
  }
  // Nothing is known of the vector any more.
  void end() { state_ = State::kUseless; }
  // By row, each below distinct(); null: not worth it, or not worth finding for `rows` rows alone.
  [[nodiscard]] const std::uint16_t* find(const Vector& vector, std::size_t rows) {
    if (state_ == State::kUnknown && rows * kShareMin >= count_) number(vector);
    return state_ == State::kKnown ? codes_.data() : nullptr;
  }
  [[nodiscard]] std::size_t distinct() const { return distinct_.size(); }

 private:
  enum class State : std::uint8_t { kUseless, kUnknown, kKnown };
  static constexpr std::size_t kShareMin = 4;
  static constexpr std::size_t kRowsMin = 64;
  static constexpr unsigned kChunksSkipped = 63;
  static constexpr std::size_t kSlots = 4096;  // Twice the rows of a chunk.
  void number(const Vector& vector);

  State state_ = State::kUseless;
  unsigned skip_ = 0;
  std::size_t count_ = 0;
  std::vector<std::uint16_t> codes_;
  std::vector<std::uint32_t> distinct_;     // Row of the first appearance, by code.
  std::array<std::uint16_t, kSlots> slots_;  // Code + 1; 0: free.
};

}  // namespace kappa::processor
