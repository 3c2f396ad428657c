// Text functions. Positions and lengths are in code points; case conversion is of ASCII letters only;
// no normalisation. Results point into their arguments where they can.
#include <algorithm>

#include "processor/vector/kernel.h"
#include "processor/vector/like.h"

namespace kappa::processor {
namespace {

using Text = std::string_view;

std::int64_t code_points(Text text) {
  return std::count_if(text.begin(), text.end(), starts_code_point);
}

// Byte position of code point `n` (from 0); the size if there are fewer.
std::size_t byte_of(Text text, std::int64_t n) {
  std::size_t at = 0;
  while (at < text.size()) {
    if (starts_code_point(text[at]) && n-- == 0) return at;
    ++at;
  }
  return at;
}

template <char (*kConvert)(char)>
void case_kernel(KernelCall& call) {
  unary_or_null<Text, Text>(call, [&](Text text, Text& out) {
    char* copy = call.arena.allocate(text.size());
    std::transform(text.begin(), text.end(), copy, kConvert);
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
  const std::int64_t* lengths = data_of<std::int64_t>(call, 2);
  const std::uint8_t* has_length = valid_of(call, 2);
  const Text* texts = data_of<Text>(call, 0);
  const std::int64_t* starts = data_of<std::int64_t>(call, 1);
  for_each_row(call.batch, [&](std::uint32_t row) {
    Text& out = call.result.data<Text>()[row];
    out = Text();
    const bool all = (valid_of(call, 0)[row] & valid_of(call, 1)[row] & has_length[row]) != 0;
    call.result.valid()[row] = all && substr(texts[row], starts[row], lengths[row], out) ? 1 : 0;
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

// Three text arguments, all not NULL.
template <class Compute>
void three_texts(KernelCall& call, Compute&& compute) {
  for_each_row(call.batch, [&](std::uint32_t row) {
    Text& out = call.result.data<Text>()[row];
    out = Text();
    const bool all = (valid_of(call, 0)[row] & valid_of(call, 1)[row] & valid_of(call, 2)[row]) != 0;
    call.result.valid()[row] = all ? 1 : 0;
    if (all)
      out = compute(data_of<Text>(call, 0)[row], data_of<Text>(call, 1)[row], data_of<Text>(call, 2)[row]);
  });
}

void replace_kernel(KernelCall& call) {
  three_texts(call, [&](Text text, Text from, Text to) -> Text {
    if (from.empty() || text.find(from) == Text::npos) return text;
    std::string built;
    std::size_t at = 0;
    for (std::size_t hit = text.find(from); hit != Text::npos; hit = text.find(from, at)) {
      built.append(text, at, hit - at).append(to);
      at = hit + from.size();
    }
    built.append(text, at);
    return call.arena.copy(built);
  });
}

// The n-th part from 1, from the end when negative; empty when there is none, as in PostgreSQL.
Text part(Text text, Text delimiter, std::int64_t n) {
  if (delimiter.empty()) return n == 1 || n == -1 ? text : Text();
  std::int64_t parts = 1;
  for (std::size_t at = text.find(delimiter); at != Text::npos;
       at = text.find(delimiter, at + delimiter.size()))
    ++parts;
  if (n < 0) n = n < -parts ? 0 : parts + n + 1;
  if (n < 1 || n > parts) return {};
  std::size_t start = 0;
  for (; n > 1; --n) start = text.find(delimiter, start) + delimiter.size();
  return text.substr(start, std::min(text.find(delimiter, start), text.size()) - start);
}
void split_part_kernel(KernelCall& call) {
  const std::int64_t* index = data_of<std::int64_t>(call, 2);
  for_each_row(call.batch, [&](std::uint32_t row) {
    Text& out = call.result.data<Text>()[row];
    out = Text();
    const bool all =
        (valid_of(call, 0)[row] & valid_of(call, 1)[row] & valid_of(call, 2)[row]) != 0 && index[row] != 0;
    call.result.valid()[row] = all ? 1 : 0;
    if (all) out = part(data_of<Text>(call, 0)[row], data_of<Text>(call, 1)[row], index[row]);
  });
}

// concat(...) leaves NULLs out; || with a NULL is NULL. Other types were cast to TEXT by the binder.
template <bool kSkipNull>
void concat_kernel(KernelCall& call) {
  for_each_row(call.batch, [&](std::uint32_t row) {
    Text& out = call.result.data<Text>()[row];
    out = Text();
    call.result.valid()[row] = 1;
    std::size_t size = 0;
    for (const Vector* argument : call.arguments) {
      if (argument->valid()[row] != 0) {
        size += argument->data<Text>()[row].size();
      } else if (!kSkipNull) {
        call.result.valid()[row] = 0;
        return;
      }
    }
    char* built = call.arena.allocate(size);
    out = {built, size};
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

// --- types: T text, I integer ---

Expected<Signature> fixed_types(std::span<const ExpressionPtr> arguments, Text letters, Type result) {
  Signature signature;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const Type type = letters[i] == 'T' ? kTextType : kBigintType;
    if (arguments[i]->type.id != type.id && arguments[i]->type.id != TypeId::kNull) {
      return fail(ErrorCode::kInvalid, 2002,
                  "argument " + std::to_string(i + 1) + " must be " + to_string(type) + ", found " +
                      to_string(arguments[i]->type));
    }
    signature.arguments.push_back(type);
  }
  signature.result = result;
  return signature;
}
Expected<Signature> text_length_types(std::span<const ExpressionPtr> a) {
  return fixed_types(a, "T", kBigintType);
}
Expected<Signature> substr_types(std::span<const ExpressionPtr> a) {
  return fixed_types(a, "TII", kTextType);
}
Expected<Signature> split_types(std::span<const ExpressionPtr> a) {
  return fixed_types(a, "TTI", kTextType);
}
Expected<Signature> test_types(std::span<const ExpressionPtr> a) {
  return fixed_types(a, "TT", kBooleanType);
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
constexpr ScalarFunction kFunctions[] = {
    {"lower", "lower(TEXT)", Form::kCall, 1, 1, types_text_to_text, case_kernel<ascii_lower>},
    {"upper", "upper(TEXT)", Form::kCall, 1, 1, types_text_to_text, case_kernel<ascii_upper>},
    {"length", "length(TEXT)", Form::kCall, 1, 1, text_length_types, length_kernel},
    {"substr", "substr(TEXT, start[, length])", Form::kCall, 2, 3, substr_types, substr_kernel, nullptr,
     true},
    {"trim", "trim(TEXT[, characters])", Form::kCall, 1, 2, types_text_to_text, trim_kernel<true, true>},
    {"ltrim", "ltrim(TEXT[, characters])", Form::kCall, 1, 2, types_text_to_text, trim_kernel<true, false>},
    {"rtrim", "rtrim(TEXT[, characters])", Form::kCall, 1, 2, types_text_to_text, trim_kernel<false, true>},
    {"replace", "replace(TEXT, from, to)", Form::kCall, 3, 3, types_text_to_text, replace_kernel},
    {"split_part", "split_part(TEXT, delimiter, n)", Form::kCall, 3, 3, split_types, split_part_kernel,
     nullptr, true},
    {"concat", "concat(value, ...)", Form::kCall, 1, SIZE_MAX, concat_types, concat_kernel<true>},
    {"||", "TEXT || TEXT", Form::kInfix, 2, 2, concat_types, concat_kernel<false>},
    {"starts_with", "starts_with(TEXT, TEXT)", Form::kCall, 2, 2, test_types, starts_with_kernel},
    {"ends_with", "ends_with(TEXT, TEXT)", Form::kCall, 2, 2, test_types, ends_with_kernel},
};

}  // namespace

std::span<const ScalarFunction> text_functions() {
  return kFunctions;
}

}  // namespace kappa::processor
