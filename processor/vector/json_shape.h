// The shapes that the events of a topic have, learned from them, and a fast path for events that have one.
//
// Events of a topic mostly have the same members in the same order. A shape is an event without its strings, numbers
// and literals: the bytes before, between and behind those, and what kind each is. An event that has the bytes of a
// shape which was learned from a valid event, with a value of the right kind in each place, is valid too, so it needs
// no index and no walk: the bytes are compared, and the values checked one by one as they are passed.
//
// The shapes are the paths of a trie from its root to an end, so a member that some events lack costs a branch and
// not another shape. Promise: what match() takes is an event that JsonWalk accepts and whose members at nodes of the
// PathTrie are those given; of the values it knows no other than plain ASCII strings without escapes, numbers that
// fit a block, and literals. For everything else it says no, which means nothing: JsonWalk decides. Events with two
// members of a wanted name, or with an object or array that a column wants, are never learned.
//
// Bounded: kNodesMax nodes. While few events have a shape the next are not tried, with growing pauses. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "processor/vector/byte_block.h"
#include "processor/vector/path_trie.h"

namespace kappa::processor {

class JsonIndex;

class JsonShapes {
 public:
  enum class Kind : std::uint8_t {
    kString,   // The bytes end with the opening quote; those that follow begin with the closing one.
    kNumber,
    kLiteral,  // true, false or null.
    kMore,     // No value: the bytes go on in the next node.
    kEnd,      // The event ends here.
  };
  // A value that a column wants.
  struct Found {
    std::string_view text;  // In the event. A string without its quotes; it has no escapes.
    std::uint32_t node;     // Of the PathTrie.
    Kind kind;
  };
  static constexpr std::size_t kReadableAfter = 64;  // Bytes after an event that match() may read.
  static constexpr std::size_t kNodesMax = 512;

  explicit JsonShapes(const PathTrie& trie);  // Borrowed.

  // Whether the next event should be tried at all. Counts it as tried if so.
  [[nodiscard]] bool attempt() {
    if (pause_ > 0) {
      --pause_;
      return false;
    }
    if (++tried_ == kWindow) [[unlikely]]
      end_window();
    return pause_ == 0;
  }
  // Whether the event has a known shape; then found() are its wanted values, until the next match(). `event` is
  // followed by kReadableAfter bytes that may be read.
  template <class Block = ByteBlock>
  [[nodiscard]] bool match(std::string_view event);
  [[nodiscard]] std::span<const Found> found() const { return {found_.data(), found_count_}; }
  // After an attempt() without a match: remembers the shape of an event that JsonWalk accepted over `index`, if it
  // can be, and if not too many were lately.
  void learn(std::string_view event, const JsonIndex& index);

  // How much is known, for tests.
  [[nodiscard]] std::size_t nodes() const { return nodes_.size() - 1; }

 private:
  static constexpr std::uint32_t kWindow = 1024;
  static constexpr std::uint32_t kLearnedMax = 64;  // Of a window.
  static constexpr std::uint32_t kPauseMax = std::uint32_t{64} << 10;
  static constexpr std::size_t kPieceBytes = 32;
  static constexpr std::size_t kSiblingsMax = 8;

  struct alignas(64) Node {
    std::array<char, kPieceBytes> bytes{};
    std::uint32_t mask = 0;  // A bit for each byte.
    std::uint32_t length = 0;
    std::uint32_t wanted = PathTrie::kNone;
    std::uint16_t child = 0;    // First of those that may follow; 0: none.
    std::uint16_t sibling = 0;  // The next to be tried in the same place; 0: none.
    Kind kind = Kind::kEnd;
  };
  struct Step {
    std::size_t begin = 0;  // Of the bytes in the event.
    std::size_t length = 0;
    Kind kind = Kind::kEnd;
    std::uint32_t wanted = PathTrie::kNone;
  };
  void end_window();
  // The steps of an event, into steps_; false if it is not to be learned.
  [[nodiscard]] bool describe(std::string_view event, const JsonIndex& index);
  // The node that is like this among `first` and its siblings, which is made if need be; 0: there is no room.
  [[nodiscard]] std::uint16_t place(std::uint16_t& first, const Node& like);

