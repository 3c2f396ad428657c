// One forward walk over a JSON event: checks all of it and hands the wanted values to a sink.
//
// simdjson's first stage (Langdale, Lemire: Parsing Gigabytes of JSON per Second, 2019) finds the
// structural characters, checks UTF-8, raw control characters and unclosed strings for the whole
// event. The walk over its index then checks the grammar of RFC 8259: nesting, names, escapes,
// numbers, literals. simdjson's own second stage is not used, because it refuses numbers that are
// valid JSON but out of a machine type's range and accepts lone low surrogates; its On-Demand form
// does not check what nobody reads. Only simdjson's public stage-1 interface is used, in the form of
// the 3.x series.
//
// The verdict never depends on the sink. Nothing is read past the event. One thread at a time.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "processor/vector/json_token.h"
#include "processor/vector/path_trie.h"
#include "proto/limits.h"

namespace simdjson::internal {
class dom_parser_implementation;
}

namespace kappa::processor {

// What is wrong with an event; `number` is 0 when nothing is.
struct JsonVerdict {
  std::uint16_t number = 0;         // 5001..5004, see json_decode.h.
  const char* what = "";            // Static.
  std::size_t position = SIZE_MAX;  // Byte in the event; SIZE_MAX: not known.
};

// The structural index of one event.
class JsonIndex {
 public:
  JsonIndex();
  ~JsonIndex();
  JsonIndex(JsonIndex&&) noexcept;
  JsonIndex& operator=(JsonIndex&&) noexcept;
  // Indexes `event`. positions()[count()] is the event's length.
  [[nodiscard]] JsonVerdict build(std::string_view event);
  [[nodiscard]] const std::uint32_t* positions() const { return positions_; }
  [[nodiscard]] std::uint32_t count() const { return count_; }

 private:
  std::unique_ptr<simdjson::internal::dom_parser_implementation> stage1_;
  std::size_t capacity_ = 0;
  const std::uint32_t* positions_ = nullptr;
  std::uint32_t count_ = 0;
};

// Checks everything and wants nothing.
struct NullSink {
  static void string(std::uint32_t, std::string_view, std::string_view, bool) {}
  static void number(std::uint32_t, std::string_view, bool) {}
  static void literal(std::uint32_t, std::string_view) {}
  static void open(std::uint32_t) {}
  static void close(std::uint32_t, std::string_view) {}
};

// A walk with its stack; reusable. `Sink` receives, for each value at a node of the trie:
// string(node, raw token, inside, has escapes), number(node, token, is an integer),
// literal(node, token), open(node) and later close(node, whole text) of an object or array.
template <class Sink>
class JsonWalk {
 public:
  // `trie` may be null: nothing is wanted.
  [[nodiscard]] JsonVerdict run(std::string_view event, const JsonIndex& index, const PathTrie* trie,
                                Sink& sink) {
    text_ = event;
    at_ = index.positions();
    end_ = at_ + index.count();
    // One look for backslashes spares all strings of an event without one.
    escapes_ = std::memchr(event.data(), '\\', event.size()) != nullptr;
    if (at_ == end_) return bad(5001, "the event is empty");
    if (text_[*at_] != '{') return bad_top();
    return walk(trie, sink);
  }

 private:
  struct Frame {
    std::uint32_t node = PathTrie::kNone;
    std::uint32_t begin = 0;  // Byte position of the bracket.
    std::uint32_t element = 0;
    bool object = false;
  };

  [[nodiscard]] JsonVerdict bad(std::uint16_t number, const char* what) const {
    return {number, what, at_ == end_ ? text_.size() : *at_};
  }
  [[nodiscard]] JsonVerdict bad_top() const {
    const char c = text_[*at_];
    const bool value = c == '[' || c == '"' || c == '-' || (c >= '0' && c <= '9') ||
                       text_.substr(*at_, 4) == "true" || text_.substr(*at_, 5) == "false" ||
                       text_.substr(*at_, 4) == "null";
    return value ? bad(5002, "the top level is not an object") : bad(5001, "not JSON");
  }
  [[nodiscard]] static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
  // The token that starts at structural *at_: up to the next structural, white space cut off.
  [[nodiscard]] std::string_view token() const {
    const std::uint32_t begin = at_[0];
    std::uint32_t end = at_[1];
    while (is_space(text_[end - 1])) --end;  // Stops at the token's first byte at the latest.
    return text_.substr(begin, end - begin);
  }

