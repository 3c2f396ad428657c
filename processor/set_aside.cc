#include "processor/set_aside.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <string>
#include <utility>

#include "processor/vector/functions.h"
#include "proto/value.h"

namespace kappa::processor {
namespace {

// Of a value that is shown in a reason; more would be the event once again.
constexpr std::size_t kShownBytesMax = 60;
constexpr std::size_t kShownColumnsMax = 4;

void collect_conditions(const ExpressionPtr& expression, std::vector<ExpressionPtr>& out) {
  if (expression->kind == ExpressionKind::kCall && name_of(*expression->function) == "and") {
    for (const ExpressionPtr& argument : expression->arguments) collect_conditions(argument, out);
  } else {
    out.push_back(expression);
  }
}

void collect_columns(const Expression& expression, std::vector<std::size_t>& out) {
  if (expression.kind == ExpressionKind::kColumn) out.push_back(expression.column);
  for (const ExpressionPtr& argument : expression.arguments) collect_columns(*argument, out);
}

// The beginning of valid UTF-8, cut between two code points.
std::string shown(std::string_view text) {
  if (text.size() <= kShownBytesMax) return std::string(text);
  std::size_t end = kShownBytesMax;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return std::string(text.substr(0, end)) + "...";
}

}  // namespace

std::optional<Offset> retry_of(std::string_view encoded_headers) {
  const auto headers = decode_headers(encoded_headers);
  if (!headers) return std::nullopt;
  for (const RecordHeader& header : *headers) {
    if (header.name != kRetryHeader) continue;
    std::uint64_t offset = 0;
    const char* end = header.value.data() + header.value.size();
    const auto [rest, problem] = std::from_chars(header.value.data(), end, offset);
    if (problem == std::errc{} && rest == end && offset <= INT64_MAX) return Offset(offset);
  }
  return std::nullopt;
}

SetAside::SetAside(std::shared_ptr<const StreamDefinition> definition, std::vector<std::size_t> decoded,
                   bool rows_wanted)
    : definition_(std::move(definition)),
      decoded_(std::move(decoded)),
      rows_wanted_(rows_wanted),
      reason_(kTextType),
      retried_(kBigintType) {
  reason_.reset(kTextType, kVectorRows);
  retried_.reset(kBigintType, kVectorRows);
  std::vector<ExpressionPtr> conditions;
  if (definition_->where) collect_conditions(definition_->where, conditions);
  for (const ExpressionPtr& condition : conditions) {
    std::vector<std::size_t> columns;
    collect_columns(*condition, columns);
    conditions_.push_back({ExpressionEvaluator(condition), std::move(columns), {}});
  }
}

void SetAside::start_chunk() {
  noted_.clear();
  failed_.clear();
  letters_.clear();
  count_ = 0;
}

SetAside::Noted& SetAside::note(std::uint32_t row) {
  if (noted_.empty() || noted_.back().row != row) noted_.emplace_back().row = row;
  return noted_.back();
}

void SetAside::note_failures(std::uint32_t row, std::string_view event, const JsonDecoder& decoder) {
  const std::size_t first = failed_.size();
  for (std::size_t column = 0; column < decoded_.size(); ++column) {
    if (decoder.event_failed(decoded_[column])) failed_.push_back(column);
  }
  if (failed_.size() == first) return;  // Another stream's columns.
  Noted& noted = note(row);
  noted.event = event;
  noted.failed_first = first;
  noted.failed_end = failed_.size();
}

void SetAside::note_poison(std::uint32_t row, std::string_view event) {
  Noted& noted = note(row);
  noted.event = event;
  noted.poison = true;
}

void SetAside::note_headers(std::uint32_t row, std::string_view headers) {
  if (!rows_wanted_) return;
  if (const auto offset = retry_of(headers)) note(row).retry_of = offset;
}

void SetAside::decide(const ChangeBatch& sound) {
  scratch_.clear();
  for (const Noted& noted : noted_) {
    if (noted.failed_end > noted.failed_first) scratch_.push_back(noted.row);
  }
  if (!scratch_.empty()) {
    ChangeBatch failing = sound;
    failing.selection = &scratch_;
    for (Condition& condition : conditions_) condition.evaluator.filter(failing, condition.true_for);
  }
  for (Noted& noted : noted_) {
    noted.aside = noted.poison;
    if (noted.failed_end == noted.failed_first) continue;
    const auto begin = failed_.begin() + static_cast<std::ptrdiff_t>(noted.failed_first);
    const auto end = failed_.begin() + static_cast<std::ptrdiff_t>(noted.failed_end);
    noted.aside = std::ranges::all_of(conditions_, [&](const Condition& condition) {
      return std::ranges::binary_search(condition.true_for, noted.row) ||
             std::ranges::any_of(condition.columns,
                                 [&](std::size_t column) { return std::find(begin, end, column) != end; });
    });
  }
}

void SetAside::describe(Arena& arena) {
  reason_.reset(kTextType, kVectorRows);
  retried_.reset(kBigintType, kVectorRows);
  if (!raw_) {
    std::vector<StreamColumn> columns = definition_->columns;
    for (StreamColumn& column : columns) column.type = kJsonType;
    raw_.emplace(std::move(columns));
  }
  bool started = false;
  for (const Noted& noted : noted_) {
    if (!noted.aside && !noted.retry_of) continue;
    letters_.push_back(noted.row);
    if (noted.retry_of) {
      retried_.valid()[noted.row] = 1;
      retried_.data<std::int64_t>()[noted.row] = static_cast<std::int64_t>(noted.retry_of->value());
    }
    if (!noted.aside) continue;
    std::string text;
    if (noted.poison) {
      if (const Status valid = validate_json_event(noted.event); !valid) text = valid.error().message;
    } else {
      if (!std::exchange(started, true)) raw_->start(raw_values_);
      static_cast<void>(raw_->decode(noted.event, noted.row, raw_values_, arena, false));
      const std::size_t count = noted.failed_end - noted.failed_first;
      for (std::size_t i = 0; i < std::min(count, kShownColumnsMax); ++i) {
        const std::size_t column = failed_[noted.failed_first + i];
        text += (i == 0 ? "" : "; ") + std::string("column \"") + definition_->columns[column].name + "\": " +
                shown(raw_values_[column].data<std::string_view>()[noted.row]) + " is not of type " +
                to_string(definition_->columns[column].type);
      }
      if (count > kShownColumnsMax) text += "; and " + std::to_string(count - kShownColumnsMax) + " columns more";
    }
    reason_.valid()[noted.row] = 1;
    reason_.data<std::string_view>()[noted.row] = arena.copy(text);
  }
}

void SetAside::finish(const ChangeBatch& sound, Selection& kept) {
  if (noted_.empty()) return;
  decide(sound);
  scratch_.clear();
  for (const Noted& noted : noted_) {
    if (!noted.aside) continue;
    ++count_;
    if (!noted.poison) scratch_.push_back(noted.row);
  }
  if (!scratch_.empty()) {
    Selection left;
    std::ranges::set_difference(kept, scratch_, std::back_inserter(left));
    kept.swap(left);
  }
  if (rows_wanted_) describe(*sound.arena);
}

}  // namespace kappa::processor
