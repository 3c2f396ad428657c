// Where LMDB has mapped its data file. LMDB does not tell, and without knowing it nobody can guard the map
// against pages that the disk cannot deliver (log/mapping_guard.h).
#pragma once

#include <cstddef>

namespace kappa::processor {

// Address of this process's mapping of the whole first `bytes` of the file behind `descriptor`; `other`, if
// not null, is a mapping of that file that is not meant. nullptr if there is none, or the system does not
// say. Reads /proc/self/maps. Thread-safe.
[[nodiscard]] const void* find_mapping(int descriptor, std::size_t bytes, const void* other);

}  // namespace kappa::processor
