// See view_reader.h.
#include "processor/operators/view_reader.h"

#include <charconv>
#include <numeric>
#include <span>

#include "processor/operators/rows.h"
#include "processor/state/key_encoding.h"
#include "processor/vector/json_token.h"

namespace kappa::processor {
namespace {

std::unexpected<Error> bad_key(const Value& value, Type type) {
  return fail(ErrorCode::kInvalid, 2011, "\"" + display(value) + "\" is not a " + to_string(type) + " key");
}

std::optional<Value> parse_key_text(const std::string& text, Type type) {
  const auto whole = [&](const auto& parsed) {
    return parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size();
  };
  switch (type.id) {
    case TypeId::kText: return Value::text(text);
    case TypeId::kJson: return Value::json(text);
    case TypeId::kBoolean:
      if (text == "true" || text == "t") return Value::boolean(true);
      if (text == "false" || text == "f") return Value::boolean(false);
      return std::nullopt;
    case TypeId::kBigint: {
      std::int64_t v = 0;
      if (whole(std::from_chars(text.data(), text.data() + text.size(), v))) return Value::bigint(v);
      return std::nullopt;
    }
    case TypeId::kDouble: {
      const NumberShape shape = scan_number(text);
      if (shape.length == 0 || shape.length != text.size()) return std::nullopt;
      if (const auto v = number_to_double(text)) return Value::real(*v);
      return std::nullopt;
    }
    case TypeId::kNumeric: {
      const NumberShape shape = scan_number(text);
      if (shape.length == 0 || shape.length != text.size()) return std::nullopt;
      if (const auto v = number_to_numeric(text, type.precision, type.scale))
        return Value::numeric(*v, type.precision, type.scale);
      return std::nullopt;
    }
    case TypeId::kTimestamp: {
      if (const auto v = parse_timestamp(text, false)) return Value::timestamp(*v);
      std::int64_t ms = 0;
      std::int64_t micros = 0;
      if (whole(std::from_chars(text.data(), text.data() + text.size(), ms)) &&
          !__builtin_mul_overflow(ms, std::int64_t{1000}, &micros)) {
        return Value::timestamp(micros);
      }
      return std::nullopt;
    }
    case TypeId::kInterval:
      if (const auto v = text_to_interval(text)) return Value::interval(*v);
      return std::nullopt;
    case TypeId::kNull: return std::nullopt;
  }
  return std::nullopt;
}

Expected<std::string> encode_values(std::span<const Value> values, const std::vector<Type>& types) {
  if (values.size() > types.size()) {
    return fail(ErrorCode::kInvalid, 2011,
                "the view's key has " + std::to_string(types.size()) + " columns, " +
                    std::to_string(values.size()) + " values were given");
  }
  std::string key;
  for (std::size_t i = 0; i < values.size(); ++i) {
    KAPPA_TRY(const Value converted, convert_key_value(values[i], types[i]));
    append_key(converted, key);
  }
  return key;
}

}  // namespace

Expected<Value> convert_key_value(const Value& value, Type type) {
  if (value.is_null()) return Value::null(type);
  const TypeId from = value.type().id;
  if (from == TypeId::kText) {
    std::optional<Value> parsed = parse_key_text(value.as_text(), type);
    if (!parsed) return bad_key(value, type);
    return std::move(*parsed);
  }
  if (from == type.id && (from != TypeId::kNumeric || value.type().scale == type.scale)) {
    return from == TypeId::kNumeric ? Value::numeric(value.as_int128(), type.precision, type.scale) : value;
  }
  // Numbers meet by their exact digits.
  const bool number = from == TypeId::kBigint || from == TypeId::kNumeric || from == TypeId::kDouble;
  if (number && (type.id == TypeId::kBigint || type.id == TypeId::kDouble || type.id == TypeId::kNumeric)) {
    std::optional<Value> parsed = parse_key_text(display(value), type);
    if (parsed) return std::move(*parsed);
  }
  return bad_key(value, type);
}

// --- finishing ---

struct RowFinisher::Evaluation {
  struct Stage {
    bool filter = false;
    std::vector<ExpressionEvaluator> expressions;
    std::vector<Vector> copies;
  };
  std::vector<Vector> input;
  std::vector<Stage> stages;
  Arena arena;
};

RowFinisher::RowFinisher(std::vector<PlanPtr> stages, std::vector<Column> input)
    : stages_(std::move(stages)), input_(std::move(input)) {
  for (const PlanPtr& stage : stages_) {
    if (stage->kind == PlanKind::kFilter) plain_ = false;
    for (const ExpressionPtr& e : stage->expressions) plain_ = plain_ && e->kind == ExpressionKind::kColumn;
  }
}
RowFinisher::~RowFinisher() = default;

std::optional<std::vector<std::size_t>> RowFinisher::plain_columns() const {
  if (!plain_) return std::nullopt;
  std::vector<std::size_t> columns(input_.size());
  std::iota(columns.begin(), columns.end(), std::size_t{0});
  for (const PlanPtr& stage : stages_) {
    std::vector<std::size_t> next;
    for (const ExpressionPtr& e : stage->expressions) next.push_back(columns[e->column]);
    columns = std::move(next);
  }
  return columns;
}

std::unique_ptr<RowFinisher::Evaluation> RowFinisher::take() const {
  {
    const std::lock_guard lock(mutex_);
    if (!pool_.empty()) {
      auto evaluation = std::move(pool_.back());
      pool_.pop_back();
      return evaluation;
    }
  }
  auto evaluation = std::make_unique<Evaluation>();
  for (const Column& column : input_) evaluation->input.emplace_back(column.type);
  for (const PlanPtr& plan : stages_) {
    Evaluation::Stage& stage = evaluation->stages.emplace_back();
    stage.filter = plan->kind == PlanKind::kFilter;
    if (stage.filter) stage.expressions.emplace_back(plan->predicate);
    for (const ExpressionPtr& e : plan->expressions) stage.expressions.emplace_back(e);
  }
  return evaluation;
}

std::optional<Row> RowFinisher::finish(Row row) const {
  if (stages_.empty()) return row;
  if (plain_) {
    for (const PlanPtr& stage : stages_) {
      Row next;
      next.reserve(stage->expressions.size());
      for (const ExpressionPtr& e : stage->expressions) next.push_back(row[e->column]);
      row = std::move(next);
    }
    return row;
  }
  std::unique_ptr<Evaluation> evaluation = take();
  ChangeBatch batch;
  batch.count = 1;
  batch.arena = &evaluation->arena;
  for (std::size_t i = 0; i < row.size(); ++i) {
    Vector& column = evaluation->input[i];
    column.reset(input_[i].type, 1);
    column.set(0, row[i], evaluation->arena);
    batch.columns.push_back(&column);
  }
  bool shown = true;
  Selection selection;
  for (Evaluation::Stage& stage : evaluation->stages) {
    if (stage.filter) {
      stage.expressions[0].filter(batch, selection);
      shown = !selection.empty();
      if (!shown) break;
      continue;
    }
    std::vector<Vector*> columns;
    for (ExpressionEvaluator& e : stage.expressions)
      columns.push_back(const_cast<Vector*>(&e.evaluate(batch)));
    batch.columns = std::move(columns);
  }
  std::optional<Row> finished;
  if (shown) {
    finished.emplace();
    for (const Vector* column : batch.columns) finished->push_back(column->value(0));
  }
  evaluation->arena.reset();
  const std::lock_guard lock(mutex_);
  pool_.push_back(std::move(evaluation));
  return finished;
}

// --- readers ---

namespace {

class EntryCursor final : public ViewReader::Cursor {
 public:
  EntryCursor(const ViewReader& reader, std::unique_ptr<StateCursor> entries)
      : reader_(reader), entries_(std::move(entries)) {}
  [[nodiscard]] Expected<bool> next() override {
    KAPPA_TRY(const auto entry, entries_->next());
    if (!entry) return false;
    KAPPA_TRY(row_, reader_.decode(entry->key, entry->value));
    return true;
  }
  [[nodiscard]] std::optional<ViewReader::StoredRow>& row() override { return row_; }

