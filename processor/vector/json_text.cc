#include "processor/vector/json_text.h"

#include "proto/limits.h"

namespace kappa::processor {
namespace {

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

std::size_t skip_space(std::string_view s, std::size_t at) {
  while (at < s.size() && is_space(s[at])) ++at;
  return at;
}

// After the closing quote of the string that starts at `at`; npos if there is none.
std::size_t skip_string(std::string_view s, std::size_t at) {
  for (++at; at < s.size(); ++at) {
    if (s[at] == '\\') {
      ++at;
    } else if (s[at] == '"') {
      return at + 1;
    }
  }
  return std::string_view::npos;
}

// After the value that starts at `at`; npos if it does not end.
std::size_t skip_value(std::string_view s, std::size_t at) {
  if (at >= s.size()) return std::string_view::npos;
  if (s[at] == '"') return skip_string(s, at);
  if (s[at] != '{' && s[at] != '[') {
    while (at < s.size() && s[at] != ',' && s[at] != '}' && s[at] != ']' && !is_space(s[at])) ++at;
    return at;
  }
  std::size_t depth = 0;
  while (at < s.size()) {
    const char c = s[at];
    if (c == '"') {
      at = skip_string(s, at);
      if (at == std::string_view::npos) return at;
      continue;
    }
    ++at;
    if (c == '{' || c == '[') ++depth;
    if ((c == '}' || c == ']') && --depth == 0) return at;
  }
  return std::string_view::npos;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Four hex digits at `at`; -1 if they are not there.
int hex_unit(std::string_view s, std::size_t at) {
  if (s.size() - at < 4 || at > s.size()) return -1;
  int unit = 0;
  for (std::size_t i = at; i < at + 4; ++i) {
    const int digit = hex_digit(s[i]);
    if (digit < 0) return -1;
    unit = unit * 16 + digit;
  }
  return unit;
}

void append_utf8(std::uint32_t c, std::string& out) {
  const auto byte = [&](std::uint32_t v) { out += static_cast<char>(static_cast<unsigned char>(v)); };
  if (c < 0x80) {
    byte(c);
  } else if (c < 0x800) {
    byte(0xc0 | (c >> 6));
    byte(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    byte(0xe0 | (c >> 12));
    byte(0x80 | ((c >> 6) & 0x3f));
    byte(0x80 | (c & 0x3f));
  } else {
    byte(0xf0 | (c >> 18));
    byte(0x80 | ((c >> 12) & 0x3f));
    byte(0x80 | ((c >> 6) & 0x3f));
    byte(0x80 | (c & 0x3f));
  }
}

// --- validation: recursive descent over RFC 8259, depth bounded ---

class Validator {
 public:
  explicit Validator(std::string_view s) : s_(s) {}
  bool run() {
    space();
    if (!value(0)) return false;
    space();
    return at_ == s_.size();
  }

 private:
  void space() { at_ = skip_space(s_, at_); }
  bool take(char c) {
    if (at_ >= s_.size() || s_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool literal(std::string_view word) {
    if (!s_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  bool digits() {
    const std::size_t start = at_;
    while (at_ < s_.size() && s_[at_] >= '0' && s_[at_] <= '9') ++at_;
    return at_ > start;
  }
  bool number() {
    take('-');
    if (!take('0') && !digits()) return false;
    if (take('.') && !digits()) return false;
    if (take('e') || take('E')) {
      if (!take('+')) take('-');
      return digits();
    }
    return true;
  }
  bool string() {
    if (!take('"')) return false;
    while (at_ < s_.size()) {
      const char c = s_[at_++];
      if (c == '"') return true;
      if (static_cast<unsigned char>(c) < 0x20) return false;
      if (c != '\\') continue;
      if (at_ >= s_.size()) return false;
      const char escape = s_[at_++];
      if (escape == 'u') {
        if (hex_unit(s_, at_) < 0) return false;
        at_ += 4;
      } else if (std::string_view("\"\\/bfnrt").find(escape) == std::string_view::npos) {
        return false;
      }
    }
    return false;
  }
  bool value(std::size_t depth) {
    if (at_ >= s_.size() || depth > limits::kJsonDepthMax) return false;
    switch (s_[at_]) {
      case '{': return members(depth);
      case '[': return elements(depth);
      case '"': return string();
      case 't': return literal("true");
      case 'f': return literal("false");
      case 'n': return literal("null");
      default: return number();
    }
  }
  bool members(std::size_t depth) {
    ++at_;
    space();
    if (take('}')) return true;
    for (;;) {
      space();
      if (!string()) return false;
      space();
      if (!take(':')) return false;
      space();
      if (!value(depth + 1)) return false;
      space();
      if (take('}')) return true;
      if (!take(',')) return false;
    }
  }
  bool elements(std::size_t depth) {
    ++at_;
    space();
    if (take(']')) return true;
    for (;;) {
      space();
      if (!value(depth + 1)) return false;
      space();
      if (take(']')) return true;
      if (!take(',')) return false;
    }
  }

  std::string_view s_;
  std::size_t at_ = 0;
};

}  // namespace

std::string_view json_trim(std::string_view json) {
  while (!json.empty() && is_space(json.front())) json.remove_prefix(1);
  while (!json.empty() && is_space(json.back())) json.remove_suffix(1);
  return json;
}

bool json_is_null(std::string_view json) {
  return json_trim(json) == "null";
}

std::optional<std::string_view> json_member(std::string_view json, std::string_view name) {
  json = json_trim(json);
  if (json.empty() || json.front() != '{') return std::nullopt;
  std::optional<std::string_view> found;
  std::size_t at = skip_space(json, 1);
  while (at < json.size() && json[at] == '"') {
    const std::size_t name_end = skip_string(json, at);
    if (name_end == std::string_view::npos) return std::nullopt;
    const std::string_view quoted = json.substr(at, name_end - at);
    at = skip_space(json, name_end);
    if (at >= json.size() || json[at] != ':') return std::nullopt;
    at = skip_space(json, at + 1);
    const std::size_t end = skip_value(json, at);
    if (end == std::string_view::npos) return std::nullopt;
    const bool plain = quoted.find('\\') == std::string_view::npos;
    if (plain ? quoted.substr(1, quoted.size() - 2) == name : json_unquote(quoted) == name) {
      found = json.substr(at, end - at);
    }
    at = skip_space(json, end);
    if (at >= json.size() || json[at] != ',') break;
    at = skip_space(json, at + 1);
  }
  return found;
}

std::optional<std::string_view> json_element(std::string_view json, std::int64_t index) {
  json = json_trim(json);
  if (json.empty() || json.front() != '[') return std::nullopt;
  // From the end: count first.
  const auto walk = [&](std::int64_t wanted, std::int64_t& count) -> std::optional<std::string_view> {
    std::size_t at = skip_space(json, 1);
    count = 0;
    while (at < json.size() && json[at] != ']') {
      const std::size_t end = skip_value(json, at);
      if (end == std::string_view::npos || end == at) return std::nullopt;
      if (count == wanted) return json.substr(at, end - at);
      ++count;
      at = skip_space(json, end);
      if (at >= json.size() || json[at] != ',') break;
      at = skip_space(json, at + 1);
    }
    return std::nullopt;
  };
  std::int64_t count = 0;
  if (index >= 0) return walk(index, count);
  (void)walk(-1, count);
  if (index < -count) return std::nullopt;
  std::int64_t ignored = 0;
  return walk(count + index, ignored);
}

std::optional<std::string> json_unquote(std::string_view json) {
  json = json_trim(json);
  if (json.size() < 2 || json.front() != '"' || json.back() != '"') return std::nullopt;
  const std::string_view s = json.substr(1, json.size() - 2);
  std::string out;
  out.reserve(s.size());
  for (std::size_t i = 0; i < s.size(); ++i) {
    if (s[i] != '\\') {
      out += s[i];
      continue;
    }
    if (++i >= s.size()) return std::nullopt;
    switch (s[i]) {
      case 'b': out += '\b'; break;
      case 'f': out += '\f'; break;
      case 'n': out += '\n'; break;
      case 'r': out += '\r'; break;
      case 't': out += '\t'; break;
      case 'u': {
        const int unit = hex_unit(s, i + 1);
        if (unit < 0) return std::nullopt;
        i += 4;
        auto code = static_cast<std::uint32_t>(unit);
        if (code >= 0xd800 && code < 0xdc00 && s.substr(i + 1).starts_with("\\u")) {
          const int low = hex_unit(s, i + 3);
          if (low >= 0xdc00 && low < 0xe000) {
            code = 0x10000 + ((code - 0xd800) << 10) + (static_cast<std::uint32_t>(low) - 0xdc00);
            i += 6;
          }
        }
        // A lone surrogate is no character: TEXT stays valid UTF-8.
        if (code >= 0xd800 && code < 0xe000) code = 0xfffd;
        append_utf8(code, out);
        break;
      }
      default: out += s[i];
    }
  }
  return out;
}

bool json_valid(std::string_view json) {
  return Validator(json).run();
}

}  // namespace kappa::processor
