// See timed_rows.h.
#include "processor/operators/timed_rows.h"

#include "processor/operators/big_endian.h"
#include "processor/state/hash.h"
#include "processor/state/key_encoding.h"

namespace kappa::processor {

std::string TimedRows::suffix_of(std::string_view row) {
  std::string suffix;
  append_big_endian(suffix, std::uint64_t{XXH3_64bits(row.data(), row.size())});
  return suffix;
}

Expected<StateEntry*> TimedRows::entry(std::string_view key, std::int64_t time, std::string_view suffix) {
  key_.assign(key);
  append_time(key_, time);
  key_.append(suffix);
  return store_.entry(table_, key_);
}

Status TimedRows::add(StateEntry& entry, std::string_view row, std::int64_t weight) {
  KAPPA_TRY(const std::int64_t before, add_copy(entry, 0, {weight, row}, scratch_));
  static_cast<void>(before);
  store_.changed(entry);
  return {};
}

Expected<std::optional<TimedRows::Item>> TimedRows::Cursor::next() {
  if (!cursor_) return std::nullopt;
  KAPPA_TRY(const auto entry, cursor_->next());
  if (!entry) return std::nullopt;
  if (entry->key.size() < key_bytes_ + kTimeBytes) return damaged_state("a row in the order of time");
  return Item{read_time(entry->key.substr(key_bytes_)), entry->key.substr(key_bytes_ + kTimeBytes), entry->value};
}

Expected<TimedRows::Cursor> TimedRows::scan(std::string_view key, std::int64_t from, std::int64_t to, bool backward) {
  if (from > to) return Cursor(nullptr, 0);
  std::string first(key);
  append_time(first, from);
  std::string last(key);
  append_time(last, to);
  return scan_range(std::move(first), std::move(last), key.size(), backward);
}

Expected<TimedRows::Cursor> TimedRows::scan_behind(std::string_view key, std::int64_t from, std::string_view suffix,
                                                   std::int64_t to) {
  std::string first(key);
  append_time(first, from);
  first.append(suffix);
  first.push_back('\0');
  std::string last(key);
  append_time(last, to);
  return scan_range(std::move(first), std::move(last), key.size(), false);
}

Expected<TimedRows::Cursor> TimedRows::scan_range(std::string from, std::string last, std::size_t key_bytes,
                                                  bool backward) {
  KeyRange range{std::move(from), std::nullopt};
  if (std::string to = key_after_prefix(last); !to.empty()) range.to = std::move(to);
  KAPPA_TRY(auto cursor, store_.scan(table_, std::move(range), backward));
  return Cursor(std::move(cursor), key_bytes);
}

}  // namespace kappa::processor
