// Functions that make new text: replace, translate, padding, reverse, initcap, concat_ws, chr. A result of
// more than kTextBytesMax is NULL and a failure. Built in one buffer that stays across rows, then
// copied into the arena: nothing is allocated for a row.
#include <algorithm>
#include <optional>
#include <string>

#include "processor/vector/kernel.h"
#include "processor/vector/text_bytes.h"
#include "proto/limits.h"

namespace kappa::processor {
namespace {

using Text = std::string_view;

// One code point at the front of a text.
Text front_of(Text text) {
  return text.substr(0, byte_of(text, 1));
}

// Counts the hits first: the result then has its place in the arena.
void replace_kernel(KernelCall& call) {
  nary_or_null<Text, Text, Text, Text>(call, [&](Text text, Text from, Text to, Text& out) {
    out = text;
    std::size_t hit = from.empty() ? Text::npos : find_bytes(text, from);
    if (hit == Text::npos) return true;
    std::size_t hits = 0;
    for (std::size_t at = hit; at != Text::npos; at = find_bytes(text, from, at + from.size())) ++hits;
    // Both factors are at most about a million: no overflow.
    const std::size_t size = text.size() - hits * from.size() + hits * to.size();
    out = Text();
    if (size > limits::kTextBytesMax) return false;
    char* const built = call.arena.allocate(size);
    char* end = built;
    std::size_t at = 0;
    for (; hit != Text::npos; hit = find_bytes(text, from, at)) {
      end = std::copy_n(text.data() + at, hit - at, end);
      end = std::copy_n(to.data(), to.size(), end);
      at = hit + from.size();
    }
    std::copy_n(text.data() + at, text.size() - at, end);
    out = {built, size};
    return true;
  });
}

// Each code point of `from` becomes the one at its place in `to`, or nothing where `to` is shorter.
void translate_kernel(KernelCall& call) {
  std::string built;
  nary_or_null<Text, Text, Text, Text>(call, [&](Text text, Text from, Text to, Text& out) {
    built.clear();
    while (!text.empty()) {
      const Text c = front_of(text);
      text.remove_prefix(c.size());
      std::size_t at = from.find(c);
      if (at == Text::npos) {
        built += c;
      } else {
        const std::size_t place = byte_of(to, code_points(from.substr(0, at)));
        built += front_of(to.substr(place));
      }
      if (built.size() > limits::kTextBytesMax) return false;
    }
    out = call.arena.copy(built);
    return true;
  });
}

// To exactly `length` code points: cut at the end, or filled on one side.
template <bool kLeft>
bool pad(Text text, std::int64_t length, Text fill, std::string& built) {
  length = std::max<std::int64_t>(length, 0);
  const std::int64_t size = code_points(text);
  built.clear();
  if (size >= length || fill.empty()) {
    built += text.substr(0, byte_of(text, length));
    return true;
  }
  // Every code point has a byte: longer cannot fit.
  if (length > static_cast<std::int64_t>(limits::kTextBytesMax)) return false;
  std::int64_t missing = length - size;
  if (!kLeft) built += text;
  for (const std::int64_t whole = code_points(fill); missing >= whole; missing -= whole) {
    built += fill;
    if (built.size() > limits::kTextBytesMax) return false;
  }
  built += fill.substr(0, byte_of(fill, missing));
  if (kLeft) built += text;
  return built.size() <= limits::kTextBytesMax;
}
template <bool kLeft>
void pad_kernel(KernelCall& call) {
  std::string built;
  const auto padded = [&](Text text, std::int64_t length, Text fill, Text& out) {
    if (!pad<kLeft>(text, length, fill, built)) return false;
    out = call.arena.copy(built);
    return true;
  };
  if (call.arguments.size() == 3) return nary_or_null<Text, Text, std::int64_t, Text>(call, padded);
  binary_or_null<Text, Text, std::int64_t>(
      call, [&](Text text, std::int64_t length, Text& out) { return padded(text, length, " ", out); });
}

void repeat_kernel(KernelCall& call) {
  binary_or_null<Text, Text, std::int64_t>(call, [&](Text text, std::int64_t times, Text& out) {
    if (text.empty() || times <= 0) return true;
    if (times > static_cast<std::int64_t>(limits::kTextBytesMax / text.size())) return false;
    const std::size_t size = text.size() * static_cast<std::size_t>(times);
    char* const built = call.arena.allocate(size);
    for (std::size_t at = 0; at < size; at += text.size()) std::ranges::copy(text, built + at);
    out = {built, size};
    return true;
  });
}

void reverse_kernel(KernelCall& call) {
  unary_or_null<Text, Text>(call, [&](Text text, Text& out) {
    char* const built = call.arena.allocate(text.size());
    out = {built, text.size()};
    char* end = built + text.size();
    while (!text.empty()) {
      const Text c = front_of(text);
      end -= c.size();
      std::ranges::copy(c, end);
      text.remove_prefix(c.size());
    }
    return true;
  });
}

// Words are runs of letters and digits; only ASCII letters change.
void initcap_kernel(KernelCall& call) {
  unary_or_null<Text, Text>(call, [&](Text text, Text& out) {
    char* const built = call.arena.allocate(text.size());
    out = {built, text.size()};
    bool in_word = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
      const char c = text[i];
      built[i] = in_word ? ascii_lower(c) : ascii_upper(c);
      const char lower = ascii_lower(c);
      in_word =
          (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || static_cast<unsigned char>(c) >= 0x80;
    }
    return true;
  });
}

// concat_ws(separator, value, ...) leaves NULL values out; a NULL separator gives NULL.
void concat_ws_kernel(KernelCall& call) {
  std::string built;
  Text* out = call.result.data<Text>();
  std::uint8_t* valid = call.result.valid();
  const Text* separators = data_of<Text>(call, 0);
  for_each_row(call.batch, [&](std::uint32_t row) {
    out[row] = Text();
    valid[row] = valid_of(call, 0)[row];
    if (valid[row] == 0) return;
    built.clear();
    bool first = true;
    for (std::size_t i = 1; i < call.arguments.size(); ++i) {
      if (valid_of(call, i)[row] == 0) continue;
      if (!first) built += separators[row];
      first = false;
      built += data_of<Text>(call, i)[row];
      if (built.size() > limits::kTextBytesMax) {
        valid[row] = 0;
        ++call.failures;
        return;
      }
    }
    out[row] = call.arena.copy(built);
  });
}

// The number of the first code point; 0 of no text.
void ascii_kernel(KernelCall& call) {
  unary_or_null<std::int64_t, Text>(call, [](Text text, std::int64_t& out) {
    const Text c = front_of(text);
    if (c.empty()) return true;
    const auto byte = [&](std::size_t i) { return std::int64_t{static_cast<unsigned char>(c[i])}; };
    static constexpr std::int64_t kLeadBits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    out = byte(0) & kLeadBits[std::min<std::size_t>(c.size(), 4)];
    for (std::size_t i = 1; i < c.size(); ++i) out = out << 6 | (byte(i) & 0x3f);
    return true;
  });
}

// The text of one code point, as UTF-8; none for 0, for surrogates and past U+10FFFF.
void chr_kernel(KernelCall& call) {
  unary_or_null<Text, std::int64_t>(call, [&](std::int64_t number, Text& out) {
    if (number <= 0 || number > 0x10ffff || (number >= 0xd800 && number <= 0xdfff)) return false;
    const int more = number < 0x80 ? 0 : number < 0x800 ? 1 : number < 0x10000 ? 2 : 3;
    static constexpr int kLead[] = {0, 0xc0, 0xe0, 0xf0};
    const auto value = static_cast<int>(number);
    char bytes[4];
    bytes[0] = static_cast<char>(kLead[more] | value >> (6 * more));
    for (int i = 1; i <= more; ++i) bytes[i] = static_cast<char>(0x80 | (value >> (6 * (more - i)) & 0x3f));
    out = call.arena.copy({bytes, static_cast<std::size_t>(more) + 1});
    return true;
  });
}

Expected<Signature> concat_ws_types(std::span<const ExpressionPtr> arguments) {
  for (const ExpressionPtr& argument : arguments) {
    if (argument->type.id != TypeId::kText && argument->type.id != TypeId::kNull)
      return no_signature("concat_ws", arguments);
  }
  return Signature{std::vector<Type>(arguments.size(), kTextType), kTextType};
}

using Form = ScalarFunction::Form;
constexpr auto kThreeTexts = takes<"TTT", kTextType>;
constexpr auto kPad = takes<"TIT", kTextType>;
constexpr ScalarFunction kFunctions[] = {
    {"replace", "replace(TEXT, from, to)", Form::kCall, 3, 3, kThreeTexts, replace_kernel, nullptr, true},
    {"translate", "translate(TEXT, from, to)", Form::kCall, 3, 3, kThreeTexts, translate_kernel, nullptr,
     true},
    {"lpad", "lpad(TEXT, length[, fill])", Form::kCall, 2, 3, kPad, pad_kernel<true>, nullptr, true},
    {"rpad", "rpad(TEXT, length[, fill])", Form::kCall, 2, 3, kPad, pad_kernel<false>, nullptr, true},
    {"repeat", "repeat(TEXT, times)", Form::kCall, 2, 2, takes<"TI", kTextType>, repeat_kernel, nullptr,
     true},
    {"reverse", "reverse(TEXT)", Form::kCall, 1, 1, takes<"T", kTextType>, reverse_kernel},
    {"initcap", "initcap(TEXT)", Form::kCall, 1, 1, takes<"T", kTextType>, initcap_kernel},
    {"concat_ws", "concat_ws(separator, value, ...)", Form::kCall, 2, SIZE_MAX, concat_ws_types,
     concat_ws_kernel},
    {"ascii", "ascii(TEXT)", Form::kCall, 1, 1, takes<"T", kBigintType>, ascii_kernel},
    {"chr", "chr(BIGINT)", Form::kCall, 1, 1, takes<"I", kTextType>, chr_kernel, nullptr, true},
};

}  // namespace

std::span<const ScalarFunction> compose_functions() {
  return kFunctions;
}

}  // namespace kappa::processor
