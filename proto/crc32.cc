#include "proto/crc32.h"

#include <libdeflate.h>

namespace kappa {

std::uint32_t crc32(std::uint32_t before, Bytes bytes) {
  // libdeflate gives the initial value for a null pointer; an empty span must keep `before`.
  if (bytes.empty()) return before;
  return libdeflate_crc32(before, bytes.data(), bytes.size());
}

}  // namespace kappa
