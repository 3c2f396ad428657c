// SQL text from anybody. Promises: any text compiles or is refused, in bounded time and stack; the place
// of an error lies in the text; a script's pieces are its statements and cutting them again changes
// nothing; what compiles can be explained, and a query that reads a stream or nothing runs over any rows.
//
// Input: a script. Rows that queries see: the corners of every type.
#include <cmath>
#include <limits>

#include "processor/operators/build.h"
#include "processor/sql/plan_properties.h"
#include "tests/fuzz/catalog.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/targets.h"

namespace kappa::fuzz {
namespace {

using namespace processor;

constexpr std::size_t kTextBytesMax = 2048;
constexpr std::size_t kMemoryBytesMax = std::size_t{16} << 20;

// Byte of the text that a place means; none if there is no such place.
std::optional<std::size_t> byte_of(std::string_view text, SourcePlace place) {
  if (place.line == 0 || place.column == 0) return std::nullopt;
  std::size_t at = 0;
  for (std::uint32_t line = 1; line < place.line; ++line) {
    at = text.find('\n', at);
    if (at == std::string_view::npos) return std::nullopt;
    ++at;
  }
  const std::size_t end = std::min(text.find('\n', at), text.size());
  return place.column - 1 <= end - at ? std::optional(at + place.column - 1) : std::nullopt;
}

void check_error(std::string_view text, const Error& error) {
  KAPPA_CHECK(!error.message.empty(), "an error says nothing");
  if (!error.place) return;
  const std::optional<std::size_t> at = byte_of(text, *error.place);
  KAPPA_CHECK(at.has_value(), "an error's place is outside the text");
  KAPPA_CHECK(error.place->length <= text.size() - *at, "an error's place ends outside the text");
}

// The i-th corner of a type.
Value corner(Type type, std::size_t i) {
  static constexpr std::int64_t kIntegers[] = {
      0, 1, -1, INT64_MAX, INT64_MIN, INT64_MIN + 1, 253'402'300'799'999'999, 1'700'000'000'000'000};
  static constexpr double kDoubles[] = {0.0,     -1.5, 1e308, -1e308, 5e-324, 9.2233720368547758e18,
                                        -9.3e18, 1e15};
  static const std::string kTexts[] = {
      "",    "a", "2024-02-29T12:00:00Z", "-1.5e3", "%_\\", "\xf0\x9f\x98\x80 \xc3\xa9", "1 day -2 hours",
      "true"};
  static const std::string kJsons[] = {"null",
                                       "{}",
                                       "[1,[2]]",
                                       "\"\\ud83d\\ude00\"",
                                       "{\"x\":{\"y\":[-1.5e3]}}",
                                       "1e400",
                                       "true",
                                       " {\"x\" : null, \"x\" : \"z\"} "};
  if (i == 8) return Value::null(type);
  switch (type.id) {
    case TypeId::kBoolean: return Value::boolean(i % 2 == 0);
    case TypeId::kBigint: return Value::bigint(kIntegers[i]);
    case TypeId::kTimestamp: return Value::timestamp(kIntegers[i]);
    case TypeId::kInterval: return Value::interval(kIntegers[i]);
    case TypeId::kDouble: return Value::real(kDoubles[i]);
    case TypeId::kNumeric: {
      const Int128 most = power_of_ten(type.precision) - 1;
      const Int128 numbers[] = {0, 1, -1, most, -most, most / 2, -most / 3, 7 % (most + 1)};
      return Value::numeric(numbers[i], type.precision, type.scale);
    }
    case TypeId::kText: return Value::text(kTexts[i]);
    case TypeId::kJson: return Value::json(kJsons[i]);
    case TypeId::kNull: break;
  }
  return Value::null(type);
}

// Rows of corner values for one scan.
Expected<bool> feed(QueryRun& query, std::size_t head, const Plan& scan) {
  Arena arena;
  const std::size_t rows = scan.kind == PlanKind::kValues ? 1 : 9;
  std::vector<Vector> vectors(scan.output.size());
  ChangeBatch batch;
  batch.count = rows;
  batch.arena = &arena;
  for (std::size_t column = 0; column < scan.output.size(); ++column) {
    Vector& vector = vectors[column];
    vector.reset(scan.output[column].type, rows);
    // Columns meet in other combinations: each is turned by its number.
    for (std::size_t row = 0; row < rows; ++row)
      vector.set(row, corner(vector.type(), (row * (column + 1) + column) % 9), arena);
    batch.columns.push_back(&vector);
  }
  return query.push(head, batch);
}

void run(const Select& select) {
  const auto query =
      build_query(select.plan, InputKind::kAppendOnly, kMemoryBytesMax, [](std::vector<Row> rows) {
        std::string json;
        for (const Row& row : rows)
          for (const Value& value : row) {
            KAPPA_CHECK(
                value.is_null() || value.type().id != TypeId::kDouble || std::isfinite(value.as_double()),
                "a DOUBLE that is not finite");
            static_cast<void>(display(value));
            append_json(value, json);
          }
        return true;
      });
  if (!query) return;
  const std::vector<const Plan*> scans = scans_of(*select.plan);
  for (std::size_t head = 0; head < scans.size(); ++head) {
    const auto more = feed(**query, head, *scans[head]);
    if (!more) return;
    if (!*more) break;
  }
  static_cast<void>((*query)->finish());
}

void one_statement(std::string_view text) {
  const auto statement = compile(text, fixed_catalog());
  if (!statement) return check_error(text, statement.error());
  if (const auto* select = std::get_if<Select>(&*statement)) {
    static_cast<void>(explain(*select->plan));
    run(*select);
  } else if (const auto* view = std::get_if<CreateView>(&*statement)) {
    static_cast<void>(explain(*view->plan.root));
    KAPPA_CHECK(view->plan.visible_columns <= view->plan.root->output.size(),
                "a view shows columns it has not");
    for (const std::size_t column : view->plan.key_columns)
      KAPPA_CHECK(column < view->plan.root->output.size(), "a key column is not among the columns");
    const auto store = make_memory_state();
    std::uint64_t rows = 0;
    static_cast<void>(build_view(view->plan, InputKind::kAppendOnly, *store, rows));
  }
}

}  // namespace

int fuzz_sql(const std::uint8_t* data, std::size_t size) {
  Input in(data, std::min(size, kTextBytesMax));
  const std::string_view script = in.rest();
  one_statement(script);
  for (const ScriptPiece& piece : split_script(script)) {
    KAPPA_CHECK(!piece.text.empty() && piece.text.data() >= script.data() &&
                    piece.text.data() + piece.text.size() <= script.data() + script.size(),
                "a piece is outside its script");
    const std::optional<std::size_t> at = byte_of(script, {piece.line, piece.column, 0});
    KAPPA_CHECK(at && script.data() + *at == piece.text.data(), "a piece does not stand where it says");
    const std::vector<ScriptPiece> again = split_script(piece.text);
    KAPPA_CHECK(again.size() == 1 && again[0].text == piece.text, "a piece falls apart when cut again");
    if (piece.text.size() != script.size()) one_statement(piece.text);
  }
  return 0;
}

}  // namespace kappa::fuzz
