// See wide_integer.h.
#include "processor/operators/aggregates/wide_integer.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <span>

namespace kappa::processor {
namespace {

__extension__ typedef unsigned __int128 Wide;

}  // namespace

template <std::size_t kLimbs>
void BasicWideInteger<kLimbs>::normalise(const std::uint64_t* limbs, std::size_t first, std::size_t count,
                                         bool negative) {
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

template <std::size_t kLimbs>
void BasicWideInteger<kLimbs>::add(Int128 value, std::size_t shift) {
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

template <std::size_t kLimbs>
void BasicWideInteger<kLimbs>::add(const BasicWideInteger& other) {
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

template <std::size_t kLimbs>
void BasicWideInteger<kLimbs>::add(double x, std::int64_t weight) {
  const auto bits = std::bit_cast<std::uint64_t>(x);
  const auto exponent = static_cast<std::size_t>((bits >> 52) & 0x7ff);
  std::uint64_t mantissa = bits & ((std::uint64_t{1} << 52) - 1);
  if (exponent != 0) mantissa |= std::uint64_t{1} << 52;
  const Int128 product = static_cast<Int128>(mantissa) * weight;
  add((bits >> 63) != 0 ? -product : product, exponent == 0 ? 0 : exponent - 1);
}

template <std::size_t kLimbs>
bool BasicWideInteger<kLimbs>::add_in_place(char* stored, std::size_t bytes, double x) {
  if (bytes < 2 + 8 || stored[1] != 0) return false;
  const auto bits = std::bit_cast<std::uint64_t>(x);
  const std::size_t exponent = bits >> 52;  // With the sign: a negative number lies beyond every limb.
  if (exponent == 0 || exponent >= 0x7ff) return false;
  const std::uint64_t mantissa = (bits & ((std::uint64_t{1} << 52) - 1)) | std::uint64_t{1} << 52;
  const std::size_t at = (exponent - 1) / 64;
  const unsigned shift = (exponent - 1) % 64;
  const std::size_t first = static_cast<unsigned char>(stored[0]);
  const std::size_t count = (bytes - 2) / 8;
  if (at < first || at - first >= count) return false;
  const auto limb_at = [&](std::size_t limb) { return stored + 2 + (limb - first) * 8; };
  const auto load = [&](std::size_t limb) {
    std::uint64_t value = 0;
    std::memcpy(&value, limb_at(limb), sizeof value);
    return value;
  };
  std::uint64_t low = load(at);
  const bool carry = __builtin_add_overflow(low, mantissa << shift, &low);
  if (at == first && low == 0) return false;  // It would leave.
  const std::uint64_t above = (shift == 0 ? 0 : mantissa >> (64 - shift)) + (carry ? 1 : 0);
  if (above != 0) {
    if (at + 1 - first >= count) return false;
    std::uint64_t high = load(at + 1);
    if (__builtin_add_overflow(high, above, &high)) return false;
    std::memcpy(limb_at(at + 1), &high, sizeof high);
  }
  std::memcpy(limb_at(at), &low, sizeof low);
  return true;
}

template <std::size_t kLimbs>
void BasicWideInteger<kLimbs>::add_product(Int128 value, std::int64_t weight) {
  if (weight == 1) {
    add(value, 0);
    return;
  }
  // In parts: the product of 128 and 64 bits does not fit 128.
  const Int128 high = value >> 64;
  const auto low = static_cast<std::uint64_t>(value);
  add(static_cast<Int128>(low >> 32) * weight, 32);
  add(static_cast<Int128>(low & 0xffffffffU) * weight, 0);
  add(high * weight, 64);
}

template <std::size_t kLimbs>
void BasicWideInteger<kLimbs>::add_square(Int128 value, std::int64_t weight) {
  const Wide magnitude = value < 0 ? -static_cast<Wide>(value) : static_cast<Wide>(value);
  const auto low = static_cast<std::uint64_t>(magnitude);
  const auto high = static_cast<std::uint64_t>(magnitude >> 64);
  // (high 2^64 + low)^2; each product in halves, so that the weight has room.
  const auto add_part = [&](Wide part, std::size_t shift) {
    add(static_cast<Int128>(static_cast<std::uint64_t>(part)) * weight, shift);
    add(static_cast<Int128>(static_cast<std::uint64_t>(part >> 64)) * weight, shift + 64);
  };
  add_part(static_cast<Wide>(low) * low, 0);
  if (high == 0) return;
  add_part(static_cast<Wide>(high) * low, 65);
  add_part(static_cast<Wide>(high) * high, 128);
}

template <std::size_t kLimbs>
void BasicWideInteger<kLimbs>::add_square(double x, std::int64_t weight) {
  const auto bits = std::bit_cast<std::uint64_t>(x);
  const auto exponent = static_cast<std::size_t>((bits >> 52) & 0x7ff);
  std::uint64_t mantissa = bits & ((std::uint64_t{1} << 52) - 1);
  if (exponent != 0) mantissa |= std::uint64_t{1} << 52;
  const std::size_t shift = exponent == 0 ? 0 : 2 * (exponent - 1);
  const Wide square = static_cast<Wide>(mantissa) * mantissa;
  // 106 bits: in halves, so that the weight has room.
  constexpr Wide kHalf = (Wide{1} << 53) - 1;
  add(static_cast<Int128>(square & kHalf) * weight, shift);
  add(static_cast<Int128>(square >> 53) * weight, shift + 53);
}

template <std::size_t kLimbs>
void BasicWideInteger<kLimbs>::store(char* out) const {
  if (is_zero()) return;
  out[0] = static_cast<char>(first_);
  out[1] = negative_ ? 1 : 0;
  std::memcpy(out + 2, limbs_.data(), count_ * 8);
}

template <std::size_t kLimbs>
bool BasicWideInteger<kLimbs>::load(std::string_view stored) {
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

template <std::size_t kLimbs>
std::optional<Int128> BasicWideInteger<kLimbs>::to_int128() const {
  const std::uint64_t fill = negative_ ? ~std::uint64_t{0} : 0;
  for (std::size_t i = 2; i < first_ + count_; ++i) {
    if (limb(i) != fill) return std::nullopt;
  }
  if ((limb(1) >> 63 != 0) != negative_) return std::nullopt;
  return static_cast<Int128>((static_cast<Wide>(limb(1)) << 64) | limb(0));
}

template <std::size_t kLimbs>
Magnitude BasicWideInteger<kLimbs>::magnitude(int exponent) const {
  // Without the limbs that are zero below first_.
  Magnitude result;
  result.exponent = exponent + 64 * static_cast<std::int64_t>(first_);
  std::uint64_t carry = negative_ ? 1 : 0;
  for (std::size_t i = 0; i <= count_; ++i) {
    const std::uint64_t v = limb(first_ + i);
    const Wide total = static_cast<Wide>(negative_ ? ~v : v) + carry;
    result.limbs.push_back(static_cast<std::uint64_t>(total));
    carry = static_cast<std::uint64_t>(total >> 64);
  }
  if (carry != 0) result.limbs.push_back(1);
  return result;
}

template <std::size_t kLimbs>
std::optional<double> BasicWideInteger<kLimbs>::to_double(int exponent, std::uint64_t divisor,
                                                          unsigned decimals) const {
  if (is_zero()) return 0.0;
  const std::optional<double> rounded =
      processor::to_double(magnitude(exponent), std::span(&divisor, 1), decimals);
  if (!rounded) return std::nullopt;
  return negative_ ? -*rounded : *rounded;
}

template class BasicWideInteger<40>;
template class BasicWideInteger<72>;

}  // namespace kappa::processor
