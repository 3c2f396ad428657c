// The part of the view-state target that goes through files: a whole LMDB environment in a folder.
#pragma once

#include "tests/fuzz/input.h"

namespace kappa::fuzz {

// A sound environment whose records are the input's, with right or wrong checksums: opens or is refused,
// can be scanned and checked, and the check sees what a scan meets.
void state_records(Input& in);
// A sound state of three versions whose data file was changed by rot: opens or is refused; when the check
// is passed, all that is served is one of the versions.
void state_rot(Input& in);

// A stored key: short, or as long as a hashed one, or the progress record's.
[[nodiscard]] std::string some_stored_key(Input& in);
// Puts the checksum of a stored record behind its value.
void append_checksum(std::string_view key, std::string& value);

}  // namespace kappa::fuzz
