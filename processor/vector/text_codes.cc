// See text_codes.h.
#include "processor/vector/text_codes.h"

#include <string_view>

#include "processor/vector/short_bytes.h"
#include "processor/vector/vector.h"

namespace kappa::processor {
namespace {

std::uint64_t mixed(std::uint64_t a, std::uint64_t b) {
  __extension__ typedef unsigned __int128 Wide;
  const Wide product = static_cast<Wide>(a ^ 0x9e3779b97f4a7c15U) * (b ^ 0xe7037ed1a0b428dbU);
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// Of the size, the beginning, the end and, of long ones, some words between: equal texts have equal hashes, and
// texts that nobody chose to collide seldom do. Those that somebody chose make one chunk slow.
std::uint64_t hash_of(std::string_view text) {
  if (text.size() <= kShortBytes) {
    const ShortWords words = short_words(text.data(), text.size());
    return mixed(words.first ^ text.size() << 56, words.last);
  }
  std::uint64_t hash = text.size();
  const std::size_t step = text.size() / 8 < 8 ? 8 : text.size() / 8;
  for (std::size_t at = 0; at + 8 <= text.size(); at += step) hash = mixed(hash, load_bytes<std::uint64_t>(text.data() + at));
  return mixed(hash, load_bytes<std::uint64_t>(text.data() + text.size() - 8));
}

}  // namespace

void TextCodes::number(const Vector& vector) {
  static_assert(kSlots >= 2 * kVectorRows);
  KAPPA_CHECK(count_ <= kVectorRows && count_ <= vector.size(), "codes of more rows than a chunk has");
  static constexpr std::size_t kProbesMax = 64;
  state_ = State::kUseless;
  skip_ = kChunksSkipped;
  codes_.resize(kVectorRows);
  distinct_.clear();
  slots_.fill(0);
  const std::uint8_t* const valid = vector.valid();
  const std::string_view* const texts = vector.data<std::string_view>();
  constexpr std::uint16_t kNone = UINT16_MAX;
  std::uint16_t null_code = kNone;
  const auto add = [&](std::size_t row) {
    distinct_.push_back(static_cast<std::uint32_t>(row));
    return static_cast<std::uint16_t>(distinct_.size() - 1);
  };
  for (std::size_t row = 0; row < count_; ++row) {
    if (valid[row] == 0) {
      if (null_code == kNone) null_code = add(row);
      codes_[row] = null_code;
      continue;
    }
    const std::string_view text = texts[row];
    std::size_t at = hash_of(text) % kSlots;
    for (std::size_t probes = 0;; at = (at + 1) % kSlots) {
      if (slots_[at] == 0) {
        codes_[row] = add(row);
        slots_[at] = static_cast<std::uint16_t>(codes_[row] + 1);
        break;
      }
      const auto code = static_cast<std::uint16_t>(slots_[at] - 1);
      if (same_bytes(texts[distinct_[code]], text)) {
        codes_[row] = code;
        break;
      }
      if (++probes == kProbesMax) return;  // Nothing depends on the numbers but speed.
    }
  }
  if (distinct_.size() * 2 > count_) return;
  skip_ = 0;
  state_ = State::kKnown;
}

}  // namespace kappa::processor
