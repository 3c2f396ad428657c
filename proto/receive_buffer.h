// A contiguous buffer between a socket and a frame parser: bytes arrive at the back and leave at the
// front. It grows only when asked for a certain room, and never gives up its bytes' order. Unlike a
// string it does not fill new room with zeros first. One thread.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>

#include "proto/bytes.h"

namespace kappa {

class ReceiveBuffer {
 public:
  // What has arrived and was not consumed. Valid until the next call of room().
  [[nodiscard]] Bytes bytes() const { return {data_.get() + begin_, end_ - begin_}; }
  [[nodiscard]] std::size_t size() const { return end_ - begin_; }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  void consume(std::size_t count) {
    begin_ += count;
    if (begin_ == end_) begin_ = end_ = 0;
  }

  // Room for more: such that at least `total` unconsumed bytes fit altogether. Moves the bytes to the
  // front only when the room at the back does not do.
  [[nodiscard]] std::span<std::byte> room(std::size_t total) {
    if (capacity_ - begin_ < total || capacity_ == end_) {
      if (total > capacity_) {
        auto larger = std::make_unique_for_overwrite<std::byte[]>(total);
        if (size() != 0) std::memcpy(larger.get(), data_.get() + begin_, size());
        data_ = std::move(larger);
        capacity_ = total;
      } else if (size() != 0) {
        std::memmove(data_.get(), data_.get() + begin_, size());
      }
      end_ -= begin_;
      begin_ = 0;
    }
    return {data_.get() + end_, capacity_ - end_};
  }
  // `count` bytes were written into the room.
  void commit(std::size_t count) { end_ += count; }
  // Gives memory back when nothing is buffered and more than `keep` is held.
  void shrink(std::size_t keep) {
    if (size() != 0 || capacity_ <= keep) return;
    data_.reset();
    begin_ = end_ = capacity_ = 0;
  }

 private:
  std::unique_ptr<std::byte[]> data_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace kappa
