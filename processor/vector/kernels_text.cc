// Functions that look at text or give a piece of it. Positions and lengths are in code points; case
// conversion is of ASCII letters only; no normalisation. Results point into their arguments where they can.
#include <algorithm>
#include <optional>

#include "processor/vector/kernel.h"
#include "processor/vector/text_bytes.h"
#include "proto/limits.h"

namespace kappa::processor {
namespace {

using Text = std::string_view;

template <bool kToLower>
void case_kernel(KernelCall& call) {
  unary_or_null<Text, Text>(call, [&](Text text, Text& out) {
    out = text;
    if (!changes_case<kToLower>(text)) return true;
    char* copy = call.arena.allocate(text.size());
    copy_case<kToLower>(text, copy);
    out = {copy, text.size()};
    return true;
  });
}

void length_kernel(KernelCall& call) {
  unary_or_null<std::int64_t, Text>(call, [](Text text, std::int64_t& out) {
    out = code_points(text);
    return true;
  });
}

// As in PostgreSQL: positions from 1; a start before the text takes from the length.
bool substr(Text text, std::int64_t start, std::optional<std::int64_t> length, Text& out) {
  if (length && *length < 0) return false;
  std::int64_t end = INT64_MAX;
  if (length && __builtin_add_overflow(start, *length, &end)) end = INT64_MAX;
  const std::int64_t first = std::max<std::int64_t>(start, 1);
  out = Text();
  if (end <= first) return true;
  text.remove_prefix(byte_of(text, first - 1));
  out = end == INT64_MAX ? text : text.substr(0, byte_of(text, end - first));
  return true;
}

void substr_kernel(KernelCall& call) {
  if (call.arguments.size() == 2) {
    return binary_or_null<Text, Text, std::int64_t>(call, [](Text text, std::int64_t start, Text& out) {
      return substr(text, start, std::nullopt, out);
    });
  }
  nary_or_null<Text, Text, std::int64_t, std::int64_t>(
      call, [](Text text, std::int64_t start, std::int64_t length, Text& out) {
        return substr(text, start, length, out);
      });
}

// Removes the characters of `set` (code points) at the ends.
bool contains_code_point(Text set, Text c) {
  for (std::size_t at = set.find(c); at != Text::npos; at = set.find(c, at + 1)) {
    if (starts_code_point(set[at])) return true;
  }
  return false;
}
template <bool kLeft, bool kRight>
Text trim(Text text, Text set) {
  while (kLeft && !text.empty()) {
    const std::size_t end = byte_of(text, 1);
    if (!contains_code_point(set, text.substr(0, end))) break;
    text.remove_prefix(end);
  }
  while (kRight && !text.empty()) {
    std::size_t start = text.size() - 1;
    while (start > 0 && !starts_code_point(text[start])) --start;
    if (!contains_code_point(set, text.substr(start))) break;
    text = text.substr(0, start);
  }
  return text;
}
template <bool kLeft, bool kRight>
void trim_kernel(KernelCall& call) {
  if (call.arguments.size() == 1) {
    return unary_or_null<Text, Text>(call, [](Text text, Text& out) {
      out = trim<kLeft, kRight>(text, " ");
      return true;
    });
  }
  binary_or_null<Text, Text, Text>(call, [](Text text, Text set, Text& out) {
    out = trim<kLeft, kRight>(text, set);
    return true;
  });
}

// concat(...) leaves NULLs out; || with a NULL is NULL. Other types were cast to TEXT by the binder.
template <bool kSkipNull>
void concat_kernel(KernelCall& call) {
  Text* out = call.result.data<Text>();
  std::uint8_t* valid = call.result.valid();
  for_each_row(call.batch, [&](std::uint32_t row) {
    out[row] = Text();
    valid[row] = 0;
    std::size_t size = 0;
    for (const Vector* argument : call.arguments) {
      if (argument->valid()[row] != 0) {
        size += argument->data<Text>()[row].size();
      } else if (!kSkipNull) {
        return;
      }
    }
    if (size > limits::kTextBytesMax) {
      ++call.failures;
      return;
    }
    char* built = call.arena.allocate(size);
    out[row] = {built, size};
    valid[row] = 1;
    for (const Vector* argument : call.arguments) {
      if (argument->valid()[row] != 0) built = std::ranges::copy(argument->data<Text>()[row], built).out;
    }
  });
}

template <class Test>
void text_test(KernelCall& call, Test&& test) {
  binary_or_null<std::uint8_t, Text, Text>(call, [&](Text a, Text b, std::uint8_t& out) {
    out = test(a, b) ? 1 : 0;
    return true;
  });
}
void starts_with_kernel(KernelCall& call) {
  text_test(call, [](Text a, Text b) { return a.starts_with(b); });
}
void ends_with_kernel(KernelCall& call) {
  text_test(call, [](Text a, Text b) { return a.ends_with(b); });
}

// The position of a part from 1, 0 if it is not there.
void strpos_kernel(KernelCall& call) {
  binary_or_null<std::int64_t, Text, Text>(call, [](Text text, Text piece, std::int64_t& out) {
    const std::size_t at = find_bytes(text, piece);
    if (at != Text::npos) out = code_points(text.substr(0, at)) + 1;
    return true;
  });
}
void octet_length_kernel(KernelCall& call) {
  unary_or_null<std::int64_t, Text>(call, [](Text text, std::int64_t& out) {
    out = static_cast<std::int64_t>(text.size());
    return true;
  });
}

// left(text, n), right(text, n): a negative n leaves out that many at the other end.
template <bool kLeft>
void side_kernel(KernelCall& call) {
  binary_or_null<Text, Text, std::int64_t>(call, [](Text text, std::int64_t n, Text& out) {
    const bool from_start = kLeft == (n >= 0);
    if (!from_start) {
      const std::int64_t size = code_points(text);
      n = kLeft ? n + size : size - n;
      n = std::clamp<std::int64_t>(n, 0, size);
    } else if (n < 0) {
      n = n == INT64_MIN ? INT64_MAX : -n;
    }
    const std::size_t at = byte_of(text, n);
    out = kLeft ? text.substr(0, at) : text.substr(at);
    return true;
  });
}

// Any type: coerce() would refuse, so the signature keeps the type and make_concat casts before.
Expected<Signature> concat_types(std::span<const ExpressionPtr> arguments) {
  for (const ExpressionPtr& argument : arguments) {
    if (argument->type.id != TypeId::kText && argument->type.id != TypeId::kNull)
      return no_signature("concat", arguments);
  }
  return Signature{std::vector<Type>(arguments.size(), kTextType), kTextType};
}

using Form = ScalarFunction::Form;
constexpr auto kText = takes<"T", kTextType>;
constexpr auto kTwoTexts = takes<"TT", kTextType>;
constexpr auto kTest = takes<"TT", kBooleanType>;
constexpr ScalarFunction kFunctions[] = {
    {"lower", "lower(TEXT)", Form::kCall, 1, 1, kText, case_kernel<true>},
    {"upper", "upper(TEXT)", Form::kCall, 1, 1, kText, case_kernel<false>},
    {"length", "length(TEXT)", Form::kCall, 1, 1, takes<"T", kBigintType>, length_kernel},
    {"octet_length", "octet_length(TEXT)", Form::kCall, 1, 1, takes<"T", kBigintType>, octet_length_kernel},
    {"substr", "substr(TEXT, start[, length])", Form::kCall, 2, 3, takes<"TII", kTextType>, substr_kernel,
     nullptr, true},
    {"left", "left(TEXT, n)", Form::kCall, 2, 2, takes<"TI", kTextType>, side_kernel<true>},
    {"right", "right(TEXT, n)", Form::kCall, 2, 2, takes<"TI", kTextType>, side_kernel<false>},
    {"trim", "trim(TEXT[, characters])", Form::kCall, 1, 2, kTwoTexts, trim_kernel<true, true>},
    {"ltrim", "ltrim(TEXT[, characters])", Form::kCall, 1, 2, kTwoTexts, trim_kernel<true, false>},
    {"rtrim", "rtrim(TEXT[, characters])", Form::kCall, 1, 2, kTwoTexts, trim_kernel<false, true>},
    {"concat", "concat(value, ...)", Form::kCall, 1, SIZE_MAX, concat_types, concat_kernel<true>},
    {"||", "TEXT || TEXT", Form::kInfix, 2, 2, concat_types, concat_kernel<false>},
    {"starts_with", "starts_with(TEXT, TEXT)", Form::kCall, 2, 2, kTest, starts_with_kernel},
    {"ends_with", "ends_with(TEXT, TEXT)", Form::kCall, 2, 2, kTest, ends_with_kernel},
    {"strpos", "strpos(TEXT, part), position(part IN TEXT)", Form::kCall, 2, 2, takes<"TT", kBigintType>,
     strpos_kernel},
};

}  // namespace

std::span<const ScalarFunction> text_functions() {
  return kFunctions;
}

}  // namespace kappa::processor
