// How many different values there are, from the greatest rank of their hashes in each of 2^14 registers
// (P. Flajolet, E. Fusy, O. Gandouet, F. Meunier: "HyperLogLog", 2007; 64-bit hashes as in S. Heule, M.
// Nunkesser, A. Hall: "HyperLogLog in Practice", 2013; the estimator is that of O. Ertl: "New cardinality
// estimation algorithms for HyperLogLog sketches", 2017, which needs no tables and no thresholds). The
// standard error is 1.04 / sqrt(2^14) = 0.81 percent.
//
// A hash: the register is its low 14 bits, the rank is 1 + the zeros below the first one of the 50 others (51
// if there is none).
//
// Bytes, a function of the set of values alone:
//   sparse   3 bytes for each register that is not zero, ascending: rank | register << 6, little-endian
//   dense    6 bits a register, low bits first: 12,288 bytes; from 4,096 registers on, where sparse is no
//   shorter
// Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kappa::processor::hyperloglog {

inline constexpr unsigned kRegisterBits = 14;
inline constexpr std::size_t kRegisters = std::size_t{1} << kRegisterBits;
inline constexpr std::size_t kDenseBytes = kRegisters * 6 / 8;
inline constexpr std::size_t kSparseMax = kDenseBytes / 3 - 1;
static_assert(kRegisterBits + 6 <= 24);

struct Rank {
  std::uint32_t place = 0;  // Of the register.
  std::uint32_t rank = 0;
};
[[nodiscard]] Rank rank_of(std::uint64_t hash);

// Whether adding it changes the sketch; where it only raises a register that is there, does it in place.
enum class Added : std::uint8_t { kNothing, kInPlace, kNeedsRoom };
[[nodiscard]] Added add_in_place(char* sketch, std::size_t bytes, Rank value);
// The sketch with a register that it does not have.
[[nodiscard]] std::string with(std::string_view sketch, Rank value);
// That of both sets; nullopt for bytes that are no sketch.
[[nodiscard]] std::optional<std::string> merged(std::string_view a, std::string_view b);
// nullopt for bytes that are no sketch.
[[nodiscard]] std::optional<double> estimate(std::string_view sketch);

}  // namespace kappa::processor::hyperloglog