  const PathTrie& trie_;
  std::vector<Node> nodes_;  // 0 is nobody; its child is the root.
  std::vector<Found> found_;
  std::size_t found_count_ = 0;
  std::uint32_t tried_ = 0;
  std::uint32_t matched_ = 0;
  std::uint32_t learned_ = 0;
  std::uint32_t pause_ = 0;
  std::uint32_t next_pause_ = kWindow;
  std::vector<Step> steps_;
  std::vector<std::uint8_t> seen_;  // Per node of the PathTrie, while describing.
};

// The end of the string whose inside begins at `at`, which is not behind `end`; null if there is none before `end`,
// or if it must be looked at byte by byte.
template <class Block>
[[nodiscard]] inline const char* plain_string_end(const char* at, const char* end) {
  for (; at <= end; at += Block::kBytes) {
    const StringMask mask = Block::string_mask(at);
    if (mask.quotes == 0) {
      if (mask.special != 0) return nullptr;
      continue;
    }
    // What is special behind the quote does not count.
    if (((mask.quotes ^ (mask.quotes - 1)) & mask.special) != 0) return nullptr;
    const char* const quote = at + std::countr_zero(mask.quotes);
    return quote < end ? quote : nullptr;
  }
  return nullptr;
}

// The end of the number at `at`, by RFC 8259, section 6, as far as it has one of at most 31 bytes; else null.
template <class Block>
[[nodiscard]] inline const char* plain_number_end(const char* at, const char* end) {
  const unsigned sign = *at == '-' ? 1 : 0;
  const std::uint64_t digits = Block::digit_mask(at);
  const auto run = [digits](unsigned from) { return static_cast<unsigned>(std::countr_one(digits >> from)); };
  const unsigned whole = run(sign);
  if (whole == 0 || (whole > 1 && at[sign] == '0')) return nullptr;
  unsigned length = sign + whole;
  static constexpr unsigned kSeen = 31;  // Behind it the mask says nothing.
  if (length >= kSeen) return nullptr;
  if (at[length] == '.') {
    const unsigned fraction = run(length + 1);
    if (fraction == 0) return nullptr;
    length += 1 + fraction;
    if (length >= kSeen) return nullptr;
  }
  if ((at[length] | 0x20) == 'e') {
    ++length;
    if (at[length] == '+' || at[length] == '-') ++length;
    if (length >= kSeen) return nullptr;
    const unsigned exponent = run(length);
    if (exponent == 0) return nullptr;
    length += exponent;
    if (length >= kSeen) return nullptr;
  }
  return at + length <= end ? at + length : nullptr;
}

[[nodiscard]] inline const char* literal_end(const char* at, const char* end) {
  std::uint32_t word = 0;
  std::memcpy(&word, at, sizeof word);
  const auto is = [word](const char* text) {
    std::uint32_t expected = 0;
    std::memcpy(&expected, text, sizeof expected);
    return word == expected;
  };
  const std::size_t length = is("true") || is("null") ? 4 : is("fals") && at[4] == 'e' ? 5 : 0;
  return length != 0 && at + length <= end ? at + length : nullptr;
}

template <class Block>
bool JsonShapes::match(std::string_view event) {
  const char* at = event.data();
  const char* const end = at + event.size();
  found_count_ = 0;
  // Nothing is read further than kReadableAfter behind the end: `at` and `value` are never behind it.
  static_assert(Block::kBytes <= kReadableAfter && kPieceBytes <= kReadableAfter);
  for (std::uint16_t number = nodes_[0].child; number != 0;) {
    const Node& node = nodes_[number];
    const char* next = nullptr;
    if ((Block::equal_32(at, node.bytes.data()) & node.mask) == node.mask &&
        static_cast<std::size_t>(end - at) >= node.length) [[likely]] {
      const char* const value = at + node.length;
      switch (node.kind) {
        case Kind::kString: next = plain_string_end<Block>(value, end); break;
        case Kind::kNumber: next = plain_number_end<Block>(value, end); break;
        case Kind::kLiteral: next = literal_end(value, end); break;
        case Kind::kMore: next = value; break;
        case Kind::kEnd:
          if (value != end) break;
          ++matched_;
          return true;
      }
      if (next != nullptr && node.wanted != PathTrie::kNone) {
        found_[found_count_++] = {{value, static_cast<std::size_t>(next - value)}, node.wanted, node.kind};
      }
    }
    if (next != nullptr) [[likely]] {
      at = next;
      number = node.child;
    } else {
      number = node.sibling;
    }
  }
  return false;
}

}  // namespace kappa::processor
