#include "processor/stream_range.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "processor/vector/functions.h"

namespace kappa::processor {
namespace {

class Narrowing {
 public:
  Narrowing(StreamRange whole, log::Log& log) : whole_(whole), log_(log) {}

  // `filters`: conjuncts of the filters directly above `node`, over its output.
  [[nodiscard]] Status walk(const Plan& node, std::vector<const Expression*> filters) {
    if (node.kind == PlanKind::kFilter) {
      conjuncts(*node.predicate, filters);
      return walk(*node.input, std::move(filters));
    }
    if (node.kind == PlanKind::kStreamScan) return scan(node, filters);
    if (node.input) KAPPA_CHECK_OK(walk(*node.input, {}));
    if (node.right) KAPPA_CHECK_OK(walk(*node.right, {}));
    return {};
  }
  [[nodiscard]] StreamRange found() const { return found_ ? *found_ : whole_; }

 private:
  static void conjuncts(const Expression& expression, std::vector<const Expression*>& out) {
    if (expression.kind == ExpressionKind::kCall && name_of(*expression.function) == "and") {
      for (const ExpressionPtr& argument : expression.arguments) conjuncts(*argument, out);
    } else {
      out.push_back(&expression);
    }
  }

  [[nodiscard]] Status scan(const Plan& scan, const std::vector<const Expression*>& filters) {
    StreamRange range = whole_;
    for (const Expression* filter : filters) KAPPA_CHECK_OK(narrow(scan, *filter, range));
    range.end = std::max(range.end, range.from);
    if (!found_) {
      found_ = range;
    } else if (range.from < range.end) {
      const bool empty = found_->from >= found_->end;
      found_ = empty ? range : StreamRange{std::min(found_->from, range.from), std::max(found_->end, range.end)};
    }
    return {};
  }

  [[nodiscard]] Status narrow(const Plan& scan, const Expression& filter, StreamRange& range) {
    if (filter.kind != ExpressionKind::kCall || filter.arguments.size() != 2) return {};
    std::string_view name = name_of(*filter.function);
    const Expression* column = filter.arguments[0].get();
    const Expression* constant = filter.arguments[1].get();
    if (column->kind == ExpressionKind::kConstant) {
      std::swap(column, constant);
      if (name == "<") name = ">";
      else if (name == "<=") name = ">=";
      else if (name == ">") name = "<";
      else if (name == ">=") name = "<=";
    }
    if (column->kind != ExpressionKind::kColumn || constant->kind != ExpressionKind::kConstant) return {};
    const Value& value = constant->constant;
    if (value.is_null() || value.type() != column->type) return {};
    const std::size_t place_of = scan.stream_columns[column->column];
    const std::size_t declared = scan.stream->columns.size() + scan.stream->hidden.size();
    const bool offsets = place_of == declared + static_cast<std::size_t>(Pseudo::kOffset);
    if (!offsets && place_of != declared + static_cast<std::size_t>(Pseudo::kAppendTime)) return {};
    const std::int64_t number = value.as_int64();
    const bool lower = name == ">" || name == ">=" || name == "=";
    const bool upper = name == "<" || name == "<=" || name == "=";
    if (!lower && !upper) return {};
    if (lower) {
      KAPPA_TRY(const Offset from, place(offsets, number, name == ">"));
      range.from = std::max(range.from, from);
    }
    if (upper) {
      KAPPA_TRY(const Offset end, place(offsets, number, name != "<"));
      range.end = std::min(range.end, end);
    }
    return {};
  }

  // The first offset whose value is >= number, or > number if `after`.
  [[nodiscard]] Expected<Offset> place(bool offsets, std::int64_t number, bool after) {
    if (after) {
      if (number == INT64_MAX) return Offset(UINT64_MAX);
      ++number;
    }
    if (offsets) return Offset(static_cast<std::uint64_t>(std::max<std::int64_t>(number, 0)));
    return log_.offset_at_time(Timestamp(number));
  }

  const StreamRange whole_;
  log::Log& log_;
  std::optional<StreamRange> found_;
};

}  // namespace

Expected<StreamRange> stream_range(const Plan& root, StreamRange whole, log::Log& log) {
  Narrowing narrowing(whole, log);
  KAPPA_CHECK_OK(narrowing.walk(root, {}));
  return narrowing.found();
}

}  // namespace kappa::processor
