// Keeps the process alive when a mapped page cannot be delivered: a read error of the disk, or a file
// that somebody cut shorter, raises SIGBUS in whoever touches the page.
//
// The handler maps a page of zeros over the lost one and notes its place; the reading thread goes on.
// Nothing is thrown and nothing jumps, so the hot path costs nothing. In return every user of guarded
// bytes asks lost_byte() after it has used them and before it publishes what came of them: zeros that
// nobody asked about would be wrong bytes. Addresses outside of every guarded range go to the handler
// that was there before (by default the process dies, as it should).
//
// Thread-safe. The handler is installed with the first range and stays. It only touches memory that is
// never freed, and calls mmap(), which is a plain system call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace kappa::log {

class GuardedRange {
 public:
  // [base, base + bytes) is a mapping of a file that stays until after this object.
  GuardedRange(const void* base, std::size_t bytes);
  GuardedRange(const GuardedRange&) = delete;
  GuardedRange& operator=(const GuardedRange&) = delete;
  ~GuardedRange();

  // The first byte of [from, to), counted from base, known to have been replaced by zeros. Exact to the
  // page for the first 64 lost pages; with more, everything between the lowest and the highest counts.
  [[nodiscard]] std::optional<std::uint64_t> lost_byte(std::uint64_t from, std::uint64_t to) const;

  struct Slot;  // Of the process-wide list that the handler walks.

 private:
  Slot* slot_;
};

}  // namespace kappa::log
