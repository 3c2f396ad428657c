#include "processor/vector/regex.h"

#include <re2/re2.h>

#include <algorithm>

#include "processor/vector/like.h"

namespace kappa::processor {
namespace {

// Of one pattern, its cached automata included. RE2 goes on more slowly where they would need more.
constexpr std::int64_t kMemoryMax = std::int64_t{8} << 20;

std::unexpected<Error> refuse(std::string message, std::string hint = {}) {
  return fail(ErrorCode::kInvalid, 2002, std::move(message), std::move(hint));
}

bool has_single_byte(std::string_view pattern) {
  for (std::size_t i = 0; i + 1 < pattern.size(); ++i) {
    if (pattern[i] != '\\') continue;
    if (pattern[++i] == 'C') return true;
  }
  return false;
}

re2::StringPiece piece_of(std::string_view text) {
  return {text.data(), text.size()};
}

// RE2 says with a null pointer that a group took no part: an empty text must not have one.
std::string_view not_null(std::string_view text) {
  return text.data() == nullptr ? std::string_view("") : text;
}

}  // namespace

Regex::Regex(std::unique_ptr<re2::RE2> compiled, bool all) : compiled_(std::move(compiled)), all_(all) {
  pieces_.resize(static_cast<std::size_t>(groups()) + 1);
}
Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

Expected<Regex> Regex::compile(std::string_view pattern, std::string_view flags) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kMemoryMax);
  bool all = false;
  bool lines = false;
  for (const char flag : flags) {
    switch (flag) {
      case 'i': options.set_case_sensitive(false); break;
      case 'c': options.set_case_sensitive(true); break;
      case 's': options.set_dot_nl(true); break;
      case 'm': lines = true; break;
      case 'g': all = true; break;
      default:
        return refuse("'" + std::string(flags) + "' has a flag that regular expressions do not have",
                      "flags: i c s m g");
    }
  }
  if (has_single_byte(pattern)) {
    return refuse("\\C, a single byte, is not allowed in regular expressions", "the dot is one character");
  }
  const std::string whole = (lines ? "(?m)" : "") + std::string(pattern);
  auto compiled = std::make_unique<re2::RE2>(piece_of(whole), options);
  if (!compiled->ok()) {
    return refuse("'" + std::string(pattern) + "' is not a regular expression: " + compiled->error(),
                  "the syntax is RE2's");
  }
  return Regex(std::move(compiled), all);
}

int Regex::groups() const {
  return compiled_->NumberOfCapturingGroups();
}

bool Regex::matches(std::string_view text) const {
  return compiled_->Match(piece_of(text), 0, text.size(), re2::RE2::UNANCHORED, nullptr, 0);
}

bool Regex::find(std::string_view text, std::size_t from, int group) {
  return compiled_->Match(piece_of(text), from, text.size(), re2::RE2::UNANCHORED, pieces_.data(), group + 1);
}

bool Regex::extract(std::string_view text, int group, std::string_view& out) {
  if (!find(not_null(text), 0, group)) return false;
  const re2::StringPiece& piece = pieces_[static_cast<std::size_t>(group)];
  if (piece.data() == nullptr) return false;
  out = {piece.data(), piece.size()};
  return true;
}

template <class Found>
void Regex::for_each_match(std::string_view text, int group, Found&& found) {
  text = not_null(text);
  std::size_t from = 0;
  std::size_t last_end = std::string_view::npos;
  while (from <= text.size() && find(text, from, group)) {
    const auto start = static_cast<std::size_t>(pieces_[0].data() - text.data());
    const std::size_t end = start + pieces_[0].size();
    // An empty match does not count right behind another match, nor inside a code point.
    const bool counts =
        end > start || (start != last_end && (start == text.size() || starts_code_point(text[start])));
    if (counts) {
      if (!found(start, end)) return;
      last_end = end;
    }
    from = end > start ? end : end + 1;
  }
}

std::int64_t Regex::count(std::string_view text) {
  std::int64_t matches = 0;
  for_each_match(text, 0, [&](std::size_t, std::size_t) { return ++matches > 0; });
  return matches;
}

bool Regex::replace(std::string_view text, std::string_view replacement, std::size_t bytes_max,
                    std::string& out) {
  out.clear();
  std::size_t copied = 0;
  const int last_group = std::min(groups(), 9);
  for_each_match(text, last_group, [&](std::size_t start, std::size_t end) {
    out += text.substr(copied, start - copied);
    copied = end;
    for (std::size_t i = 0; i < replacement.size(); ++i) {
      const char next = replacement[i] == '\\' && i + 1 < replacement.size() ? replacement[i + 1] : '\0';
      if ((next >= '1' && next <= '9') || next == '&') {
        const int group = next == '&' ? 0 : next - '0';
        if (group <= last_group) {
          const re2::StringPiece& piece = pieces_[static_cast<std::size_t>(group)];
          out.append(piece.data() == nullptr ? "" : piece.data(), piece.size());
        }
        ++i;
      } else {
        out += replacement[i];
        if (next == '\\') ++i;
      }
      if (out.size() > bytes_max) return false;
    }
    return all_ && out.size() <= bytes_max;
  });
  if (out.size() > bytes_max) return false;
  out += text.substr(copied);
  return out.size() <= bytes_max;
}

}  // namespace kappa::processor
