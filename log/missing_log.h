// A directory without a MANIFEST: is it no log yet, or one that lost it?
//
// Whoever takes the second for the first begins a new log over the old one's remains. So a directory is
// no log only if its files say that none ever took an event: nothing of ours but the lock, or what a
// creation leaves that a crash cut short (log/initialize.cc).
#pragma once

#include <cstdint>
#include <filesystem>

#include "log/file.h"
#include "proto/error.h"

namespace kappa::log {

inline constexpr std::uint16_t kNoLog = 3011;

// What to answer where no MANIFEST was found: kNotFound 3011 (there is no log; a creation that was cut
// short counts as none), kCorrupt 3112 (there are files of a log; the hint says what can be done), or
// the error of looking. Reads names and CONTROL, writes nothing.
[[nodiscard]] Error without_manifest(FileSystem& files, const std::filesystem::path& directory);

}  // namespace kappa::log
