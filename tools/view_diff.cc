// kappa view diff: which rows of two versions differ, in one pass over both in the same order.
//
// By key where both have the same key and show it: two scans. Else row by row, in the order of the columns that both
// have, which the server sorts by. Neither side is held.
#include <algorithm>
#include <cstdio>

#include "tools/definitions.h"
#include "tools/output.h"
#include "tools/row_stream.h"
#include "tools/row_writer.h"
#include "tools/version_diff.h"
#include "tools/view.h"
#include "tools/view_status.h"

namespace kappa::tools {
namespace {

struct Side {
  Definition version;
  std::vector<ClientColumn> columns;  // Visible ones.
  KeyColumns key;
  std::uint64_t applied = 0;
};

// Columns and key as DESCRIBE says them. Types come with the rows.
Status describe(Client& client, const Client::QueryOptions& options, Side& side) {
  std::vector<std::pair<std::int64_t, std::size_t>> keys;
  bool hidden = false;
  const std::string sql = "DESCRIBE " + quoted_name(side.version.name) + "@" + std::to_string(side.version.version);
  KAPPA_TRY([[maybe_unused]] const QueryEnd end,
            client.sql(
                sql, options, [](const std::vector<ClientColumn>&) { return true; },
                [&](const std::vector<Row>& rows) {
                  for (const Row& row : rows) {
                    const bool visible = row[3].as_text().empty();
                    if (!row[2].is_null() && !visible) hidden = true;
                    if (!row[2].is_null()) keys.emplace_back(row[2].as_int64(), side.columns.size());
                    if (visible) side.columns.push_back({row[0].as_text(), {}});
                  }
                  return true;
                }));
  if (hidden) return {};
  std::ranges::sort(keys);
  side.key.emplace();
  for (const auto& [number, column] : keys) side.key->push_back(column);
  return {};
}

RowStream::Query query_of(const Side& side, const DiffShape& shape, bool right, const Client::QueryOptions& options) {
  if (shape.by_key) {
    Client::Scan scan;
    scan.view = side.version.at();
    return [scan, options](Client& client, const RowStream::OnColumns& columns, const RowStream::OnRows& rows) {
      return client.scan(scan, options, columns, rows);
    };
  }
  std::string sql = "SELECT * FROM " + quoted_name(side.version.name) + "@" + std::to_string(side.version.version);
  for (const DiffShape::Pair& pair : shape.order) {
    sql += &pair == &shape.order.front() ? " ORDER BY " : ", ";
    sql += quoted_name(side.columns[right ? pair.second : pair.first].name);
  }
  return [sql, options](Client& client, const RowStream::OnColumns& columns, const RowStream::OnRows& rows) {
    return client.sql(sql, options, columns, rows);
  };
}

// {"op":"-","row":{...}} each with the columns of its side; in the forms with a header, one column for each name.
class DiffWriter {
 public:
  DiffWriter(Format format, Output& out, const std::vector<ClientColumn>& left, const std::vector<ClientColumn>& right)
      : format_(format), out_(out), sides_{left, right} {
    if (json()) return;
    std::vector<ClientColumn> all{{"op", kTextType}};
    all.insert(all.end(), left.begin(), left.end());
    for (std::size_t i = 0; i < left.size(); ++i) places_[0].push_back(i + 1);
    for (const ClientColumn& column : right) {
      const auto found = std::find_if(all.begin() + 1, all.end(), [&](const ClientColumn& one) { return one.name == column.name; });
      places_[1].push_back(static_cast<std::size_t>(found - all.begin()));
      if (found == all.end()) all.push_back(column);
    }
    width_ = all.size();
    writer_ = make_row_writer(format, out);
    writer_->columns(all);
  }
  void row(bool right, const Row& row) {
    if (json()) {
      std::string& text = out_.buffer();
      if (format_ == Format::kJson) text += first_ ? "[\n" : ",\n";
      first_ = false;
      text += right ? "{\"op\":\"+\",\"row\":" : "{\"op\":\"-\",\"row\":";
      append_json_object(sides_[right ? 1 : 0], row, text);
      text += format_ == Format::kJson ? "}" : "}\n";
      out_.written();
      return;
    }
    Row wide(width_);
    wide[0] = Value::text(right ? "+" : "-");
    for (std::size_t i = 0; i < row.size(); ++i) wide[places_[right ? 1 : 0][i]] = row[i];
    writer_->rows({wide});
  }
  void finish() {
    if (writer_) writer_->finish();
    if (format_ == Format::kJson) out_.write(first_ ? "[]\n" : "\n]\n");
    out_.flush();
  }

