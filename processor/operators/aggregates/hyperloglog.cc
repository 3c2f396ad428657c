// See hyperloglog.h.
#include "processor/operators/aggregates/hyperloglog.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <vector>

namespace kappa::processor::hyperloglog {
namespace {

constexpr unsigned kRankMax = 64 - kRegisterBits + 1;
using Registers = std::vector<std::uint8_t>;

std::uint32_t load_sparse(const char* at) {
  const auto byte = [&](int i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(at[i])); };
  return byte(0) | byte(1) << 8 | byte(2) << 16;
}
void store_sparse(char* at, std::uint32_t value) {
  for (int i = 0; i < 3; ++i) at[i] = static_cast<char>(value >> (8 * i));
}

// Six bits begin in byte `bit / 8` and end in it or the next.
std::uint32_t load_dense(const char* sketch, std::size_t place) {
  const std::size_t bit = place * 6;
  std::uint32_t both = static_cast<unsigned char>(sketch[bit / 8]);
  if (bit % 8 > 2) both |= static_cast<std::uint32_t>(static_cast<unsigned char>(sketch[bit / 8 + 1])) << 8;
  return (both >> (bit % 8)) & 63U;
}
void store_dense(char* sketch, std::size_t place, std::uint32_t rank) {
  const std::size_t bit = place * 6;
  const auto change = [&](char& byte, std::uint32_t mask, std::uint32_t bits) {
    byte = static_cast<char>((static_cast<unsigned char>(byte) & ~mask) | bits);
  };
  change(sketch[bit / 8], (63U << (bit % 8)) & 255U, (rank << (bit % 8)) & 255U);
  if (bit % 8 > 2) change(sketch[bit / 8 + 1], 63U >> (8 - bit % 8), rank >> (8 - bit % 8));
}

std::optional<Registers> unpack(std::string_view sketch) {
  Registers registers(kRegisters, 0);
  if (sketch.size() == kDenseBytes) {
    for (std::size_t i = 0; i < kRegisters; ++i)
      registers[i] = static_cast<std::uint8_t>(load_dense(sketch.data(), i));
  } else {
    if (sketch.size() % 3 != 0 || sketch.size() > kSparseMax * 3) return std::nullopt;
    for (std::size_t at = 0; at < sketch.size(); at += 3) {
      const std::uint32_t value = load_sparse(sketch.data() + at);
      if ((value >> 6) >= kRegisters) return std::nullopt;
      registers[value >> 6] = static_cast<std::uint8_t>(value & 63U);
    }
  }
  if (std::ranges::any_of(registers, [](std::uint8_t rank) { return rank > kRankMax; })) return std::nullopt;
  return registers;
}

std::string pack(const Registers& registers) {
  const auto used =
      static_cast<std::size_t>(std::ranges::count_if(registers, [](std::uint8_t r) { return r != 0; }));
  const bool dense = used > kSparseMax;
  std::string sketch(dense ? kDenseBytes : used * 3, '\0');
  std::size_t at = 0;
  for (std::uint32_t i = 0; i < kRegisters; ++i) {
    if (registers[i] == 0) continue;
    if (dense) {
      store_dense(sketch.data(), i, registers[i]);
    } else {
      store_sparse(sketch.data() + at, i << 6 | registers[i]);
      at += 3;
    }
  }
  return sketch;
}

// The number of the first sparse register that is not before `place`.
std::size_t find(std::string_view sketch, std::uint32_t place) {
  std::size_t low = 0;
  std::size_t high = sketch.size() / 3;
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    if ((load_sparse(sketch.data() + 3 * middle) >> 6) < place)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

double sigma(double x) {
  if (x == 1) return HUGE_VAL;
  double y = 1;
  double z = x;
  for (double before = -1; before != z;) {
    x *= x;
    before = z;
    z += x * y;
    y += y;
  }
  return z;
}

double tau(double x) {
  if (x == 0 || x == 1) return 0;
  double y = 1;
  double z = 1 - x;
  for (double before = -1; before != z;) {
    x = std::sqrt(x);
    before = z;
    y *= 0.5;
    z -= (1 - x) * (1 - x) * y;
  }
  return z / 3;
}

}  // namespace

Rank rank_of(std::uint64_t hash) {
  const std::uint64_t others = hash >> kRegisterBits;
  const unsigned zeros = others == 0 ? kRankMax - 1 : static_cast<unsigned>(std::countr_zero(others));
  return {static_cast<std::uint32_t>(hash & (kRegisters - 1)), zeros + 1};
}

Added add_in_place(char* sketch, std::size_t bytes, Rank value) {
  if (bytes == kDenseBytes) {
    if (load_dense(sketch, value.place) >= value.rank) return Added::kNothing;
    store_dense(sketch, value.place, value.rank);
    return Added::kInPlace;
  }
  const std::size_t at = find({sketch, bytes}, value.place) * 3;
  if (at == bytes) return Added::kNeedsRoom;
  const std::uint32_t held = load_sparse(sketch + at);
  if (held >> 6 != value.place) return Added::kNeedsRoom;
  if ((held & 63U) >= value.rank) return Added::kNothing;
  store_sparse(sketch + at, value.place << 6 | value.rank);
  return Added::kInPlace;
}

std::string with(std::string_view sketch, Rank value) {
  std::string result(sketch);
  if (sketch.size() / 3 < kSparseMax) {
    char added[3];
    store_sparse(added, value.place << 6 | value.rank);
    result.insert(find(sketch, value.place) * 3, added, 3);
    return result;
  }
  std::optional<Registers> registers = unpack(sketch);
  if (!registers) return result;
  (*registers)[value.place] = static_cast<std::uint8_t>(value.rank);
  return pack(*registers);
}

std::optional<std::string> merged(std::string_view a, std::string_view b) {
  std::optional<Registers> registers = unpack(a);
  const std::optional<Registers> others = unpack(b);
  if (!registers || !others) return std::nullopt;
  for (std::size_t i = 0; i < kRegisters; ++i) (*registers)[i] = std::max((*registers)[i], (*others)[i]);
  return pack(*registers);
}

std::optional<double> estimate(std::string_view sketch) {
  const std::optional<Registers> registers = unpack(sketch);
  if (!registers) return std::nullopt;
  std::array<double, kRankMax + 1> counts{};
  for (const std::uint8_t rank : *registers) counts[rank] += 1;
  constexpr auto m = static_cast<double>(kRegisters);
  double z = m * tau(1 - counts[kRankMax] / m);
  for (std::size_t k = kRankMax - 1; k >= 1; --k) z = 0.5 * (z + counts[k]);
  z += m * sigma(counts[0] / m);
  constexpr double kAlpha = 0.72134752044448170368;  // 1 / (2 ln 2)
  return kAlpha * m * m / z;
}

}  // namespace kappa::processor::hyperloglog
