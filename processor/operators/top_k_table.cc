// The table form of a top-k. See top_k.h.
#include "processor/operators/copies.h"
#include "processor/operators/top_k.h"
#include "processor/state/key_encoding.h"

namespace kappa::processor {

TopKTableOperator::TopKTableOperator(const Plan& plan, bool append_only, StateStore& store, TableId table)
    : top_k_(plan.top_k),
      append_only_(append_only),
      store_(store),
      table_(table),
      partition_(plan.top_k.partition),
      order_(plan.top_k.order),
      codec_(plan.input->output),
      out_(plan) {
  store.keep_ordered(table);
}

Status TopKTableOperator::push(const ChangeBatch& batch) {
  partition_.prepare(batch);
  order_.prepare(batch);
  changes_.clear();
  partition_numbers_.clear();
  partitions_.clear();
  old_.clear();
  Status status;
  for_each_row(batch, [&](std::uint32_t row) {
    if (!status || batch.weight(row) == 0) return;
    key_.clear();
    partition_.append(row, key_);
    const std::size_t partition_bytes = key_.size();
    const auto [place, is_new] = partition_numbers_.try_emplace(key_, old_.size());
    if (is_new) {
      status = read(key_, old_.emplace_back(top_k_), nullptr);
      if (!status) return;
    }
    const std::size_t rank_bytes = order_.append(row, top_k_.rank_keys, key_);
    if (append_only_ && outside(old_[place->second], std::string_view(key_).substr(partition_bytes))) return;
    const auto entry = store_.entry(table_, key_);
    if (!entry) {
      status = std::unexpected(entry.error());
      return;
    }
    changes_.push_back({*entry, row, rank_bytes});
  });
  KAPPA_CHECK_OK(status);
  if (changes_.empty()) return {};
  store_.begin_changes();
  for (const Change& change : changes_) {
    row_bytes_.clear();
    codec_.encode(batch, change.row, row_bytes_);
    // The head is a varint: the length of the rank keys' bytes.
    std::string head;
    append_varint(head, change.rank_bytes);
    const bool was_there = change.entry->exists;
    const StoredCopy added{batch.weight(change.row), row_bytes_};
    KAPPA_TRY(const std::int64_t before, add_copy(*change.entry, head.size(), added, scratch_));
    static_cast<void>(before);
    if (!was_there && change.entry->exists) change.entry->value.replace(0, head.size(), head);
    store_.changed(*change.entry);
  }
  partitions_.resize(old_.size());
  for (const auto& [partition, number] : partition_numbers_) partitions_[number] = &partition;
  std::vector<std::string> beyond;
  for (std::size_t i = 0; i < partitions_.size(); ++i) {
    First now(top_k_);
    beyond.clear();
    KAPPA_CHECK_OK(read(*partitions_[i], now, append_only_ ? &beyond : nullptr));
    for (const std::string& key : beyond) store_.erase(table_, key);
    KAPPA_CHECK_OK(out_.give_difference(old_[i].ranking, now.ranking, next()));
  }
  return out_.flush(next());
}

bool TopKTableOperator::outside(const First& first, std::string_view order) const {
  if (!first.full || order <= first.last) return false;
  return top_k_.function == RankFunction::kRowNumber || !order.starts_with(first.last_rank_keys);
}

Status TopKTableOperator::read(const std::string& partition, First& first, std::vector<std::string>* beyond) {
  KeyRange range{partition, std::nullopt};
  if (std::string after = key_after_prefix(partition); !after.empty()) range.to = std::move(after);
  KAPPA_TRY(const std::unique_ptr<StateCursor> cursor, store_.scan(table_, std::move(range), false));
  bool inside = true;
  std::uint64_t rows = 0;
  std::uint64_t groups = 0;
  for (;;) {
    KAPPA_TRY(const auto entry, cursor->next());
    if (!entry) break;
    if (!inside) {
      beyond->emplace_back(entry->key);
      continue;
    }
    // The cursor's bytes end with its next step.
    const std::string& order = first.bytes.emplace_back(entry->key.substr(partition.size()));
    const std::string& value = first.bytes.emplace_back(entry->value);
    ByteReader in(as_bytes(value));
    const auto rank_bytes = static_cast<std::size_t>(in.varint());
    if (rank_bytes > order.size()) return damaged_state("a ranking");
    while (in.remaining() > 0 && inside) {
      const StoredCopy copy = next_copy(in);
      if (copy.weight == 0) return damaged_state("a ranking");
      inside = first.ranking.add({order, rank_bytes, copy.row, copy.weight});
      if (!inside || copy.weight <= 0) continue;
      const std::string_view keys = std::string_view(order).substr(0, rank_bytes);
      if (groups == 0 || keys != first.last_rank_keys) ++groups;
      rows += static_cast<std::uint64_t>(copy.weight);
      first.last_rank_keys = keys;
      first.last = order;
    }
    if (inside) continue;
    if (beyond == nullptr) break;
    beyond->emplace_back(entry->key);
  }
  const std::uint64_t end = top_k_.offset + std::min(top_k_.limit, UINT64_MAX - top_k_.offset);
  first.full = (top_k_.function == RankFunction::kDenseRank ? groups : rows) >= end;
  return {};
}

}  // namespace kappa::processor