 private:
  [[nodiscard]] bool json() const { return format_ == Format::kJson || format_ == Format::kNdjson; }
  Format format_;
  Output& out_;
  std::vector<ClientColumn> sides_[2];
  std::vector<std::size_t> places_[2];
  std::size_t width_ = 0;
  std::unique_ptr<RowWriter> writer_;
  bool first_ = true;
};

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + printable(name);
  return text;
}

void print_summary(const DiffCounts& counts, const DiffShape& shape, const Side& left, const Side& right) {
  const std::string a = printable(left.version.at()), b = printable(right.version.at());
  std::string text = std::to_string(counts.equal) + " rows equal, ";
  if (shape.by_key) text += std::to_string(counts.differing) + " differ, ";
  text += std::to_string(counts.left_only) + " only in " + a + ", " + std::to_string(counts.right_only) + " only in " + b;
  std::fprintf(stderr, "%s\n", text.c_str());
  std::fprintf(stderr, "%s at offset %llu, %s at offset %llu\n", a.c_str(), static_cast<unsigned long long>(left.applied),
               b.c_str(), static_cast<unsigned long long>(right.applied));
  if (left.applied != right.applied) {
    std::fprintf(stderr, "note: events were appended meanwhile; rows that those between the two offsets change may differ\n");
  }
  if (!shape.left_only.empty()) std::fprintf(stderr, "only %s has: %s\n", a.c_str(), joined(shape.left_only).c_str());
  if (!shape.right_only.empty()) std::fprintf(stderr, "only %s has: %s\n", b.c_str(), joined(shape.right_only).c_str());
}

Expected<bool> diff(const ViewDiffFlags& flags) {
  Client::QueryOptions options = query_options(flags.connection, {});
  KAPPA_TRY(auto client, connect(flags.connection));
  KAPPA_TRY(const Definitions definitions, fetch_definitions(*client, options));
  Side left, right;
  for (auto [side, name] : {std::pair(&left, &flags.left), std::pair(&right, &flags.right)}) {
    KAPPA_TRY(side->version, resolve_version(definitions, *name));
    if (side->version.kind == "stream") {
      return fail(ErrorCode::kInvalid, 2010, "\"" + side->version.name + "\" is a stream: its rows are events", "compare views or tables");
    }
    KAPPA_CHECK_OK(describe(*client, options, *side));
  }
  KAPPA_TRY(const std::string json, client->status());
  KAPPA_TRY(const ServerState server, parse_server_state(json));
  for (Side* side : {&left, &right}) {
    if (const ViewProgress* view = server.find(side->version.name, side->version.version)) side->applied = view->applied;
  }
  const std::uint64_t reached = std::max(left.applied, right.applied);
  if (left.applied != right.applied) {
    const Side& behind = left.applied < right.applied ? left : right;
    std::fprintf(stderr, "waiting: %s has applied the events below offset %llu of %llu\n",
                 printable(behind.version.at()).c_str(), static_cast<unsigned long long>(behind.applied),
                 static_cast<unsigned long long>(reached));
  }
  if (reached > 0) options.at_least = Offset(reached - 1);

  // The order of the rows is asked for before their types are known; DESCRIBE and the rows say the same columns.
  DiffShape shape = diff_shape(left.columns, left.key, right.columns, right.key);
  KAPPA_TRY(auto second, connect(flags.connection));
  const auto start = [&](std::unique_ptr<Client> connection, const Side& side, bool is_right) {
    return std::make_unique<RowStream>(std::move(connection), query_of(side, shape, is_right, options));
  };
  auto left_rows = start(std::move(client), left, false);
  auto right_rows = start(std::move(second), right, true);
  KAPPA_TRY(left.columns, left_rows->columns());
  KAPPA_TRY(right.columns, right_rows->columns());
  if (shape.order.empty() && !shape.by_key)
    return fail(ErrorCode::kInvalid, 2010, "the two have no column in common: there is nothing to compare");
  shape.nulls_first = shape.by_key;  // ORDER BY puts them last.

  Output out;
  DiffWriter writer(choose_format(flags.output), out, left.columns, right.columns);
  const auto counts =
      diff_rows(shape, *left_rows, *right_rows, [&](bool is_right, const Row& row) { writer.row(is_right, row); });
  writer.finish();
  if (!counts) return std::unexpected(counts.error());
  for (auto [side, rows] : {std::pair(&left, &left_rows), std::pair(&right, &right_rows)}) {
    const auto& end = (*rows)->end();
    if (end && end->applied) side->applied = end->applied->value();
  }
  print_summary(*counts, shape, left, right);
  return counts->any() || !shape.same_columns();
}

}  // namespace

int run_view_diff(const ViewDiffFlags& flags) {
  const auto different = diff(flags);
  if (!different) return fail_with(different.error());
  return *different ? int{kExitRefused} : int{kExitOk};
}

}  // namespace kappa::tools
