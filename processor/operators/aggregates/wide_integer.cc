// See wide_integer.h.
#include "processor/operators/aggregates/wide_integer.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

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

}  // namespace

void WideInteger::normalise(const std::uint64_t* limbs, std::size_t first, std::size_t count, bool negative) {
  const std::uint64_t fill = negative ? ~std::uint64_t{0} : 0;
  while (count > 0 && limbs[count - 1] == fill) --count;
  while (count > 0 && limbs[0] == 0) {
    ++limbs;
    ++first;
    --count;
  }
  negative_ = negative;
  // All ones from `first` up is -2^(64 first): it needs its place, zero does not.
  first_ = count == 0 && !negative ? 0 : first;
  count_ = count;
  std::copy_n(limbs, count, limbs_.begin());
}

void WideInteger::add(Int128 value, std::size_t shift) {
  if (value == 0) return;
  const std::size_t at = shift / 64;
  const unsigned bits = static_cast<unsigned>(shift % 64);
  const auto low = static_cast<std::uint64_t>(static_cast<Wide>(value));
  const auto high = static_cast<std::uint64_t>(static_cast<Wide>(value) >> 64);
  const std::uint64_t sign = value < 0 ? ~std::uint64_t{0} : 0;
  const auto joined = [bits](std::uint64_t above, std::uint64_t below) {
    return bits == 0 ? above : (above << bits) | (below >> (64 - bits));
  };
  const std::array<std::uint64_t, 3> added{joined(low, 0), joined(high, low), joined(sign, high)};

  const bool nothing = is_zero();
  const std::size_t first = nothing ? at : std::min(first_, at);
  const std::size_t end = std::max(nothing ? 0 : first_ + count_, at + 3) + 1;
  std::array<std::uint64_t, kLimbs + 4> sum;
  std::uint64_t carry = 0;
  for (std::size_t i = first; i < end; ++i) {
    const std::uint64_t b = i < at ? 0 : i < at + 3 ? added[i - at] : sign;
    const Wide total = static_cast<Wide>(limb(i)) + b + carry;
    sum[i - first] = static_cast<std::uint64_t>(total);
    carry = static_cast<std::uint64_t>(total >> 64);
  }
  // One limb above both operands holds nothing but the sign.
  normalise(sum.data(), first, end - first, (sum[end - first - 1] >> 63) != 0);
}

void WideInteger::add(const WideInteger& other) {
  if (other.is_zero()) return;
  if (is_zero()) {
    *this = other;
    return;
  }
  const std::size_t first = std::min(first_, other.first_);
  const std::size_t end = std::max(first_ + count_, other.first_ + other.count_) + 1;
  std::array<std::uint64_t, kLimbs + 1> sum;
  std::uint64_t carry = 0;
  for (std::size_t i = first; i < end; ++i) {
    const Wide total = static_cast<Wide>(limb(i)) + other.limb(i) + carry;
    sum[i - first] = static_cast<std::uint64_t>(total);
    carry = static_cast<std::uint64_t>(total >> 64);
  }
  normalise(sum.data(), first, end - first, (sum[end - first - 1] >> 63) != 0);
}

void WideInteger::add(double x, std::int64_t weight) {
  const auto bits = std::bit_cast<std::uint64_t>(x);
  const auto exponent = static_cast<std::size_t>((bits >> 52) & 0x7ff);
  std::uint64_t mantissa = bits & ((std::uint64_t{1} << 52) - 1);
  if (exponent != 0) mantissa |= std::uint64_t{1} << 52;
  const Int128 product = static_cast<Int128>(mantissa) * weight;
  add((bits >> 63) != 0 ? -product : product, exponent == 0 ? 0 : exponent - 1);
}

void WideInteger::store(char* out) const {
  if (is_zero()) return;
  out[0] = static_cast<char>(first_);
  out[1] = negative_ ? 1 : 0;
  std::memcpy(out + 2, limbs_.data(), count_ * 8);
}

bool WideInteger::load(std::string_view stored) {
  first_ = 0;
  count_ = 0;
  negative_ = false;
  if (stored.empty()) return true;
  if (stored.size() < 2 || stored.size() > kBytesMax || (stored.size() - 2) % 8 != 0) return false;
  const std::size_t first = static_cast<unsigned char>(stored[0]);
  const std::size_t count = (stored.size() - 2) / 8;
  if (first + count > kLimbs) return false;
  first_ = first;
  count_ = count;
  negative_ = stored[1] != 0;
  std::memcpy(limbs_.data(), stored.data() + 2, count * 8);
  return true;
}

std::optional<Int128> WideInteger::to_int128() const {
  const std::uint64_t fill = negative_ ? ~std::uint64_t{0} : 0;
  for (std::size_t i = 2; i < first_ + count_; ++i) {
    if (limb(i) != fill) return std::nullopt;
  }
  if ((limb(1) >> 63 != 0) != negative_) return std::nullopt;
  return static_cast<Int128>((static_cast<Wide>(limb(1)) << 64) | limb(0));
}

std::optional<double> WideInteger::to_double(int exponent, std::uint64_t divisor, unsigned decimals) const {
  if (is_zero()) return 0.0;
  // Enough zero limbs below for the quotient to have more than 64 bits whatever the divisor is.
  const std::size_t below = divisor == 1 && decimals == 0 ? 0 : decimals == 0 ? 2 : 5;
  // Without the limbs that are zero below first_.
  std::vector<std::uint64_t> magnitude(below + count_ + 1, 0);
  std::uint64_t carry = negative_ ? 1 : 0;
  for (std::size_t i = 0; i <= count_; ++i) {
    const std::uint64_t v = limb(first_ + i);
    const Wide total = static_cast<Wide>(negative_ ? ~v : v) + carry;
    magnitude[below + i] = static_cast<std::uint64_t>(total);
    carry = static_cast<std::uint64_t>(total >> 64);
  }
  if (carry != 0) magnitude.push_back(1);
  bool sticky = false;
  // floor(floor(x / a) / b) is floor(x / ab), and nothing is left over only if nothing was before.
  for (unsigned left = decimals; left > 0;) {
    const unsigned step = std::min(left, 19U);
    sticky |= divide(magnitude, kPowersOfTen[step]);
    left -= step;
  }
  if (divisor != 1) sticky |= divide(magnitude, divisor);
  const std::int64_t scale =
      exponent + 64 * (static_cast<std::int64_t>(first_) - static_cast<std::int64_t>(below));
  const double rounded = round_magnitude(magnitude, scale, sticky);
  if (!std::isfinite(rounded)) return std::nullopt;
  return negative_ ? -rounded : rounded;
}

}  // namespace kappa::processor
