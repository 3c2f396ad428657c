// The fuzz targets, one function each, with libFuzzer's meaning: take any bytes, return 0, abort (or let
// a sanitizer abort) when a promise is broken. Deterministic in their input; nothing grows from call to
// call. main.cc makes a libFuzzer program of one of them; regression_test.cc runs all over kept files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace kappa::fuzz {

int fuzz_frame(const std::uint8_t* data, std::size_t size);
int fuzz_batch(const std::uint8_t* data, std::size_t size);
int fuzz_recovery(const std::uint8_t* data, std::size_t size);
int fuzz_json(const std::uint8_t* data, std::size_t size);
int fuzz_sql(const std::uint8_t* data, std::size_t size);
int fuzz_state(const std::uint8_t* data, std::size_t size);
int fuzz_door(const std::uint8_t* data, std::size_t size);

struct Target {
  const char* name;  // Folder under corpus/ and regressions/.
  int (*run)(const std::uint8_t*, std::size_t);
};
inline constexpr Target kTargets[] = {
    {"frame", fuzz_frame}, {"batch", fuzz_batch}, {"recovery", fuzz_recovery},
    {"json", fuzz_json},   {"sql", fuzz_sql},     {"state", fuzz_state},
    {"door", fuzz_door},
};

}  // namespace kappa::fuzz
