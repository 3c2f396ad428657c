// Text cut at a delimiter: split_part counts from 1 (PostgreSQL), split_index from 0 (Flink). Both search
// for the delimiter from the left without overlaps, and give a piece of their argument.
#include <algorithm>
#include <optional>

#include "processor/vector/kernel.h"
#include "processor/vector/text_bytes.h"

namespace kappa::processor {
namespace {

using Text = std::string_view;

// Part `n` from 0; nullopt if there are fewer. An empty delimiter does not cut.
std::optional<Text> part_at(Text text, Text delimiter, std::int64_t n) {
  if (delimiter.empty()) return n == 0 ? std::optional(text) : std::nullopt;
  std::size_t start = 0;
  for (; n > 0; --n) {
    const std::size_t hit = find_bytes(text, delimiter, start);
    if (hit == Text::npos) return std::nullopt;
    start = hit + delimiter.size();
  }
  return text.substr(start, std::min(find_bytes(text, delimiter, start), text.size()) - start);
}

std::int64_t parts_of(Text text, Text delimiter) {
  if (delimiter.empty()) return 1;
  std::int64_t parts = 1;
  for (std::size_t at = find_bytes(text, delimiter); at != Text::npos;
       at = find_bytes(text, delimiter, at + delimiter.size()))
    ++parts;
  return parts;
}

// From the end when n is negative; empty where there is no such part; part 0 is an error.
void split_part_kernel(KernelCall& call) {
  nary_or_null<Text, Text, Text, std::int64_t>(
      call, [](Text text, Text delimiter, std::int64_t n, Text& out) {
        if (n < 0) {
          const std::int64_t parts = parts_of(text, delimiter);
          if (n >= -parts) out = part_at(text, delimiter, parts + n).value_or(Text());
          return true;
        }
        if (n > 0) out = part_at(text, delimiter, n - 1).value_or(Text());
        return n != 0;
      });
}

// NULL, which is no failure, where there is no such part.
void split_index_kernel(KernelCall& call) {
  nary_or_null<Text, Text, Text, std::int64_t>(call,
                                               [](Text text, Text delimiter, std::int64_t n, Text& out) {
                                                 if (n < 0) return false;
                                                 const auto found = part_at(text, delimiter, n);
                                                 if (found) out = *found;
                                                 return found.has_value();
                                               });
}

using Form = ScalarFunction::Form;
constexpr ScalarFunction kFunctions[] = {
    {"split_part", "split_part(TEXT, delimiter, n from 1)", Form::kCall, 3, 3, takes<"TTI", kTextType>,
     split_part_kernel, nullptr, true},
    {"split_index", "split_index(TEXT, delimiter, n from 0)", Form::kCall, 3, 3, takes<"TTI", kTextType>,
     split_index_kernel},
};

}  // namespace

std::span<const ScalarFunction> split_functions() {
  return kFunctions;
}

}  // namespace kappa::processor
