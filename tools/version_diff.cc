#include "tools/version_diff.h"

#include <algorithm>
#include <compare>
#include <optional>

namespace kappa::tools {
namespace {

std::optional<std::size_t> find(const std::vector<ClientColumn>& columns, const std::string& name) {
  const auto found = std::ranges::find(columns, name, &ClientColumn::name);
  if (found == columns.end()) return std::nullopt;
  return static_cast<std::size_t>(found - columns.begin());
}

// One side, with the check that its rows come in order.
class Side {
 public:
  Side(RowSource& source, const DiffShape& shape, bool right) : source_(source), shape_(shape), right_(right) {}

  [[nodiscard]] const std::optional<Row>& row() const { return row_; }
  Status advance() {
    KAPPA_TRY(auto next, source_.next());
    if (next && row_) {
      for (const DiffShape::Pair& pair : shape_.order) {
        const std::size_t column = right_ ? pair.second : pair.first;
        const auto order = compare((*row_)[column], (*next)[column], shape_.nulls_first);
        if (order < 0) break;
        if (order > 0) return fail(ErrorCode::kInvalid, 5003, "the rows of a version did not come in order");
      }
    }
    row_ = std::move(next);
    return {};
  }

 private:
  RowSource& source_;
  const DiffShape& shape_;
  const bool right_;
  std::optional<Row> row_;
};

}  // namespace

DiffShape diff_shape(const std::vector<ClientColumn>& left, const KeyColumns& left_key,
                     const std::vector<ClientColumn>& right, const KeyColumns& right_key) {
  DiffShape shape;
  std::vector<DiffShape::Pair> common;
  for (std::size_t i = 0; i < left.size(); ++i) {
    if (const auto other = find(right, left[i].name)) {
      common.emplace_back(i, *other);
    } else {
      shape.left_only.push_back(left[i].name);
    }
  }
  for (const ClientColumn& column : right) {
    if (!find(left, column.name)) shape.right_only.push_back(column.name);
  }
  shape.by_key = left_key && right_key && left_key->size() == right_key->size();
  for (std::size_t i = 0; shape.by_key && i < left_key->size(); ++i) {
    const ClientColumn& a = left[(*left_key)[i]];
    const ClientColumn& b = right[(*right_key)[i]];
    shape.by_key = a.name == b.name && a.type == b.type;
  }
  if (!shape.by_key) {
    shape.order = std::move(common);
    return shape;
  }
  for (std::size_t i = 0; i < left_key->size(); ++i) shape.order.emplace_back((*left_key)[i], (*right_key)[i]);
  for (const DiffShape::Pair& pair : common) {
    if (std::ranges::find(shape.order, pair) == shape.order.end()) shape.rest.push_back(pair);
  }
  return shape;
}

Expected<DiffCounts> diff_rows(const DiffShape& shape, RowSource& left, RowSource& right,
                               const std::function<void(bool right, const Row& row)>& each) {
  DiffCounts counts;
  Side a(left, shape, false);
  Side b(right, shape, true);
  KAPPA_CHECK_OK(a.advance());
  KAPPA_CHECK_OK(b.advance());
  while (a.row() || b.row()) {
    std::strong_ordering order = std::strong_ordering::equal;
    if (!a.row()) {
      order = std::strong_ordering::greater;
    } else if (!b.row()) {
      order = std::strong_ordering::less;
    }
    for (std::size_t i = 0; i < shape.order.size() && order == 0; ++i) {
      order = compare((*a.row())[shape.order[i].first], (*b.row())[shape.order[i].second], shape.nulls_first);
    }
    if (order < 0) {
      ++counts.left_only;
      each(false, *a.row());
      KAPPA_CHECK_OK(a.advance());
    } else if (order > 0) {
      ++counts.right_only;
      each(true, *b.row());
      KAPPA_CHECK_OK(b.advance());
    } else {
      const bool same = std::ranges::all_of(shape.rest, [&](const DiffShape::Pair& pair) {
        return compare((*a.row())[pair.first], (*b.row())[pair.second]) == 0;
      });
      if (same) {
        ++counts.equal;
      } else {
        ++counts.differing;
        each(false, *a.row());
        each(true, *b.row());
      }
      KAPPA_CHECK_OK(a.advance());
      KAPPA_CHECK_OK(b.advance());
    }
  }
  return counts;
}

}  // namespace kappa::tools
