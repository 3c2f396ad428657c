// Regular expressions: regexp_like and the operators ~ and ~*, regexp_extract, regexp_count, regexp_replace.
//
// A constant pattern is compiled once for each bound call, and checked when it is bound. Patterns that come
// from rows are compiled when they are first met, a few of them are kept; one that is none is NULL and a
// failure. No match is NULL (regexp_extract) and no failure.
#include <map>
#include <optional>

#include "processor/vector/kernel.h"
#include "processor/vector/regex.h"
#include "proto/limits.h"

namespace kappa::processor {
namespace {

using Text = std::string_view;

// The patterns of one evaluator, which is one thread: prepare() makes it, only that evaluator's kernel
// calls change it.
class Patterns {
 public:
  // nullptr: not a regular expression. Lives until the next call.
  Regex* find(Text pattern, Text flags) {
    if (pattern == last_pattern_ && flags == last_flags_) return last_;
    auto found = compiled_.find(std::pair(pattern, flags));
    if (found == compiled_.end()) {
      if (compiled_.size() >= kPatternsMax) compiled_.clear();
      auto regex = Regex::compile(pattern, flags);
      found = compiled_
                  .emplace(std::pair(std::string(pattern), std::string(flags)),
                           regex ? std::optional(std::move(*regex)) : std::nullopt)
                  .first;
    }
    last_pattern_ = found->first.first;
    last_flags_ = found->first.second;
    last_ = found->second ? &*found->second : nullptr;
    return last_;
  }

