// The value of a state entry: bytes that are changed in place, like a std::string in half its size. It begins in
// room that lies beside the entry, and moves to the heap when it outgrows that.
//
// Not thread-safe. At most 2 GiB, far above what a log batch can bring.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "proto/check.h"

namespace kappa::processor {

class EntryValue {
 public:
  EntryValue() = default;
  // `room` of `bytes` stays the caller's, and must live as long.
  EntryValue(char* room, std::size_t bytes) : data_(room), capacity_(static_cast<std::uint32_t>(bytes) & 0x7fff'ffffU) {}
  ~EntryValue() {
    if (owned_) std::free(data_);
  }
  EntryValue(const EntryValue&) = delete;
  EntryValue& operator=(const EntryValue&) = delete;

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] char* data() { return data_; }
  [[nodiscard]] const char* data() const { return data_; }
  [[nodiscard]] std::string_view view() const { return {data_, size_}; }
  operator std::string_view() const { return view(); }  // Not explicit: it stands for its bytes.
  [[nodiscard]] char& operator[](std::size_t i) { return data_[i]; }
  [[nodiscard]] char operator[](std::size_t i) const { return data_[i]; }
  // Bytes on the heap that are its own.
  [[nodiscard]] std::size_t heap_bytes() const { return owned_ ? capacity_ : 0; }

  void clear() { size_ = 0; }
  void reserve(std::size_t bytes) {
    if (bytes > capacity_) grow(bytes);
  }
  // New bytes are zero.
  void resize(std::size_t bytes) {
    reserve(bytes);
    if (bytes > size_) std::memset(data_ + size_, 0, bytes - size_);
    size_ = static_cast<std::uint32_t>(bytes);
  }
  // `bytes` must not be a part of this value, here and below.
  void assign(std::string_view bytes) {
    size_ = 0;
    append(bytes);
  }
  void assign(std::size_t count, char byte) {
    reserve(count);
    if (count > 0) std::memset(data_, byte, count);
    size_ = static_cast<std::uint32_t>(count);
  }
  EntryValue& operator=(std::string_view bytes) {
    assign(bytes);
    return *this;
  }
  void append(std::string_view bytes) {
    reserve(size_ + bytes.size());
    if (!bytes.empty()) std::memcpy(data_ + size_, bytes.data(), bytes.size());
    size_ += static_cast<std::uint32_t>(bytes.size());
  }
  EntryValue& operator+=(std::string_view bytes) {
    append(bytes);
    return *this;
  }
  void push_back(char byte) { append({&byte, 1}); }
  // Puts `bytes` in the place of `count` bytes from `at` on.
  void replace(std::size_t at, std::size_t count, std::string_view bytes) {
    KAPPA_CHECK(at + count <= size_, "replace() beyond the end of a value");
    const std::size_t tail = size_ - at - count;
    reserve(at + bytes.size() + tail);
    if (tail > 0) std::memmove(data_ + at + bytes.size(), data_ + at + count, tail);
    if (!bytes.empty()) std::memcpy(data_ + at, bytes.data(), bytes.size());
    size_ = static_cast<std::uint32_t>(at + bytes.size() + tail);
  }

  friend bool operator==(const EntryValue& a, std::string_view b) { return a.view() == b; }

 private:
  void grow(std::size_t bytes) {
    static constexpr std::size_t kBytesMax = (std::size_t{1} << 31) - 1;
    KAPPA_CHECK(bytes <= kBytesMax, "a value of the state is over 2 GiB");
    const std::size_t room = std::min(std::max(bytes, capacity_ + capacity_ / std::size_t{2}), kBytesMax);
    char* const data = static_cast<char*>(std::malloc(room));
    KAPPA_CHECK(data != nullptr, "out of memory");
    if (size_ > 0) std::memcpy(data, data_, size_);
    if (owned_) std::free(data_);
    data_ = data;
    capacity_ = static_cast<std::uint32_t>(room) & 0x7fff'ffffU;
    owned_ = 1;
  }

  char* data_ = nullptr;
  std::uint32_t size_ = 0;
  std::uint32_t capacity_ : 31 = 0;
  std::uint32_t owned_ : 1 = 0;
};
static_assert(sizeof(EntryValue) == 16);

}  // namespace kappa::processor
