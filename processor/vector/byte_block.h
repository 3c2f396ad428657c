// A block of bytes at a time, as bit masks: bit i says something of byte i. What the scan of JSON text is made of.
//
// One class for each instruction set, all with the same functions; ByteBlock is the widest that the build has. Each
// reads kBytes at `at` (digit_mask() and equal_32() always 32), which must be readable; the caller sees to it.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__AVX2__) || defined(__SSE2__)
#include <immintrin.h>
#endif

namespace kappa::processor {

// Of a block: its quotes, and the bytes that are not plain text: backslashes, control characters and what is not ASCII.
struct StringMask {
  std::uint64_t quotes = 0;
  std::uint64_t special = 0;
};

// Appends the positions of the mask's bits, counted from `base`, and returns their end. May write kPositionsMore more.
inline constexpr std::size_t kPositionsMore = 64;
[[nodiscard]] inline std::uint16_t* append_positions(std::uint64_t mask, std::size_t base, std::uint16_t* out) {
  std::uint16_t* const end = out + std::popcount(mask);
  // A fixed number at once: how many there are differs from block to block, and a branch for each would be missed.
  do {
    for (unsigned i = 0; i < 8; ++i) {
      *out++ = static_cast<std::uint16_t>(base + static_cast<std::size_t>(std::countr_zero(mask)));
      mask &= mask - 1;
    }
  } while (mask != 0);
  return end;
}

// Eight bytes at a time, in any little-endian machine's registers.
struct PortableBlock {
  static constexpr std::size_t kBytes = 32;

  [[nodiscard]] static std::uint16_t* positions(std::uint64_t mask, std::size_t base, std::uint16_t* out) {
    return append_positions(mask, base, out);
  }

  [[nodiscard]] static StringMask string_mask(const char* at) {
    StringMask mask;
    for (unsigned i = 0; i < 4; ++i) {
      const std::uint64_t word = load(at + 8 * i);
      mask.quotes |= bits(equal(word, '"')) << 8 * i;
      // Below 0x20: the three high bits are zero. Of the others the top bit alone makes them special.
      const std::uint64_t control = zero_bytes(word & 0xe0 * kEach);
      mask.special |= bits((control | equal(word, '\\') | word) & 0x80 * kEach) << 8 * i;
    }
    return mask;
  }
  [[nodiscard]] static std::uint64_t digit_mask(const char* at) {
    std::uint64_t mask = 0;
    for (unsigned i = 0; i < 4; ++i) {
      const std::uint64_t word = load(at + 8 * i);
      const std::uint64_t low = word & 0x7f * kEach;
      // The top bit is set from '0' on, and from behind '9' on; sums of seven bits do not carry.
      const std::uint64_t from_zero = low + (0x80 - '0') * kEach;
      const std::uint64_t behind_nine = low + (0x80 - '9' - 1) * kEach;
      mask |= bits(from_zero & ~behind_nine & ~word & 0x80 * kEach) << 8 * i;
    }
    return mask;
  }
  [[nodiscard]] static std::uint32_t equal_32(const char* a, const char* b) {
    std::uint64_t mask = 0;
    for (unsigned i = 0; i < 4; ++i) mask |= bits(zero_bytes(load(a + 8 * i) ^ load(b + 8 * i))) << 8 * i;
    return static_cast<std::uint32_t>(mask);
  }

 private:
  static constexpr std::uint64_t kEach = 0x0101010101010101;
  static std::uint64_t load(const char* at) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, sizeof word);
    return word;
  }
  // The top bit of each byte that is zero, exactly.
  static constexpr std::uint64_t zero_bytes(std::uint64_t word) {
    return ~(((word & 0x7f * kEach) + 0x7f * kEach) | word) & 0x80 * kEach;
  }
  static constexpr std::uint64_t equal(std::uint64_t word, char c) {
    return zero_bytes(word ^ static_cast<unsigned char>(c) * kEach);
  }
  // The top bits of the bytes, side by side.
  static constexpr std::uint64_t bits(std::uint64_t top) { return (top >> 7) * 0x0102040810204080 >> 56; }
};

#if defined(__SSE2__)
struct Sse2Block {
  static constexpr std::size_t kBytes = 32;

  [[nodiscard]] static std::uint16_t* positions(std::uint64_t mask, std::size_t base, std::uint16_t* out) {
    return append_positions(mask, base, out);
  }

