// See magnitude.h.
#include "processor/operators/aggregates/magnitude.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

namespace kappa::processor {
namespace {

__extension__ typedef unsigned __int128 Wide;

constexpr std::array<std::uint64_t, 20> kPowersOfTen = [] {
  std::array<std::uint64_t, 20> powers{};
  std::uint64_t power = 1;
  for (std::uint64_t& p : powers) {
    p = power;
    power *= 10;
  }
  return powers;
}();

// Divides in place; true if something was left over.
bool divide(std::vector<std::uint64_t>& limbs, std::uint64_t divisor) {
  std::uint64_t rest = 0;
  for (std::size_t i = limbs.size(); i-- > 0;) {
    const Wide part = (static_cast<Wide>(rest) << 64) | limbs[i];
    limbs[i] = static_cast<std::uint64_t>(part / divisor);
    rest = static_cast<std::uint64_t>(part % divisor);
  }
  return rest != 0;
}

// Nearest double to (magnitude + something below one if `sticky`) * 2^exponent; infinite when too large.
double round_magnitude(const std::vector<std::uint64_t>& magnitude, std::int64_t exponent, bool sticky) {
  std::size_t top = magnitude.size();
  while (top > 0 && magnitude[top - 1] == 0) --top;
  if (top == 0) return 0;
  const auto bits = static_cast<std::int64_t>(top * 64) - std::countl_zero(magnitude[top - 1]);
  // Subnormal doubles have fewer than 53 bits: keep none below 2^-1074.
  const std::int64_t keep = std::min<std::int64_t>(53, bits + exponent + 1074);
  if (keep < 0) return 0;
  const std::int64_t drop = std::max<std::int64_t>(0, bits - keep);
  const auto bit = [&](std::int64_t i) {
    return (magnitude[static_cast<std::size_t>(i / 64)] >> (i % 64)) & 1U;
  };
  std::uint64_t mantissa = 0;
  for (std::int64_t i = bits - 1; i >= drop; --i) mantissa = mantissa << 1 | bit(i);
  if (drop > 0 && bit(drop - 1) != 0) {
    bool above_half = sticky || (mantissa & 1U) != 0;
    for (std::int64_t i = 0; !above_half && i < drop - 1;) {
      if (i % 64 == 0 && i + 64 <= drop - 1) {
        above_half = magnitude[static_cast<std::size_t>(i / 64)] != 0;
        i += 64;
      } else {
        above_half = bit(i) != 0;
        ++i;
      }
    }
    if (above_half) ++mantissa;
  }
  return std::ldexp(static_cast<double>(mantissa), static_cast<int>(drop + exponent));
}

// Divides by all of it, with at least `bits` bits of quotient; true if something was left over.
bool divide_all(Magnitude& a, std::span<const std::uint64_t> divisors, unsigned decimals, std::size_t bits) {
  // As many zero limbs below as the divisors take away, and those of the quotient.
  std::size_t below = (bits + 63) / 64;
  for (const std::uint64_t divisor : divisors) below += divisor == 1 ? 0 : 1;
  below += (decimals + 18) / 19;
  a.limbs.insert(a.limbs.begin(), below, 0);
  a.exponent -= static_cast<std::int64_t>(64 * below);
  bool sticky = false;
  // floor(floor(x / a) / b) is floor(x / ab), and nothing is left over only if nothing was before.
  for (unsigned left = decimals; left > 0;) {
    const unsigned step = std::min(left, 19U);
    sticky |= divide(a.limbs, kPowersOfTen[step]);
    left -= step;
  }
  for (const std::uint64_t divisor : divisors) {
    if (divisor != 1) sticky |= divide(a.limbs, divisor);
  }
  return sticky;
}

std::optional<double> finite(double rounded) {
  if (!std::isfinite(rounded)) return std::nullopt;
  return rounded;
}

void trim(std::vector<std::uint64_t>& limbs) {
  while (!limbs.empty() && limbs.back() == 0) limbs.pop_back();
}

// The largest integer whose square is at most `x`.
std::uint64_t integer_root(Wide x) {
  std::uint64_t root = 0;
  for (int bit = 63; bit >= 0; --bit) {
    const std::uint64_t more = root | std::uint64_t{1} << bit;
    if (static_cast<Wide>(more) * more <= x) root = more;
  }
  return root;
}

}  // namespace

bool Magnitude::is_zero() const {
  return std::ranges::all_of(limbs, [](std::uint64_t limb) { return limb == 0; });
}

Magnitude square(const Magnitude& a) {
  Magnitude result;
  result.exponent = 2 * a.exponent;
  result.limbs.assign(2 * a.limbs.size(), 0);
  for (std::size_t i = 0; i < a.limbs.size(); ++i) {
    std::uint64_t carry = 0;
    for (std::size_t j = 0; j < a.limbs.size(); ++j) {
      const Wide product = static_cast<Wide>(a.limbs[i]) * a.limbs[j] + result.limbs[i + j] + carry;
      result.limbs[i + j] = static_cast<std::uint64_t>(product);
      carry = static_cast<std::uint64_t>(product >> 64);
    }
    result.limbs[i + a.limbs.size()] = carry;
  }
  return result;
}

Magnitude multiply(const Magnitude& a, std::uint64_t b) {
  Magnitude result = a;
  std::uint64_t carry = 0;
  for (std::uint64_t& limb : result.limbs) {
    const Wide product = static_cast<Wide>(limb) * b + carry;
    limb = static_cast<std::uint64_t>(product);
    carry = static_cast<std::uint64_t>(product >> 64);
  }
  result.limbs.push_back(carry);
  return result;
}

std::optional<Magnitude> subtract(const Magnitude& a, const Magnitude& b) {
  // Exponents are multiples of 64 apart: whole limbs.
  Magnitude result = a;
  Magnitude other = b;
  for (Magnitude* const one : {&result, &other}) {
    const std::int64_t apart = one->exponent - std::min(a.exponent, b.exponent);
    one->limbs.insert(one->limbs.begin(), static_cast<std::size_t>(apart / 64), 0);
    one->exponent -= apart;
  }
  const std::size_t limbs = std::max(result.limbs.size(), other.limbs.size());
  result.limbs.resize(limbs);
  other.limbs.resize(limbs);
  std::uint64_t borrow = 0;
  for (std::size_t i = 0; i < limbs; ++i) {
    const Wide less = static_cast<Wide>(other.limbs[i]) + borrow;
    borrow = result.limbs[i] < less ? 1 : 0;
    result.limbs[i] = static_cast<std::uint64_t>(result.limbs[i] - less);
  }
  if (borrow != 0) return std::nullopt;
  trim(result.limbs);
  return result;
}

std::optional<double> to_double(Magnitude a, std::span<const std::uint64_t> divisors, unsigned decimals) {
  const bool whole = decimals == 0 && std::ranges::all_of(divisors, [](std::uint64_t d) { return d == 1; });
  const bool sticky = !whole && divide_all(a, divisors, decimals, 64);
  return finite(round_magnitude(a.limbs, a.exponent, sticky));
}

std::optional<double> root_to_double(Magnitude a, std::span<const std::uint64_t> divisors,
                                     unsigned decimals) {
  bool sticky = divide_all(a, divisors, decimals, 192);
  trim(a.limbs);
  if (a.limbs.empty()) return 0.0;
  // The top 127 or 128 bits, so that what they are times two to is even.
  const auto bits = static_cast<std::int64_t>(a.limbs.size() * 64) - std::countl_zero(a.limbs.back());
  std::int64_t drop = bits - 128;
  if ((drop + a.exponent) % 2 != 0) ++drop;
  Wide top = 0;
  for (std::int64_t i = bits - 1; i >= drop; --i) {
    top = top << 1 | (i < 0 ? 0 : (a.limbs[static_cast<std::size_t>(i / 64)] >> (i % 64)) & 1U);
  }
  for (std::int64_t i = 0; i < drop && !sticky; ++i) {
    sticky = ((a.limbs[static_cast<std::size_t>(i / 64)] >> (i % 64)) & 1U) != 0;
  }
  const std::uint64_t root = integer_root(top);
  sticky = sticky || static_cast<Wide>(root) * root != top;
  return finite(round_magnitude({root}, (drop + a.exponent) / 2, sticky));
}

}  // namespace kappa::processor
