#include "tools/json_member.h"

#include <cstdint>

namespace kappa::tools {
namespace {

// Walks valid JSON; every step is bounded by the text all the same.
class Walker {
 public:
  explicit Walker(std::string_view text) : text_(text) {}

  void space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\r' || text_[at_] == '\n'))
      ++at_;
  }
  bool take(char c) {
    space();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  // The inside of a string whose opening quote is next.
  std::string_view string() {
    if (!take('"')) return {};
    const std::size_t first = at_;
    while (at_ < text_.size() && text_[at_] != '"') at_ += text_[at_] == '\\' ? 2 : 1;
    const std::size_t last = at_ < text_.size() ? at_ : text_.size();
    at_ = last + 1;
    return text_.substr(first, last - first);
  }
  // The text of any value.
  std::string_view value() {
    space();
    const std::size_t first = at_;
    std::size_t depth = 0;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"') {
        static_cast<void>(string());
        continue;
      }
      if (c == '{' || c == '[') ++depth;
      if (c == ',' || c == '}' || c == ']') {
        if (depth == 0) break;
        if (c != ',') --depth;
      }
      ++at_;
    }
    std::string_view found = text_.substr(first, (at_ < text_.size() ? at_ : text_.size()) - first);
    const std::size_t last = found.find_last_not_of(" \t\r\n");
    return last == std::string_view::npos ? std::string_view() : found.substr(0, last + 1);
  }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

std::uint32_t hex4(std::string_view digits) {
  std::uint32_t value = 0;
  for (const char c : digits.substr(0, 4)) {
    const char lower = static_cast<char>(c | 0x20);
    value = value * 16 + static_cast<std::uint32_t>(c <= '9' ? c - '0' : lower - 'a' + 10);
  }
  return value;
}

void append_utf8(std::uint32_t code, std::string& out) {
  const auto byte = [&](std::uint32_t b) { out += static_cast<char>(b); };
  if (code < 0x80) {
    byte(code);
  } else if (code < 0x800) {
    byte(0xc0 | code >> 6);
    byte(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    byte(0xe0 | code >> 12);
    byte(0x80 | ((code >> 6) & 0x3f));
    byte(0x80 | (code & 0x3f));
  } else {
    byte(0xf0 | code >> 18);
    byte(0x80 | ((code >> 12) & 0x3f));
    byte(0x80 | ((code >> 6) & 0x3f));
    byte(0x80 | (code & 0x3f));
  }
}

void unescape(std::string_view text, std::string& out) {
  out.clear();
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\\' || at + 1 >= text.size()) {
      out += text[at];
      continue;
    }
    const char c = text[++at];
    switch (c) {
      case 'b': out += '\b'; break;
      case 'f': out += '\f'; break;
      case 'n': out += '\n'; break;
      case 'r': out += '\r'; break;
      case 't': out += '\t'; break;
      case 'u': {
        std::uint32_t code = hex4(text.substr(at + 1));
        at += 4;
        if (code >= 0xd800 && code < 0xdc00 && at + 6 < text.size() + 1) {
          code = 0x10000 + ((code - 0xd800) << 10) + (hex4(text.substr(at + 3)) - 0xdc00);
          at += 6;
        }
        append_utf8(code, out);
        break;
      }
      default: out += c;
    }
  }
}

bool same_name(std::string_view raw, std::string_view name, std::string& scratch) {
  if (raw.find('\\') == std::string_view::npos) return raw == name;
  unescape(raw, scratch);
  return scratch == name;
}

}  // namespace

std::optional<std::string_view> find_key(std::string_view event, std::string_view name, std::string& scratch) {
  Walker walker(event);
  std::optional<std::string_view> found;
  if (!walker.take('{')) return std::nullopt;
  for (;;) {
    const std::string_view member = walker.string();
    if (!walker.take(':')) break;
    const std::string_view value = walker.value();
    if (same_name(member, name, scratch)) found = value;
    if (!walker.take(',')) break;
  }
  if (!found || *found == "null") return std::nullopt;
  if (!found->starts_with('"')) return found;
  const std::string_view inside = found->substr(1, found->size() - 2);
  if (inside.find('\\') == std::string_view::npos) return inside;
  unescape(inside, scratch);
  return scratch;
}

}  // namespace kappa::tools
