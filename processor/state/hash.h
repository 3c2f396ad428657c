// The hashes of the state: of keys in memory, and of (key, value) on disk.
#pragma once

// Inlined: keys and values are short, so the call would cost as much as the hash.
#define XXH_INLINE_ALL
// Scalar: below 240 bytes there is no vector code anyway, and g++ 12 sees false -Wmaybe-uninitialized
// in the inlined AVX-512 intrinsics.
#define XXH_VECTOR 0
#include <xxhash.h>

#include <cstdint>
#include <string_view>

#include "processor/state/state_store.h"

namespace kappa::processor {

[[nodiscard]] inline std::uint64_t hash_key(TableId table, std::string_view key) {
  return XXH3_64bits_withSeed(key.data(), key.size(), table);
}
// One element of the multiset hash; its low 32 bits are the entry's checksum.
[[nodiscard]] inline std::uint64_t hash_entry(TableId table, std::string_view key, std::string_view value) {
  return XXH3_64bits_withSeed(value.data(), value.size(), hash_key(table, key));
}

}  // namespace kappa::processor
