// See difference.h. Both sides are walked in key order; the key of a row is made of its columns, so that it does not
// matter how a reader keeps its rows.
#include "processor/watch/difference.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "processor/query.h"
#include "proto/value.h"

namespace kappa::processor {
namespace {

class Walk {
 public:
  explicit Walk(const RowsOf& rows)
      : rows_(rows), cursor_(rows.reader.scan(rows.snapshot, rows.range)), empty_(rows.range.to && *rows.range.to <= rows.range.from) {}

  // To the next row; row() is empty at the end.
  [[nodiscard]] Status next() {
    row_.reset();
    if (empty_) return {};
    for (;;) {
      KAPPA_TRY(const bool found, cursor_->next());
      if (!found) return {};
      auto& stored = cursor_->row();
      if (!stored) continue;
      std::vector<Value> values;
      for (const std::size_t column : rows_.plan.key_columns) values.push_back(stored->row[column]);
      KAPPA_TRY(key_, rows_.reader.encode_key(values));
      stored->row.resize(rows_.plan.visible_columns);
      row_ = std::move(*stored);
      return {};
    }
  }
  [[nodiscard]] const std::optional<ViewReader::StoredRow>& row() const { return row_; }
  [[nodiscard]] const std::string& key() const { return key_; }

 private:
  const RowsOf& rows_;
  const std::unique_ptr<ViewReader::Cursor> cursor_;
  const bool empty_;
  std::string key_;
  std::optional<ViewReader::StoredRow> row_;
};

bool give_copies(const Row& row, std::int64_t copies, bool added, const EmitChange& emit) {
  for (; copies > 0; --copies)
    if (!emit(added, row)) return false;
  return true;
}

// By their bytes: 1 and 1.0 are two rows to who keeps them.
bool same_row(const Row& a, const Row& b) {
  std::string left;
  std::string right;
  encode_row(a, left);
  encode_row(b, right);
  return left == right;
}

}  // namespace

bool same_shape(const ViewPlan& a, const ViewPlan& b) {
  const std::vector<Column> left = visible_columns(a);
  const std::vector<Column> right = visible_columns(b);
  const bool columns = std::ranges::equal(left, right, [](const Column& x, const Column& y) {
    return x.name == y.name && x.type == y.type;
  });
  if (!columns || a.key_columns.size() != b.key_columns.size()) return false;
  for (std::size_t i = 0; i < a.key_columns.size(); ++i) {
    if (a.root->output[a.key_columns[i]].type != b.root->output[b.key_columns[i]].type) return false;
  }
  return true;
}

bool give_change(const std::optional<ViewReader::StoredRow>& old_row,
                 const std::optional<ViewReader::StoredRow>& new_row, const EmitChange& emit) {
  const std::int64_t before = old_row ? old_row->weight : 0;
  const std::int64_t after = new_row ? new_row->weight : 0;
  if (before > 0 && after > 0 && same_row(old_row->row, new_row->row)) {
    return give_copies(old_row->row, before - after, false, emit) && give_copies(new_row->row, after - before, true, emit);
  }
  return (before == 0 || give_copies(old_row->row, before, false, emit)) &&
         (after == 0 || give_copies(new_row->row, after, true, emit));
}

Expected<bool> give_difference(const RowsOf& old_rows, const RowsOf& new_rows, const EmitChange& emit) {
  Walk before(old_rows);
  Walk after(new_rows);
  KAPPA_CHECK_OK(before.next());
  KAPPA_CHECK_OK(after.next());
  while (before.row() || after.row()) {
    const bool take_old = before.row() && (!after.row() || before.key() <= after.key());
    const bool take_new = after.row() && (!before.row() || after.key() <= before.key());
    static const std::optional<ViewReader::StoredRow> kNone;
    if (!give_change(take_old ? before.row() : kNone, take_new ? after.row() : kNone, emit)) return false;
    if (take_old) KAPPA_CHECK_OK(before.next());
    if (take_new) KAPPA_CHECK_OK(after.next());
  }
  return true;
}

Expected<bool> give_rows(const RowsOf& rows, bool added, const EmitChange& emit) {
  Walk walk(rows);
  for (;;) {
    KAPPA_CHECK_OK(walk.next());
    if (!walk.row()) return true;
    if (!give_copies(walk.row()->row, walk.row()->weight, added, emit)) return false;
  }
}

}  // namespace kappa::processor
