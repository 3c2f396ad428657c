#include "processor/vector/like.h"

#include <algorithm>

#include "processor/vector/text_bytes.h"

namespace kappa::processor {

std::optional<LikePattern> LikePattern::compile(std::string_view pattern, std::string_view escape,
                                                bool ignore_case) {
  if (std::count_if(escape.begin(), escape.end(), starts_code_point) > 1) return std::nullopt;
  LikePattern compiled;
  compiled.ignore_case_ = ignore_case;
  compiled.pieces_.emplace_back();
  const auto literal = [&](char c) {
    compiled.pieces_.back().bytes += ignore_case ? ascii_lower(c) : c;
    compiled.pieces_.back().any.push_back(false);
  };
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (!escape.empty() && pattern.substr(i).starts_with(escape)) {
      i += escape.size();
      if (i >= pattern.size()) return std::nullopt;
      literal(pattern[i]);
    } else if (pattern[i] == '%') {
      compiled.pieces_.emplace_back();
    } else if (pattern[i] == '_') {
      if (!compiled.pieces_.back().has_any)
        compiled.pieces_.back().prefix = compiled.pieces_.back().bytes.size();
      compiled.pieces_.back().bytes += '_';
      compiled.pieces_.back().any.push_back(true);
      compiled.pieces_.back().has_any = true;
    } else {
      literal(pattern[i]);
    }
  }
  return compiled;
}

bool LikePattern::same(char text, char pattern) const {
  return (ignore_case_ ? ascii_lower(text) : text) == pattern;
}

std::size_t LikePattern::match_at(const Piece& piece, std::string_view text, std::size_t at) const {
  if (!piece.has_any && !ignore_case_)
    return text.substr(at).starts_with(piece.bytes) ? at + piece.bytes.size() : std::string_view::npos;
  for (std::size_t i = 0; i < piece.bytes.size(); ++i) {
    if (at >= text.size()) return std::string_view::npos;
    if (piece.any[i]) {
      if (!starts_code_point(text[at])) return std::string_view::npos;
      for (++at; at < text.size() && !starts_code_point(text[at]); ++at) {
      }
    } else if (!same(text[at++], piece.bytes[i])) {
      return std::string_view::npos;
    }
  }
  return at;
}

std::size_t LikePattern::find(const Piece& piece, std::string_view text, std::size_t from,
                              std::size_t& end) const {
  if (!piece.has_any && !ignore_case_) {
    const std::size_t at = find_bytes(text, piece.bytes, from);
    end = at + piece.bytes.size();
    return at;
  }
  // Only where the bytes in front of the first _ are, if they are to be found as they stand.
  const std::size_t prefix = ignore_case_ ? 0 : piece.prefix;
  const std::string_view first(piece.bytes.data(), prefix);
  for (std::size_t at = from; at <= text.size(); ++at) {
    if (prefix > 0) {
      at = find_bytes(text, first, at);
      if (at == std::string_view::npos) break;
    }
    end = match_at(piece, text, at);
    if (end != std::string_view::npos) return at;
  }
  return std::string_view::npos;
}

// Whether the text from `from` on ends with the piece.
bool LikePattern::match_end(const Piece& piece, std::string_view text, std::size_t from) const {
  if (!piece.has_any && !ignore_case_) return text.substr(from).ends_with(piece.bytes);
  // Walk back over as many code points as the piece has: literal bytes are part of code points too.
  std::size_t at = text.size();
  for (std::size_t i = piece.bytes.size(); i > 0; --i) {
    if (at <= from) return false;
    --at;
    if (piece.any[i - 1]) {
      while (at > from && !starts_code_point(text[at])) --at;
    }
  }
  return match_at(piece, text, at) == text.size();
}

bool LikePattern::matches(std::string_view text) const {
  // The first piece is anchored at the start, the last at the end, the others are found leftmost in
  // between: a greedy scan is right because a later start never helps.
  std::size_t at = match_at(pieces_.front(), text, 0);
  if (at == std::string_view::npos) return false;
  if (pieces_.size() == 1) return at == text.size();
  for (std::size_t i = 1; i + 1 < pieces_.size(); ++i) {
    std::size_t end = 0;
    if (find(pieces_[i], text, at, end) == std::string_view::npos) return false;
    at = end;
  }
  return match_end(pieces_.back(), text, at);
}

}  // namespace kappa::processor
