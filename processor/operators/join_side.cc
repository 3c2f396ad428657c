// See join_side.h.
#include "processor/operators/join_side.h"

#include "processor/operators/aggregates/group_layout.h"
#include "processor/operators/big_endian.h"
#include "processor/operators/row_codec.h"
#include "processor/state/hash.h"
#include "processor/state/key_encoding.h"

namespace kappa::processor {
namespace {

// A full chunk fits a page of the tree beside others.
constexpr std::size_t kChunkBytes = 1024;

}  // namespace

JoinSide::JoinSide(Form form, bool timed, StateStore& store, TableId table)
    : form_(form), timed_(timed), store_(store), table_(table) {
  if (form_ == Form::kOrdered) store_.keep_ordered(table_);
}

std::string_view JoinSide::chunk_key(std::string_view key, std::uint32_t chunk) {
  key_.assign(key);
  append_big_endian(key_, chunk);
  return key_;
}

std::string_view JoinSide::row_key(std::string_view key, std::int64_t time, std::string_view row) {
  key_.assign(key);
  if (timed_) append_time(key_, time);
  append_big_endian(key_, std::uint64_t{XXH3_64bits(row.data(), row.size())});
  return key_;
}

Status JoinSide::load(std::string_view key, std::int64_t time, std::optional<std::string_view> row) {
  switch (form_) {
    case Form::kUnique: {
      KAPPA_TRY(const StateEntry* const entry, store_.entry(table_, key));
      static_cast<void>(entry);
      return {};
    }
    case Form::kOrdered:
      if (row) {
        KAPPA_TRY(const StateEntry* const entry, store_.entry(table_, row_key(key, time, *row)));
        static_cast<void>(entry);
      }
      return {};
    case Form::kList: break;
  }
  KAPPA_TRY(const StateEntry* const entry, store_.entry(table_, chunk_key(key, 0)));
  if (!entry->exists || entry->value.size() < sizeof(std::uint32_t)) return {};
  const auto last = load_raw<std::uint32_t>(entry->value.data());
  for (std::uint32_t chunk = row ? last : 1; chunk <= last; ++chunk) {
    KAPPA_TRY(const StateEntry* const behind, store_.entry(table_, chunk_key(key, chunk)));
    static_cast<void>(behind);
  }
  return {};
}

Status JoinSide::add(std::string_view key, std::int64_t time, std::string_view row, std::int64_t weight) {
  if (form_ == Form::kList) {
    for (; weight > 0; --weight) KAPPA_CHECK_OK(append(key, row));
    return {};
  }
  KAPPA_TRY(StateEntry* const entry,
            store_.entry(table_, form_ == Form::kUnique ? key : row_key(key, time, row)));
  KAPPA_TRY(const std::int64_t before, add_copy(*entry, 0, {weight, row}, scratch_));
  static_cast<void>(before);
  store_.changed(*entry);
  return {};
}

Status JoinSide::append(std::string_view key, std::string_view row) {
  KAPPA_TRY(StateEntry* const first, store_.entry(table_, chunk_key(key, 0)));
  StateEntry* entry = first;
  if (!first->exists) {
    first->value.assign(sizeof(std::uint32_t), '\0');
    first->exists = true;
  } else {
    if (first->value.size() < sizeof(std::uint32_t)) return damaged_state("a row of a join");
    auto last = load_raw<std::uint32_t>(first->value.data());
    if (last > 0) {
      KAPPA_TRY(entry, store_.entry(table_, chunk_key(key, last)));
    }
    if (entry->value.size() >= kChunkBytes) {
      store_raw(first->value.data(), ++last);
      store_.changed(*first);
      KAPPA_TRY(entry, store_.entry(table_, chunk_key(key, last)));
      entry->exists = true;
    }
  }
  scratch_.clear();
  append_varint(scratch_, row.size());
  scratch_.append(row);
  entry->value.append(scratch_);
  store_.changed(*entry);
  return {};
}

KeyRange JoinSide::range_of(std::string_view key, Times times) const {
  KeyRange range{std::string(key), std::nullopt};
  std::string to(key);
  if (timed_) {
    append_time(range.from, times.from);
    append_time(to, times.to);
  }
  if (to = key_after_prefix(to); !to.empty()) range.to = std::move(to);
  return range;
}

Expected<bool> JoinSide::read_piece(KeyRange& range, std::vector<std::string>& values) {
  static constexpr std::size_t kPieceEntries = 256;
  values.clear();
  KAPPA_TRY(const auto cursor, store_.scan(table_, range, false));
  for (;;) {
    KAPPA_TRY(const auto entry, cursor->next());
    if (!entry) return false;
    values.emplace_back(entry->value);
    if (values.size() < kPieceEntries) continue;
    range.from.assign(entry->key);
    range.from.push_back('\0');
    return true;
  }
}

Expected<bool> JoinSide::any(std::string_view key) {
  if (form_ == Form::kList) {
    KAPPA_TRY(const StateEntry* const entry, store_.entry(table_, chunk_key(key, 0)));
    return entry->exists;
  }
  bool found = false;
  const auto look = [&](std::string_view, std::int64_t weight) -> Status {
    found = found || weight > 0;
    return {};
  };
  if (form_ == Form::kUnique) {
    KAPPA_CHECK_OK(for_each(key, {}, look));
    return found;
  }
  KAPPA_TRY(const auto cursor, store_.scan(table_, range_of(key, {}), false));
  while (!found) {
    KAPPA_TRY(const auto entry, cursor->next());
    if (!entry) break;
    KAPPA_CHECK_OK(each_copy(entry->value, look));
  }
  return found;
}

}  // namespace kappa::processor
