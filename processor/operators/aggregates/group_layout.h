// How the state of one group lies in its entry's value:
//
//   i64 row weight | fixed block of each aggregate | variable part of each aggregate that has one
//
// A fixed block of an aggregate with a variable part begins with that part's length, u32. Fixed blocks
// are changed in place. Little-endian; not aligned.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "processor/state/entry_value.h"

namespace kappa::processor {

template <class T>
[[nodiscard]] inline T load_raw(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
template <class T>
inline void store_raw(char* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

template <class T>
inline void add_raw(char* to, T value) {
  store_raw(to, static_cast<T>(load_raw<T>(to) + value));
}

class GroupLayout {
 public:
  // Adds the block of the next aggregate; returns its number.
  std::size_t add(std::size_t fixed_bytes, bool variable) {
    offsets_.push_back(fixed_end_);
    fixed_end_ += fixed_bytes;
    if (variable) variable_.push_back(offsets_.back());
    return offsets_.size() - 1;
  }
  [[nodiscard]] std::size_t fixed_bytes() const { return fixed_end_; }
  [[nodiscard]] std::size_t offset(std::size_t aggregate) const { return offsets_[aggregate]; }

  [[nodiscard]] static std::int64_t weight(std::string_view value) {
    return load_raw<std::int64_t>(value.data());
  }
  // Whether the value has the size that its lengths say.
  [[nodiscard]] bool fits(std::string_view value) const {
    if (value.size() < fixed_end_) return false;
    std::size_t size = fixed_end_;
    for (const std::size_t at : variable_) size += load_raw<std::uint32_t>(value.data() + at);
    return size == value.size();
  }
  [[nodiscard]] std::string_view variable(std::string_view value, std::size_t aggregate) const {
    return value.substr(variable_offset(value, aggregate),
                        load_raw<std::uint32_t>(value.data() + offsets_[aggregate]));
  }
  void set_variable(EntryValue& value, std::size_t aggregate, std::string_view bytes) const {
    char* const length = value.data() + offsets_[aggregate];
    const std::size_t at = variable_offset(value, aggregate);
    const std::size_t old = load_raw<std::uint32_t>(length);
    store_raw(length, static_cast<std::uint32_t>(bytes.size()));
    if (old != bytes.size())
      value.replace(at, old, bytes);
    else if (old != 0)
      std::memcpy(value.data() + at, bytes.data(), old);
  }

 private:
  [[nodiscard]] std::size_t variable_offset(std::string_view value, std::size_t aggregate) const {
    std::size_t at = fixed_end_;
    for (const std::size_t block : variable_) {
      if (block == offsets_[aggregate]) break;
      at += load_raw<std::uint32_t>(value.data() + block);
    }
    return at;
  }

  std::size_t fixed_end_ = 8;
  std::vector<std::size_t> offsets_;
  std::vector<std::size_t> variable_;  // Offsets of the blocks that have a variable part, in order.
};

}  // namespace kappa::processor
