// The keys of a batch's rows, encoded and with most repetitions left out: what an operator asks its state for.
//
// Rows that follow each other with one key share it; with a single text column whose equal texts are known
// (text_codes.h) all rows of one key do. A key may come twice otherwise. Keys are in the order of the first rows that
// have them. The bytes are those of append_key() (key_encoding.h).
//
// One thread. Everything lives until the next find().
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "processor/vector/vector.h"

namespace kappa::processor {

class BatchKeys {
 public:
  // `columns` are the parts of the key, `rows` ascending positions in them.
  void find(std::span<const Vector* const> columns, const Selection& rows);
  [[nodiscard]] std::span<const std::string_view> keys() const { return keys_; }
  // The first row of each key.
  [[nodiscard]] std::span<const std::uint32_t> first_rows() const { return first_rows_; }
  // Index into keys() of each of the rows, in their order.
  [[nodiscard]] std::span<const std::uint32_t> key_of() const { return key_of_; }

 private:
  void find_by_codes(const Vector& column, const Vector::Codes& codes, const Selection& rows);
  // Room for `bytes` more.
  void reserve(std::size_t bytes);
  void append(const Vector& column, std::size_t row);

  std::unique_ptr<char[]> bytes_;
  std::size_t capacity_ = 0;
  std::size_t used_ = 0;
  std::vector<std::size_t> ends_;
  std::vector<std::string_view> keys_;
  std::vector<std::uint32_t> first_rows_;
  std::vector<std::uint32_t> key_of_;
  std::vector<std::uint32_t> key_of_code_;
};

}  // namespace kappa::processor