  [[nodiscard]] JsonVerdict walk(const PathTrie* trie, Sink& sink) {
    std::size_t depth = 0;
    std::uint32_t node = trie ? 0 : PathTrie::kNone;  // Of the value that comes next.
    char scratch[256];
    std::string long_scratch;

  value: {
    if (at_ == end_) return bad(5001, "the event ends where a value is expected");
    const char c = text_[*at_];
    switch (c) {
      case '"': {
        const std::string_view raw = token();
        if (raw.size() < 2 || raw.back() != '"') return bad(5001, "a string is not closed");
        const std::string_view inside = raw.substr(1, raw.size() - 2);
        const bool escaped = escapes_ && inside.find('\\') != std::string_view::npos;
        if (escaped && !valid_escapes(inside))
          return bad(5001, "a string has an illegal escape or a lone surrogate");
        if (node != PathTrie::kNone) sink.string(node, raw, inside, escaped);
        break;
      }
      case '{':
      case '[': {
        if (depth == limits::kJsonDepthMax) return bad(5003, "nested deeper than 512 levels");
        if (node != PathTrie::kNone) sink.open(node);
        Frame& frame = stack_[depth++];
        frame = {node, *at_, 0, c == '{'};
        ++at_;
        if (at_ == end_) return bad(5001, "the event ends inside an object or an array");
        if (text_[*at_] == (c == '{' ? '}' : ']')) goto close;
        if (c == '{') goto name;
        node = element_node(trie, frame);
        goto value;
      }
      case 't':
      case 'f':
      case 'n': {
        const std::string_view word = token();
        if (word != "true" && word != "false" && word != "null") return bad(5001, "not a JSON value");
        if (node != PathTrie::kNone) sink.literal(node, word);
        break;
      }
      default: {
        const std::string_view word = token();
        const NumberShape shape = scan_number(word);
        if (shape.length != word.size()) return bad(5001, "not a JSON value");
        if (node != PathTrie::kNone) sink.number(node, word, shape.integer);
        break;
      }
    }
    ++at_;
  }

  after_value: {
    if (depth == 0) {
      if (at_ != end_) return bad(5001, "something follows the object");
      return {};
    }
    if (at_ == end_) return bad(5001, "the event ends inside an object or an array");
    Frame& frame = stack_[depth - 1];
    const char c = text_[*at_];
    if (c == ',') {
      ++at_;
      if (frame.object) goto name;
      ++frame.element;
      node = element_node(trie, frame);
      goto value;
    }
    if (c != (frame.object ? '}' : ']'))
      return bad(5001, frame.object ? "expected ',' or '}'" : "expected ',' or ']'");
  }

  close: {
    const Frame& frame = stack_[--depth];
    if (frame.node != PathTrie::kNone)
      sink.close(frame.node, text_.substr(frame.begin, *at_ + 1 - frame.begin));
    ++at_;
    goto after_value;
  }

  name: {
    if (at_ == end_ || text_[*at_] != '"') return bad(5001, "expected a member name");
    const std::string_view raw = token();
    if (raw.size() < 2 || raw.back() != '"') return bad(5001, "a string is not closed");
    std::string_view inside = raw.substr(1, raw.size() - 2);
    const bool escaped = escapes_ && inside.find('\\') != std::string_view::npos;
    const std::uint32_t parent = stack_[depth - 1].node;
    node = PathTrie::kNone;
    if (escaped) {
      if (!valid_escapes(inside)) return bad(5001, "a member name has an illegal escape or a lone surrogate");
      if (parent != PathTrie::kNone) {
        char* out = scratch;
        if (inside.size() > sizeof scratch) {
          long_scratch.resize(inside.size());
          out = long_scratch.data();
        }
        inside = {out, *unescape(inside, out)};
      }
    }
    if (parent != PathTrie::kNone) node = trie->member(parent, inside);
    ++at_;
    if (at_ == end_ || text_[*at_] != ':') return bad(5001, "expected ':'");
    ++at_;
    goto value;
  }
  }

  [[nodiscard]] static std::uint32_t element_node(const PathTrie* trie, const Frame& frame) {
    return frame.node == PathTrie::kNone ? PathTrie::kNone : trie->element(frame.node, frame.element);
  }

  std::string_view text_;
  const std::uint32_t* at_ = nullptr;
  const std::uint32_t* end_ = nullptr;
  bool escapes_ = false;
  std::array<Frame, limits::kJsonDepthMax> stack_;
};

}  // namespace kappa::processor
