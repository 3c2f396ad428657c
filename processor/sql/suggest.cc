#include "processor/sql/suggest.h"

#include <algorithm>

#include "processor/sql/lexer.h"

namespace kappa::processor::sql {
namespace {

// Names longer than this are not worth a quadratic comparison.
constexpr std::size_t kNameBytesMax = 64;

std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);  // Row i - 2.
  std::vector<std::size_t> above(b.size() + 1);   // Row i - 1.
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] == b[j - 1] ? 0U : 1U)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, above);
    std::swap(above, row);
  }
  return above[b.size()];
}

}  // namespace

std::string did_you_mean(std::string_view name, const std::vector<std::string>& known) {
  if (name.empty() || name.size() > kNameBytesMax) return {};
  const std::string folded = fold(name);
  std::size_t best = std::max<std::size_t>(1, name.size() / 3) + 1;
  const std::string* nearest = nullptr;
  for (const std::string& candidate : known) {
    if (candidate.size() > kNameBytesMax) continue;
    const std::size_t far = distance(folded, fold(candidate));
    if (far < best) {
      best = far;
      nearest = &candidate;
    }
  }
  if (nearest == nullptr) return {};
  return "did you mean \"" + *nearest + "\"?";
}

}  // namespace kappa::processor::sql
