// What may happen to a log directory, described by the fuzzer's bytes: rot and mishaps (bits, blocks,
// lengths, files lost, copied and renamed), and forgeries that put the right hashes on wrong content, so
// that the code behind the hash checks is reached. The two are told apart, because the promise to notice
// every loss holds against rot, not against forgers.
#pragma once

#include <string>

#include "tests/fuzz/input.h"
#include "tests/fuzz/memory_files.h"
#include "tests/fuzz/small_log.h"

namespace kappa::fuzz {

// One change of the bytes of a file by rot or mishap.
void damage_bytes(Input& in, std::string& file);
// One change of a segment of the small log, `number` counted from 0, with all its hashes right again.
void forge_segment(Input& in, std::string& file, std::size_t number);

struct EditedLog {
  Directory files;
  bool forged = false;
};
// The small log after at most `edits_max` edits.
[[nodiscard]] EditedLog edit_small_log(Input& in, std::size_t edits_max);

}  // namespace kappa::fuzz
