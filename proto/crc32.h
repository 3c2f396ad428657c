// CRC-32 (the one of zip, gzip and Ethernet: polynomial 0xEDB88320, reflected), because every
// language's standard library has it. Guards frames on the wire; batch bodies have XXH3 besides.
#pragma once

#include <cstdint>

#include "proto/bytes.h"

namespace kappa {

// Continues from the CRC of the bytes before; start with 0. crc32(crc32(0, a), b) is the CRC of a
// followed by b. Thread-safe.
[[nodiscard]] std::uint32_t crc32(std::uint32_t before, Bytes bytes);

}  // namespace kappa
