// See key_reads.h.
//
// The whole scan is compared with SQLite's rows; each other read with those of the scan's rows that a filter
// over their key columns leaves.
#include "tests/oracle/key_reads.h"

#include <algorithm>
#include <compare>

#include "tests/oracle/compare.h"

namespace kappa::oracle {
namespace {

using Key = std::vector<Value>;

Key key_of(const Row& row, const std::vector<std::size_t>& key_columns, std::size_t parts) {
  Key key;
  for (std::size_t i = 0; i < parts; ++i) key.push_back(row[key_columns[i]]);
  return key;
}

// By as many values as the shorter has.
std::strong_ordering order(const Key& a, const Key& b) {
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (const auto by = compare(a[i], b[i]); by != 0) return by;
  }
  return std::strong_ordering::equal;
}

std::string text_of_key(const Key& key) {
  return "(" + text_of(cells_of({key}).front()) + ")";
}

class KeyReads {
 public:
  KeyReads(KappaEngine& engine, Random& random, const std::string& view, std::vector<Row> all,
           std::vector<std::size_t> key_columns)
      : engine_(engine),
        random_(random),
        view_(view),
        all_(std::move(all)),
        key_columns_(std::move(key_columns)) {}

  std::string check() {
    const std::size_t width = key_columns_.size();
    for (std::size_t i = 1; i < all_.size(); ++i) {
      if (order(key_of(all_[i - 1], key_columns_, width), key_of(all_[i], key_columns_, width)) > 0)
        return "the scan is not in the order of the key at " +
               text_of_key(key_of(all_[i], key_columns_, width)) + "\n";
    }
    for (int i = 0; i < 4; ++i) {
      std::string problem = point(some_key(width));
      if (problem.empty()) problem = range(random_.below(width + 1));
      if (!problem.empty()) return problem;
    }
    return {};
  }

 private:
  // Of a row, or put together of two rows: mostly there is none with such a key then.
  Key some_key(std::size_t parts) {
    if (all_.empty()) return Key(parts);
    Key key = key_of(random_.pick(all_), key_columns_, parts);
    if (!key.empty() && random_.one_in(3)) {
      const std::size_t at = random_.below(key.size());
      key[at] = random_.one_in(4) ? Value() : random_.pick(all_)[key_columns_[at]];
    }
    return key;
  }

  // Keys as a command line gives them are text. Years before 1 and past 9999 cannot be written.
  Key given(Key key) {
    if (!random_.one_in(3)) return key;
    for (Value& value : key) {
      const std::string text = display(value);
      const bool far = value.type().id == TypeId::kTimestamp && (text[0] == '+' || text[0] == '-');
      if (!value.is_null() && !far) value = Value::text(text);
    }
    return key;
  }

  std::string point(const Key& key) {
    const auto got = engine_.get(view_, given(key));
    if (!got) return "get " + text_of_key(key) + " failed: " + to_string(got.error()) + "\n";
    std::vector<Row> expected, actual;
    for (const Row& row : all_) {
      if (order(key_of(row, key_columns_, key.size()), key) == 0) expected.push_back(row);
    }
    if (*got) actual.push_back(**got);
    // Rows that are equal have one entry.
    expected.erase(std::unique(expected.begin(), expected.end()), expected.end());
    return same(actual, expected, "get " + text_of_key(key));
  }

  std::string range(std::size_t parts) {
    processor::ScanRequest request;
    request.view = view_;
    const Key prefix = some_key(parts);
    const Key from = random_.one_in(2) ? some_key(random_.below(key_columns_.size() + 1)) : Key();
    const Key to = random_.one_in(2) ? some_key(random_.below(key_columns_.size() + 1)) : Key();
    request.prefix = given(prefix);
    request.from = given(from);
    request.to = given(to);
    if (random_.one_in(3)) request.limit = 1 + random_.below(5);
    const std::string what = "scan of prefix " + text_of_key(prefix) + " from " + text_of_key(from) + " to " +
                             text_of_key(to) + ", limit " + std::to_string(request.limit);
    std::vector<Row> expected;
    for (const Row& row : all_) {
      const Key key = key_of(row, key_columns_, key_columns_.size());
      const bool in = order(key, prefix) == 0 && (from.empty() || order(key, from) >= 0) &&
                      (to.empty() || order(key, to) < 0);
      if (in && expected.size() < request.limit) expected.push_back(row);
    }
    const auto rows = engine_.scan(request);
    if (!rows) return what + " failed: " + to_string(rows.error()) + "\n";
    return same(*rows, expected, what);
  }

  static std::string same(const std::vector<Row>& actual, const std::vector<Row>& expected,
                          const std::string& what) {
    if (actual == expected) return {};
    std::string text = what + "\n";
    for (const Cells& row : cells_of(actual)) text += "  actual:   " + text_of(row) + "\n";
    for (const Cells& row : cells_of(expected)) text += "  expected: " + text_of(row) + "\n";
    return text;
  }

  KappaEngine& engine_;
  Random& random_;
  const std::string& view_;
  const std::vector<Row> all_;
  const std::vector<std::size_t> key_columns_;
};

}  // namespace

std::string check_key_reads(KappaEngine& engine, Random& random, const std::string& view,
                            std::vector<Cells> expected, const std::vector<Column>& columns) {
  processor::ScanRequest whole;
  whole.view = view;
  whole.freshness.fresh = true;
  auto all = engine.scan(whole);
  if (!all) return "the scan failed: " + to_string(all.error()) + "\n";
  std::vector<Cells> cells = cells_of(*all);
  if (const std::string found = difference(cells, expected, columns); !found.empty())
    return "the scan of all\n" + found;
  auto key = engine.key_columns(view);
  if (!key) return "DESCRIBE failed: " + to_string(key.error()) + "\n";
  if (!*key) return {};  // A part of the key is not selected: its rows cannot be told apart here.
  return KeyReads(engine, random, view, std::move(*all), std::move(**key)).check();
}

}  // namespace kappa::oracle