 private:
  const ViewReader& reader_;
  const std::unique_ptr<StateCursor> entries_;
  std::optional<ViewReader::StoredRow> row_;
};

}  // namespace

std::unique_ptr<ViewReader::Cursor> ViewReader::scan(StateSnapshot& snapshot, KeyRange range) const {
  return std::make_unique<EntryCursor>(*this, snapshot.scan(table(), std::move(range), false));
}

Expected<ViewReader::PointRead> ViewReader::get(StateStore& store, std::string_view key) const {
  KAPPA_TRY(const StateStore::PointRead read, store.read(table(), key));
  PointRead result;
  result.applied = read.applied;
  if (read.value) {
    KAPPA_TRY(result.row, decode(key, *read.value));
  }
  return result;
}

Status ViewReader::append_wire_key(ByteReader& values, std::size_t count, std::string& out) const {
  const std::vector<Type>& types = key_types();
  for (std::size_t i = 0; i < count; ++i) {
    // Keys are mostly texts, of their column's type: straight from the request to the key.
    ByteReader ahead = values;
    if (static_cast<TypeId>(ahead.u8()) == TypeId::kText && types[i].id == TypeId::kText) {
      const std::string_view text = ahead.sized_text();
      if (ahead.ok()) {
        append_text_key(text, out);
        values = ahead;
        continue;
      }
    }
    KAPPA_TRY(const Value value, decode_value(values));
    KAPPA_TRY(const Value converted, convert_key_value(value, types[i]));
    append_key(converted, out);
  }
  return {};
}

Expected<bool> ViewReader::append_wire_row(std::string_view key, std::string_view value, std::size_t columns,
                                           std::string& out) const {
  KAPPA_TRY(auto stored, decode(key, value));
  if (!stored) return false;
  stored->row.resize(columns);
  encode_row(stored->row, out);
  return true;
}

Expected<std::string> AggregateReader::encode_key(std::span<const Value> values) const {
  return encode_values(values, key_types());
}

Expected<std::optional<ViewReader::StoredRow>> AggregateReader::decode(std::string_view key,
                                                                       std::string_view value) const {
  KAPPA_TRY(Row row, aggregates_->row(key, value));
  if (!aggregates_->has_row(value)) return std::nullopt;
  std::optional<Row> finished = finisher_->finish(std::move(row));
  if (!finished) return std::nullopt;
  return StoredRow{std::move(*finished), 1};
}

Expected<bool> AggregateReader::append_wire_row(std::string_view key, std::string_view value, std::size_t columns,
                                                std::string& out) const {
  if (!plain_columns_) return ViewReader::append_wire_row(key, value, columns, out);
  return aggregates_->append_wire_row(key, value, std::span(*plain_columns_).first(columns), out);
}

RowsReader::RowsReader(const std::vector<Column>& columns, const std::vector<std::size_t>& key_columns,
                       TableId table)
    : table_(table) {
  for (const Column& column : columns) types_.push_back(column.type);
  for (const std::size_t column : key_columns) key_types_.push_back(types_[column]);
}

Expected<std::string> RowsReader::encode_key(std::span<const Value> values) const {
  return encode_values(values, key_types_);
}

Expected<std::optional<ViewReader::StoredRow>> RowsReader::decode(std::string_view,
                                                                  std::string_view value) const {
  return read_stored_row(value, types_);
}

// Rows are stored as they travel.
Expected<bool> RowsReader::append_wire_row(std::string_view key, std::string_view value, std::size_t columns,
                                           std::string& out) const {
  if (columns != types_.size()) return ViewReader::append_wire_row(key, value, columns, out);
  KAPPA_TRY(const std::optional<std::string_view> row, stored_row_bytes(value));
  if (!row) return false;
  ByteWriter(out).u16(static_cast<std::uint16_t>(columns));
  out.append(*row);
  return true;
}

}  // namespace kappa::processor
