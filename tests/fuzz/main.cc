// Makes a libFuzzer program of the target that KAPPA_FUZZ_TARGET names (see CMakeLists.txt).
#include "tests/fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return kappa::fuzz::KAPPA_FUZZ_TARGET(data, size);
}