  [[nodiscard]] static StringMask string_mask(const char* at) {
    StringMask mask;
    for (unsigned i = 0; i < 2; ++i) {
      const __m128i v = load(at + 16 * i);
      // Signed: what is not ASCII is below zero.
      const __m128i special = _mm_or_si128(_mm_cmplt_epi8(v, _mm_set1_epi8(0x20)), _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
      mask.quotes |= bits(_mm_cmpeq_epi8(v, _mm_set1_epi8('"'))) << 16 * i;
      mask.special |= bits(special) << 16 * i;
    }
    return mask;
  }
  [[nodiscard]] static std::uint64_t digit_mask(const char* at) {
    std::uint64_t mask = 0;
    for (unsigned i = 0; i < 2; ++i) {
      const __m128i v = load(at + 16 * i);
      mask |= bits(_mm_and_si128(_mm_cmpgt_epi8(v, _mm_set1_epi8('0' - 1)), _mm_cmplt_epi8(v, _mm_set1_epi8('9' + 1))))
              << 16 * i;
    }
    return mask;
  }
  [[nodiscard]] static std::uint32_t equal_32(const char* a, const char* b) {
    return static_cast<std::uint32_t>(bits(_mm_cmpeq_epi8(load(a), load(b))) |
                                      bits(_mm_cmpeq_epi8(load(a + 16), load(b + 16))) << 16);
  }

 private:
  static __m128i load(const char* at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)); }
  static std::uint64_t bits(__m128i v) { return static_cast<std::uint32_t>(_mm_movemask_epi8(v)); }
};
#endif

#if defined(__AVX2__)
struct Avx2Block {
  static constexpr std::size_t kBytes = 32;

  [[nodiscard]] static std::uint16_t* positions(std::uint64_t mask, std::size_t base, std::uint16_t* out) {
    return append_positions(mask, base, out);
  }

  [[nodiscard]] static StringMask string_mask(const char* at) {
    const __m256i v = load(at);
    const __m256i special =
        _mm256_or_si256(_mm256_cmpgt_epi8(_mm256_set1_epi8(0x20), v), _mm256_cmpeq_epi8(v, _mm256_set1_epi8('\\')));
    return {bits(_mm256_cmpeq_epi8(v, _mm256_set1_epi8('"'))), bits(special)};
  }
  [[nodiscard]] static std::uint64_t digit_mask(const char* at) {
    const __m256i v = load(at);
    return bits(_mm256_and_si256(_mm256_cmpgt_epi8(v, _mm256_set1_epi8('0' - 1)),
                                 _mm256_cmpgt_epi8(_mm256_set1_epi8('9' + 1), v)));
  }
  [[nodiscard]] static std::uint32_t equal_32(const char* a, const char* b) {
    return bits(_mm256_cmpeq_epi8(load(a), load(b)));
  }

 private:
  static __m256i load(const char* at) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)); }
  static std::uint32_t bits(__m256i v) { return static_cast<std::uint32_t>(_mm256_movemask_epi8(v)); }
};
#endif

#if defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512VBMI2__)
struct Avx512Block {
  static constexpr std::size_t kBytes = 64;

  [[nodiscard]] static std::uint16_t* positions(std::uint64_t mask, std::size_t base, std::uint16_t* out) {
    alignas(64) static constexpr std::array<char, 64> kNumbers = [] {
      std::array<char, 64> numbers{};
      for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<char>(i);
      return numbers;
    }();
    const __m512i found = _mm512_maskz_compress_epi8(mask, _mm512_load_si512(kNumbers.data()));
    const __m512i from = _mm512_set1_epi16(static_cast<short>(base));
    const auto store = [&](std::uint16_t* at, __m256i bytes) {
      _mm512_storeu_si512(at, _mm512_add_epi16(from, _mm512_cvtepu8_epi16(bytes)));
    };
    store(out, _mm512_castsi512_si256(found));
    store(out + 32, _mm512_extracti64x4_epi64(found, 1));
    return out + std::popcount(mask);
  }

  [[nodiscard]] static StringMask string_mask(const char* at) {
    const __m512i v = _mm512_loadu_si512(at);
    return {_mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('"')),
            _mm512_cmplt_epi8_mask(v, _mm512_set1_epi8(0x20)) | _mm512_cmpeq_epi8_mask(v, _mm512_set1_epi8('\\'))};
  }
  // Of 32 bytes: longer numbers are rare.
  [[nodiscard]] static std::uint64_t digit_mask(const char* at) {
    const __m256i v = _mm256_sub_epi8(load_32(at), _mm256_set1_epi8('0'));
    return _mm256_cmplt_epu8_mask(v, _mm256_set1_epi8(10));
  }
  [[nodiscard]] static std::uint32_t equal_32(const char* a, const char* b) {
    return _mm256_cmpeq_epi8_mask(load_32(a), load_32(b));
  }

 private:
  static __m256i load_32(const char* at) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)); }
};
using ByteBlock = Avx512Block;
#elif defined(__AVX2__)
using ByteBlock = Avx2Block;
#elif defined(__SSE2__)
using ByteBlock = Sse2Block;
#else
using ByteBlock = PortableBlock;
#endif

}  // namespace kappa::processor
