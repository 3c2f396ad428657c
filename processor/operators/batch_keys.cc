// See batch_keys.h.
#include "processor/operators/batch_keys.h"

#include <algorithm>
#include <cstring>

#include "processor/state/key_encoding.h"
#include "processor/vector/short_bytes.h"

namespace kappa::processor {
namespace {

constexpr std::size_t kBytesKept = std::size_t{1} << 20;  // One batch of huge keys must not hold its memory for ever.

}  // namespace

void BatchKeys::reserve(std::size_t bytes) {
  if (capacity_ - used_ >= bytes) return;
  const std::size_t capacity = std::max({used_ + bytes, capacity_ * 2, std::size_t{4096}});
  auto grown = std::make_unique_for_overwrite<char[]>(capacity);
  if (used_ > 0) std::memcpy(grown.get(), bytes_.get(), used_);
  bytes_ = std::move(grown);
  capacity_ = capacity;
}

void BatchKeys::append(const Vector& column, std::size_t row) {
  reserve(key_bytes_max(column, row));
  used_ = static_cast<std::size_t>(write_key(column, row, bytes_.get() + used_) - bytes_.get());
}

void BatchKeys::find(std::span<const Vector* const> columns, const Selection& rows) {
  if (capacity_ > kBytesKept) {
    bytes_.reset();
    capacity_ = 0;
  }
  used_ = 0;
  ends_.clear();
  keys_.clear();
  first_rows_.clear();
  key_of_.resize(rows.size());
  const Vector::Codes codes = columns.size() == 1 ? columns[0]->codes(rows.size()) : Vector::Codes{};
  if (codes.of != nullptr) {
    find_by_codes(*columns[0], codes, rows);
  } else {
    std::size_t previous = 0;
    std::size_t previous_bytes = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::size_t begin = used_;
      for (const Vector* const column : columns) append(*column, rows[i]);
      const std::string_view bytes(bytes_.get() + begin, used_ - begin);
      if (i > 0 && same_bytes(bytes, {bytes_.get() + previous, previous_bytes})) {
        used_ = begin;
      } else {
        previous = begin;
        previous_bytes = bytes.size();
        ends_.push_back(used_);
        first_rows_.push_back(rows[i]);
      }
      key_of_[i] = static_cast<std::uint32_t>(ends_.size() - 1);
    }
  }
  for (std::size_t i = 0, begin = 0; i < ends_.size(); begin = ends_[i++])
    keys_.emplace_back(bytes_.get() + begin, ends_[i] - begin);
}

void BatchKeys::find_by_codes(const Vector& column, const Vector::Codes& codes, const Selection& rows) {
  static constexpr std::uint32_t kNone = UINT32_MAX;
  key_of_code_.assign(codes.distinct, kNone);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::uint32_t& key = key_of_code_[codes.of[rows[i]]];
    if (key == kNone) [[unlikely]] {
      append(column, rows[i]);
      key = static_cast<std::uint32_t>(ends_.size());
      ends_.push_back(used_);
      first_rows_.push_back(rows[i]);
    }
    key_of_[i] = key;
  }
}

}  // namespace kappa::processor
