// Several rows in the value of one entry, each with its weight:
//   (zigzag varint weight | varint length | row bytes)*    sorted by row bytes, no weight zero
// so that the bytes follow from the rows alone and not from the order in which they came.
//
// No state. Of the processor thread where entries are changed.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "processor/state/state_store.h"
#include "proto/bytes.h"
#include "proto/error.h"

namespace kappa::processor {

struct StoredCopy {
  std::int64_t weight = 0;
  std::string_view row;
};
// Reads the next copy; weight 0 at the end and for damage.
[[nodiscard]] StoredCopy next_copy(ByteReader& in);
void append_copy(const StoredCopy& copy, std::string& out);

// Adds `added.weight` to the row's weight in the entry's value behind its first `head` bytes; the entry is gone
// when no row is left. The caller tells the store that it changed. `scratch` is overwritten. Gives the row's
// weight before; kCorrupt 3301.
[[nodiscard]] Expected<std::int64_t> add_copy(StateEntry& entry, std::size_t head, const StoredCopy& added,
                                              std::string& scratch);

// The error of state bytes that no operator wrote: kCorrupt 3301.
[[nodiscard]] std::unexpected<Error> damaged_state(const char* what);

}  // namespace kappa::processor
