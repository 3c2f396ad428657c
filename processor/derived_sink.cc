#include "processor/derived_sink.h"

#include <algorithm>
#include <utility>

#include "processor/sql/plan_properties.h"
#include "processor/state/key_encoding.h"

namespace kappa::processor {
namespace {

constexpr std::string_view kOffset = "_offset";

// The column of the aggregate's output that a column of the root is, if only filters and projections lie between.
struct Origin {
  const Plan* aggregate = nullptr;
  std::size_t column = 0;
};
std::optional<Origin> origin_of(const Plan& root, std::size_t column) {
  for (const Plan* at = &root;; at = at->input.get()) {
    if (at->kind == PlanKind::kAggregate) return Origin{at, column};
    if (at->kind == PlanKind::kProject) {
      const Expression& expression = *at->expressions[column];
      if (expression.kind != ExpressionKind::kColumn) return std::nullopt;
      column = expression.column;
    } else if (at->kind != PlanKind::kFilter) {
      return std::nullopt;
    }
  }
}

// What a column is of the window that the row's group is.
enum class WindowPart { kNone, kStart, kEnd };
WindowPart part_of(const std::optional<Origin>& origin) {
  if (!origin || !origin->aggregate->window_key) return WindowPart::kNone;
  const WindowKey& key = *origin->aggregate->window_key;
  if (origin->column == key.start) return WindowPart::kStart;
  return key.end && origin->column == *key.end ? WindowPart::kEnd : WindowPart::kNone;
}

}  // namespace

DerivedSink::DerivedSink(const ViewPlan& plan, const StreamDefinition& stream, Give give)
    : plan_(plan), give_(std::move(give)) {
  const std::vector<Column>& columns = plan.root->output;
  time_column_ = stream.event_time;
  for (std::size_t column = 0; column < columns.size() && !stream.event_time; ++column) {
    const auto origin = origin_of(*plan.root, column);
    const WindowPart part = part_of(origin);
    if (part == WindowPart::kNone || (part == WindowPart::kStart && origin->aggregate->window_key->end)) continue;
    if (time_column_ && part == WindowPart::kStart) continue;
    time_column_ = column;
    time_shift_micros_ = part == WindowPart::kStart ? origin->aggregate->window_key->size_micros : 0;
  }
  for (const std::size_t column : plan.key_columns) {
    if (columns[column].name == kOffset) {
      if (granularity_of(plan) == Granularity::kChunk) offset_column_ = column;
    } else if (part_of(origin_of(*plan.root, column)) == WindowPart::kNone) {
      text_key_.push_back(column);
    }
  }
  for (std::size_t i = 0; i < plan.visible_columns; ++i) {
    std::string& start = member_starts_.emplace_back(i == 0 ? "{" : ",");
    append_json_string(columns[i].name, start);
    start += ':';
  }
}

Status DerivedSink::begin_cut(Offset source) {
  KAPPA_CHECK_OK(end_cut());
  cut_ = source;
  return {};
}

Status DerivedSink::push(const ChangeBatch& batch) {
  if (!cut_) return {};
  for_each_row(batch, [&](std::uint32_t row) {
    Pending& pending = pending_.emplace_back();
    pending.source = cut_->value();
    if (offset_column_) {
      pending.source = static_cast<std::uint64_t>(batch.columns[*offset_column_]->data<std::int64_t>()[row]);
    }
    pending.weight = batch.weight(row);
    for (const std::size_t column : plan_.key_columns) append_key(*batch.columns[column], row, pending.order);
    for (const Vector* column : batch.columns) {
      append_key(*column, row, pending.order);
      pending.row.push_back(column->value(row));
    }
  });
  return {};
}

Status DerivedSink::end_cut() {
  if (!cut_) return {};
  cut_.reset();
  if (pending_.empty()) return {};
  std::ranges::sort(pending_, [](const Pending& a, const Pending& b) {
    return a.source != b.source ? a.source < b.source : a.order < b.order;
  });
  std::uint32_t ordinal = 0;
  for (std::size_t i = 0; i < pending_.size();) {
    if (i > 0 && pending_[i].source != pending_[i - 1].source) ordinal = 0;
    std::int64_t weight = 0;
    const std::size_t first = i;
    for (; i < pending_.size() && pending_[i].source == pending_[first].source && pending_[i].order == pending_[first].order; ++i) {
      weight += pending_[i].weight;
    }
    for (; weight > 0; --weight) KAPPA_CHECK_OK(give(pending_[first], Offset(pending_[first].source), ordinal++));
  }
  pending_.clear();
  return {};
}

Status DerivedSink::give(const Pending& pending, Offset source, std::uint32_t ordinal) {
  DerivedEvent event;
  event.number = number_;
  event.source = source;
  event.ordinal = ordinal;
  for (std::size_t i = 0; i < member_starts_.size(); ++i) {
    event.value += member_starts_[i];
    append_json(pending.row[i], event.value);
  }
  event.value += member_starts_.empty() ? "{}" : "}";
  if (text_key_.size() == 1) {
    const Value& value = pending.row[text_key_[0]];
    if (!value.is_null()) event.key = display(value);
  } else if (!text_key_.empty()) {
    std::string& key = event.key.emplace();
    for (const std::size_t column : text_key_) {
      key += key.empty() ? '[' : ',';
      append_json(pending.row[column], key);
    }
    key += ']';
  }
  if (time_column_ && !pending.row[*time_column_].is_null()) {
    std::int64_t time = pending.row[*time_column_].as_int64();
    if (!__builtin_add_overflow(time, time_shift_micros_, &time)) event.timestamp = Timestamp(time);
  }
  KAPPA_CHECK_OK(give_(event));
  ++number_;
  return {};
}

}  // namespace kappa::processor