 private:
  static constexpr std::size_t kPatternsMax = 8;  // Each holds at most 8 MiB.
  struct Less {
    using is_transparent = void;
    bool operator()(const auto& a, const auto& b) const {
      return std::pair<Text, Text>(a.first, a.second) < std::pair<Text, Text>(b.first, b.second);
    }
  };
  std::map<std::pair<std::string, std::string>, std::optional<Regex>, Less> compiled_;
  std::optional<Text> last_pattern_;
  std::optional<Text> last_flags_;
  Regex* last_ = nullptr;
};

std::shared_ptr<const void> prepare_patterns(const Expression&) {
  return std::make_shared<Patterns>();
}

// Calls compute(regex, row, out) where no argument is NULL. Its answer is no failure: only a pattern or
// flags that are none, and what `compute` counts itself.
template <class R, class Compute>
void regex_rows(KernelCall& call, std::size_t flags_at, Text fixed_flags, Compute&& compute) {
  // The state is this evaluator's own, see Patterns.
  auto& patterns = *static_cast<Patterns*>(const_cast<void*>(call.state));
  const Text* texts = data_of<Text>(call, 0);
  const Text* pattern = data_of<Text>(call, 1);
  const Text* flags = flags_at < call.arguments.size() ? data_of<Text>(call, flags_at) : nullptr;
  R* out = call.result.data<R>();
  std::uint8_t* valid = call.result.valid();
  for_each_row(call.batch, [&](std::uint32_t row) {
    out[row] = R{};
    valid[row] = 0;
    for (const Vector* argument : call.arguments) {
      if (argument->valid()[row] == 0) return;
    }
    Regex* const regex = patterns.find(pattern[row], flags != nullptr ? flags[row] : fixed_flags);
    if (regex == nullptr) {
      ++call.failures;
    } else {
      valid[row] = compute(*regex, texts[row], row, out[row]) ? 1 : 0;
    }
  });
}

template <bool kIgnoreCase>
void like_kernel(KernelCall& call) {
  regex_rows<std::uint8_t>(call, 2, kIgnoreCase ? "i" : "",
                           [](Regex& regex, Text text, std::uint32_t, std::uint8_t& out) {
                             out = regex.matches(text) ? 1 : 0;
                             return true;
                           });
}

void count_kernel(KernelCall& call) {
  regex_rows<std::int64_t>(call, 2, "", [](Regex& regex, Text text, std::uint32_t, std::int64_t& out) {
    out = regex.count(text);
    return true;
  });
}

// regexp_extract(text, pattern[, group]): group 0, the whole match, if it is not given.
void extract_kernel(KernelCall& call) {
  const std::int64_t* groups = call.arguments.size() == 3 ? data_of<std::int64_t>(call, 2) : nullptr;
  regex_rows<Text>(call, SIZE_MAX, "", [&](Regex& regex, Text text, std::uint32_t row, Text& out) {
    const std::int64_t group = groups != nullptr ? groups[row] : 0;
    if (group < 0 || group > regex.groups()) {
      ++call.failures;
      return false;
    }
    return regex.extract(text, static_cast<int>(group), out);
  });
}

void replace_kernel(KernelCall& call) {
  std::string built;
  const Text* replacements = data_of<Text>(call, 2);
  regex_rows<Text>(call, 3, "", [&](Regex& regex, Text text, std::uint32_t row, Text& out) {
    if (!regex.replace(text, replacements[row], limits::kTextBytesMax, built)) {
      ++call.failures;
      return false;
    }
    out = call.arena.copy(built);
    return true;
  });
}

// Constant patterns and flags must be right.
Expected<std::optional<int>> check_pattern(std::span<const ExpressionPtr> arguments, std::size_t flags_at) {
  const bool has_flags = flags_at < arguments.size();
  if (!is_text_constant(*arguments[1]) || (has_flags && !is_text_constant(*arguments[flags_at])))
    return std::optional<int>();
  const Text flags = has_flags ? Text(arguments[flags_at]->constant.as_text()) : Text();
  KAPPA_TRY(const Regex regex, Regex::compile(arguments[1]->constant.as_text(), flags));
  return std::optional(regex.groups());
}

Expected<Signature> like_types(std::span<const ExpressionPtr> a) {
  KAPPA_TRY(Signature signature, fixed_types(a, "TTT", kBooleanType));
  KAPPA_TRY([[maybe_unused]] const auto groups, check_pattern(a, 2));
  return signature;
}
Expected<Signature> count_types(std::span<const ExpressionPtr> a) {
  KAPPA_TRY(Signature signature, fixed_types(a, "TTT", kBigintType));
  KAPPA_TRY([[maybe_unused]] const auto groups, check_pattern(a, 2));
  return signature;
}
Expected<Signature> replace_types(std::span<const ExpressionPtr> a) {
  KAPPA_TRY(Signature signature, fixed_types(a, "TTTT", kTextType));
  KAPPA_TRY([[maybe_unused]] const auto groups, check_pattern(a, 3));
  return signature;
}
Expected<Signature> extract_types(std::span<const ExpressionPtr> a) {
  KAPPA_TRY(Signature signature, fixed_types(a, "TTI", kTextType));
  KAPPA_TRY(const auto groups, check_pattern(a, SIZE_MAX));
  if (!groups || a.size() < 3 || a[2]->kind != ExpressionKind::kConstant ||
      a[2]->type.id != TypeId::kBigint || a[2]->constant.is_null())
    return signature;
  const std::int64_t group = a[2]->constant.as_int64();
  if (group < 0 || group > *groups) {
    return fail(ErrorCode::kInvalid, 2002, "the regular expression has no group " + std::to_string(group),
                *groups == 0 ? "groups are made with parentheses; 0 is the whole match"
                             : "its groups are 1 to " + std::to_string(*groups) + "; 0 is the whole match");
  }
  return signature;
}

using Form = ScalarFunction::Form;
constexpr ScalarFunction kFunctions[] = {
    {"regexp_like", "regexp_like(TEXT, pattern[, flags])", Form::kCall, 2, 3, like_types, like_kernel<false>,
     prepare_patterns},
    {"~", "TEXT ~ pattern", Form::kInfix, 2, 2, like_types, like_kernel<false>, prepare_patterns},
    {"~*", "TEXT ~* pattern", Form::kInfix, 2, 2, like_types, like_kernel<true>, prepare_patterns},
    {"regexp_count", "regexp_count(TEXT, pattern[, flags])", Form::kCall, 2, 3, count_types, count_kernel,
     prepare_patterns},
    {"regexp_extract", "regexp_extract(TEXT, pattern[, group])", Form::kCall, 2, 3, extract_types,
     extract_kernel, prepare_patterns},
    {"regexp_replace", "regexp_replace(TEXT, pattern, replacement[, flags])", Form::kCall, 3, 4,
     replace_types, replace_kernel, prepare_patterns},
};

}  // namespace

std::span<const ScalarFunction> regex_functions() {
  return kFunctions;
}

}  // namespace kappa::processor
