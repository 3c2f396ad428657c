// See entry_slabs.h.
#include "processor/state/entry_slabs.h"

#include <cstdlib>

#include "proto/check.h"

namespace kappa::processor {

EntrySlabs::~EntrySlabs() {
  while (all_ != nullptr) {
    Slab* const slab = all_;
    all_ = slab->all_next;
    std::free(slab);
  }
}

void EntrySlabs::link(Slab* slab, SizeClass size) {
  slab->previous = nullptr;
  slab->next = with_room_[size];
  if (slab->next != nullptr) slab->next->previous = slab;
  with_room_[size] = slab;
}

void EntrySlabs::unlink(Slab* slab, SizeClass size) {
  (slab->previous != nullptr ? slab->previous->next : with_room_[size]) = slab->next;
  if (slab->next != nullptr) slab->next->previous = slab->previous;
  slab->previous = slab->next = nullptr;
}

EntrySlabs::Slab* EntrySlabs::make_slab(SizeClass size) {
  auto* const slab = static_cast<Slab*>(std::aligned_alloc(kSlabBytes, kSlabBytes));
  KAPPA_CHECK(slab != nullptr, "out of memory");
  *slab = Slab{};
  slab->untouched = kFirst;
  slab->all_next = all_;
  if (all_ != nullptr) all_->all_previous = slab;
  all_ = slab;
  link(slab, size);
  return slab;
}

void* EntrySlabs::take(std::size_t bytes, SizeClass size) {
  if (size == kHeap) {
    void* const block = std::malloc(bytes);
    KAPPA_CHECK(block != nullptr, "out of memory");
    return block;
  }
  const std::size_t room = bytes_of(size);
  Slab* const slab = with_room_[size] != nullptr ? with_room_[size] : make_slab(size);
  void* block = slab->free;
  if (block != nullptr) {
    slab->free = slab->free->next;
  } else {
    block = reinterpret_cast<char*>(slab) + slab->untouched;
    slab->untouched += static_cast<std::uint32_t>(room);
  }
  ++slab->used;
  if (full(*slab, room)) unlink(slab, size);
  return block;
}

void EntrySlabs::give_back(void* block, SizeClass size) {
  if (size == kHeap) {
    std::free(block);
    return;
  }
  auto* const slab = reinterpret_cast<Slab*>(reinterpret_cast<std::uintptr_t>(block) & ~(kSlabBytes - 1));
  const bool was_full = full(*slab, bytes_of(size));
  auto* const free = static_cast<Free*>(block);
  free->next = slab->free;
  slab->free = free;
  if (--slab->used > 0) {
    if (was_full) link(slab, size);
    return;
  }
  if (!was_full) unlink(slab, size);
  (slab->all_previous != nullptr ? slab->all_previous->all_next : all_) = slab->all_next;
  if (slab->all_next != nullptr) slab->all_next->all_previous = slab->all_previous;
  std::free(slab);
}

}  // namespace kappa::processor
