// The shapes that the events of a topic have, learned from them, and a fast path for events that have one.
//
// Events of a topic mostly have the same members in the same order. A shape is an event without its strings, numbers
// and literals: the bytes before, between and behind those, and what kind each is. An event that has the bytes of a
// shape which was learned from a valid event, with a value of the right kind in each place, is valid too, so it needs
// no index and no walk: the bytes are compared, and the values checked one by one as they are passed.
//
// The shapes are the paths of a trie from its root to an end, so a member that some events lack costs a branch and
// not another shape. Promise: what match() takes is an event that JsonWalk accepts and whose members at nodes of the
// PathTrie are those given. It knows no other events than plain ones: ASCII without escapes and control characters, at
// most kEventBytes long, numbers of at most 30 bytes. For everything else it says no, which means nothing: JsonWalk
// decides. Events with two members of a wanted name, or with an object or array that a column wants, are never learned.
//
// Where a value ends is only known when it was read, and ten values in turn take longer to wait for than to read. So
// the quotes of the whole event are found first, block by block, and where a node's bytes must begin follows from its
// number of the quotes before it; that the value before ends there is checked beside.
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
  static constexpr std::size_t kEventBytes = std::size_t{16} << 10;

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
  static constexpr std::size_t kReadAhead = 1024;  // What follows an event is often the next one.
  static constexpr std::size_t kSiblingsMax = 8;

  struct alignas(64) Node {
    std::array<char, kPieceBytes> bytes{};
    std::uint32_t mask = 0;  // A bit for each byte.
    std::uint32_t length = 0;
    std::uint32_t wanted = PathTrie::kNone;
    std::uint16_t quotes = 0;    // How many of the bytes are.
    std::uint16_t quote_at = 0;  // The first of them; of an end without any, its length. Else not used.
    std::uint16_t child = 0;    // First of those that may follow; 0: none.
    std::uint16_t sibling = 0;  // The next to be tried in the same place; 0: none.
    Kind kind = Kind::kEnd;
    bool anchored = false;      // Has quotes, or is an end: a quote, or the event's end, says where it begins.
  };
  static_assert(sizeof(Node) == 64);
  struct Step {
    std::size_t begin = 0;  // Of the bytes in the event.
    std::size_t length = 0;
    Kind kind = Kind::kEnd;
    std::uint32_t wanted = PathTrie::kNone;
  };
  void end_window();
  // Fills quotes_; false if the event is not a plain one.
  template <class Block>
  [[nodiscard]] bool find_quotes(std::string_view event);
  // The steps of an event, into steps_; false if it is not to be learned.
  [[nodiscard]] bool describe(std::string_view event, const JsonIndex& index);
  // The node that is like this among `first` and its siblings, which is made if need be; 0: there is no room.
  [[nodiscard]] std::uint16_t place(std::uint16_t& first, const Node& like);

  const PathTrie& trie_;
  std::vector<Node> nodes_;  // 0 is nobody; its child is the root.
  std::vector<Found> found_;
  std::size_t found_count_ = 0;
  std::vector<std::uint16_t> quotes_;  // Where they are in the event at hand, then the event's size.
  std::uint32_t tried_ = 0;
  std::uint32_t matched_ = 0;
  std::uint32_t learned_ = 0;
  std::uint32_t pause_ = 0;
  std::uint32_t next_pause_ = kWindow;
  std::vector<Step> steps_;
  std::vector<std::uint8_t> seen_;  // Per node of the PathTrie, while describing.
};

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
bool JsonShapes::find_quotes(std::string_view event) {
  if (event.size() > kEventBytes) return false;
  std::uint16_t* out = quotes_.data();
  std::uint64_t special = 0;
  std::size_t base = 0;
  for (; base + Block::kBytes <= event.size(); base += Block::kBytes) {
    __builtin_prefetch(event.data() + base + kReadAhead);
    const StringMask mask = Block::string_mask(event.data() + base);
    special |= mask.special;
    out = Block::positions(mask.quotes, base, out);
  }
  const StringMask mask = Block::string_mask(event.data() + base);
  const std::uint64_t inside = (std::uint64_t{1} << (event.size() - base)) - 1;
  special |= mask.special & inside;
  out = Block::positions(mask.quotes & inside, base, out);
  *out = static_cast<std::uint16_t>(event.size());
  return special == 0;
}

template <class Block>
bool JsonShapes::match(std::string_view event) {
  found_count_ = 0;
  // Nothing is read further than kReadableAfter behind the event: no position here is behind its end.
  static_assert(Block::kBytes <= kReadableAfter && kPieceBytes <= kReadableAfter);
  if (!find_quotes<Block>(event)) return false;
  const char* const text = event.data();
  const std::size_t size = event.size();
  const std::uint16_t* quote = quotes_.data();  // The first that is not passed yet.
  std::size_t at = 0;
  for (std::uint16_t number = nodes_[0].child; number != 0;) {
    const Node& node = nodes_[number];
    std::size_t begin = at;
    bool here = true;
    if (node.anchored) [[likely]] {
      begin = static_cast<std::size_t>(*quote) - node.quote_at;
      here = begin == at;
      // They are equal from here on, but the compiler must not use the one for the other: `at` comes late.
      asm("" : "+r"(begin));
    }
    std::size_t next = SIZE_MAX;
    if (here && (Block::equal_32(text + begin, node.bytes.data()) & node.mask) == node.mask &&
        size - begin >= node.length) [[likely]] {
      const std::size_t value = begin + node.length;
      const auto past = [&](const char* end) { return end == nullptr ? SIZE_MAX : static_cast<std::size_t>(end - text); };
      switch (node.kind) {
        case Kind::kString:
          if (const std::size_t closing = quote[node.quotes]; closing < size) next = closing;
          break;
        case Kind::kNumber: next = past(plain_number_end<Block>(text + value, text + size)); break;
        case Kind::kLiteral: next = past(literal_end(text + value, text + size)); break;
        case Kind::kMore: next = value; break;
        case Kind::kEnd:
          if (value != size) break;
          ++matched_;
          return true;
      }
      if (next != SIZE_MAX && node.wanted != PathTrie::kNone) {
        found_[found_count_++] = {event.substr(value, next - value), node.wanted, node.kind};
      }
    }
    if (next != SIZE_MAX) [[likely]] {
      at = next;
      quote += node.quotes;
      number = node.child;
    } else {
      number = node.sibling;
    }
  }
  return false;
}

}  // namespace kappa::processor
