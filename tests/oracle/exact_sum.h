// The exact sum of doubles, rounded once: a plain fixed-point number wide enough for every double. Written
// for the oracle alone; slow and simple.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

namespace kappa::oracle {

class ExactSum {
 public:
  // Finite values only.
  void add(double v) {
    if (v == 0) return;
    int exponent = 0;
    const double fraction = std::frexp(std::fabs(v), &exponent);  // v = fraction * 2^exponent, [1/2, 1).
    auto mantissa = static_cast<std::uint64_t>(std::ldexp(fraction, 53));
    int shift = exponent - 53 + kBias;  // Of the mantissa's lowest bit; denormals have zeros there.
    if (shift < 0) {
      mantissa >>= -shift;
      shift = 0;
    }
    const auto place = static_cast<std::size_t>(shift) / 32;
    const int within = shift % 32;
    const unsigned __int128 wide = static_cast<unsigned __int128>(mantissa) << within;
    for (std::size_t i = 0; i < 3; ++i) {
      const auto digit = static_cast<std::int64_t>(static_cast<std::uint32_t>(wide >> (32 * i)));
      digits_[place + i] += v < 0 ? -digit : digit;
    }
    if (++pending_ == (1 << 28)) normalise();
  }

  // Round half to even; infinite if beyond every double.
  [[nodiscard]] double rounded() {
    normalise();
    bool negative = false;
    auto magnitude = digits_;
    if (digits_.back() < 0) {
      negative = true;
      std::int64_t carry = 0;
      for (std::int64_t& digit : magnitude) {
        const std::int64_t turned = carry - digit;
        digit = turned & 0xffffffff;
        carry = (turned - digit) / (std::int64_t{1} << 32);
      }
    }
    std::size_t top = magnitude.size();
    while (top > 0 && magnitude[top - 1] == 0) --top;
    if (top == 0) return 0;
    // The highest 96..128 bits, and whether anything is below them.
    unsigned __int128 head = 0;
    int exponent = 0;
    const std::size_t low = top > 4 ? top - 4 : 0;
    for (std::size_t i = top; i > low; --i)
      head = (head << 32) | static_cast<std::uint32_t>(magnitude[i - 1]);
    exponent = static_cast<int>(low) * 32 - kBias;
    bool sticky = false;
    for (std::size_t i = 0; i < low; ++i) sticky = sticky || magnitude[i] != 0;
    int bits = 0;
    for (unsigned __int128 rest = head; rest != 0; rest >>= 1) ++bits;
    // Denormal results keep fewer than 53 bits: their lowest is 2^-1074.
    int drop = bits - 53;
    if (exponent + drop < -1074) drop = -1074 - exponent;
    if (drop > 0) {
      const unsigned __int128 unit = static_cast<unsigned __int128>(1) << drop;
      const unsigned __int128 rest = head & (unit - 1);
      const unsigned __int128 half = unit >> 1;
      head >>= drop;
      exponent += drop;
      if (rest > half || (rest == half && (sticky || (head & 1) != 0))) ++head;
    }
    const double result = std::ldexp(static_cast<double>(static_cast<std::uint64_t>(head)), exponent);
    return negative ? -result : result;
  }

 private:
  static constexpr int kBias = 1088;  // Lowest bit is 2^-1088.

  // Every digit but the last into 0..2^32-1; the sign is the last one's.
  void normalise() {
    std::int64_t carry = 0;
    for (std::size_t i = 0; i + 1 < digits_.size(); ++i) {
      const std::int64_t sum = digits_[i] + carry;
      digits_[i] = sum & 0xffffffff;
      carry = (sum - digits_[i]) / (std::int64_t{1} << 32);
    }
    digits_.back() += carry;
    pending_ = 0;
  }

  std::array<std::int64_t, 72> digits_{};  // 2304 bits.
  int pending_ = 0;
};

}  // namespace kappa::oracle
