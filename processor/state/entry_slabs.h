// Memory for the entries of one store: blocks of one size lie in slabs of 64 KiB. A million groups are a million blocks;
// the heap took a fifth of the time of building them, and as long again to give them back one by one.
//
// Sizes are multiples of 16 up to 512 bytes; larger blocks are the heap's. A slab without blocks in use goes back to the
// heap, so what is held is at most what is used, and the holes that blocks of other sizes left among those that stay.
// One thread at a time. Blocks live until they are freed, or their slabs object dies.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kappa::processor {

class EntrySlabs {
 public:
  // How a block is freed; sizes in steps, or from the heap.
  using SizeClass = std::uint8_t;
  static constexpr SizeClass kHeap = 0;

  EntrySlabs() = default;
  ~EntrySlabs();
  EntrySlabs(const EntrySlabs&) = delete;
  EntrySlabs& operator=(const EntrySlabs&) = delete;

  [[nodiscard]] static SizeClass class_of(std::size_t bytes) {
    return bytes <= kStep * kClasses ? static_cast<SizeClass>((bytes + kStep - 1) / kStep) : kHeap;
  }
  // Of a block of a class that is not kHeap.
  [[nodiscard]] static std::size_t bytes_of(SizeClass size) { return size * kStep; }
  // At least `bytes` > 0, whose class is `size`. Aligned to 16. Out of memory ends the process.
  [[nodiscard]] void* take(std::size_t bytes, SizeClass size);
  void give_back(void* block, SizeClass size);

 private:
  static constexpr std::size_t kStep = 16;
  static constexpr std::size_t kClasses = 32;
  static constexpr std::size_t kSlabBytes = std::size_t{64} << 10;
  struct Free {
    Free* next;
  };
  // At the beginning of each slab, whose address is a multiple of its size.
  struct Slab {
    Slab* previous;  // Of all slabs that have room, by class; of full ones both are null.
    Slab* next;
    Free* free;                // Blocks that were given back.
    std::uint32_t untouched;   // Where those begin that were never taken.
    std::uint32_t used;        // Blocks.
    Slab* all_previous;        // Of all slabs.
    Slab* all_next;
  };
  static constexpr std::size_t kFirst = (sizeof(Slab) + kStep - 1) / kStep * kStep;
  [[nodiscard]] static bool full(const Slab& slab, std::size_t bytes) {
    return slab.free == nullptr && slab.untouched + bytes > kSlabBytes;
  }
  [[nodiscard]] Slab* make_slab(SizeClass size);
  void link(Slab* slab, SizeClass size);
  void unlink(Slab* slab, SizeClass size);

  Slab* with_room_[kClasses + 1] = {};
  Slab* all_ = nullptr;
};

}  // namespace kappa::processor
