// The list form of a top-k, and the output of both. See top_k.h.
#include <algorithm>

#include "processor/operators/aggregates/group_layout.h"
#include "processor/operators/copies.h"
#include "processor/operators/top_k.h"

namespace kappa::processor {
namespace {

constexpr std::uint64_t kListRowsMax = 128;  // A list is rewritten when a row comes in.
constexpr std::size_t kHeadBytes = sizeof(std::uint32_t) + sizeof(std::uint64_t);

struct ListedRow {
  OrderedRow row;
  bool ok = false;
};
ListedRow next_listed(ByteReader& in) {
  ListedRow listed;
  listed.row.order = in.text(static_cast<std::size_t>(in.varint()));
  listed.row.weight = static_cast<std::int64_t>(in.varint());
  listed.row.row = in.text(static_cast<std::size_t>(in.varint()));
  listed.ok = in.ok() && listed.row.weight > 0;
  return listed;
}

}  // namespace

RankedOutput::RankedOutput(const Plan& plan)
    : codec_(plan.input->output), gives_rank_(plan.top_k.gives_rank), out_(plan.output) {}

Status RankedOutput::give_difference(const Ranking& from, const Ranking& to, Operator* next) {
  Status status;
  for_each_difference(from.rows(), to.rows(), [&](const RankedRow& row, std::int64_t weight) {
    if (!status) return;
    status = codec_.decode(row.row, out_, 0);
    if (!status) return;
    if (gives_rank_) out_.set_int64(codec_.columns(), row.rank);
    status = out_.end_row(weight, next);
  });
  return status;
}

bool TopKListOperator::fits(const Plan& plan, bool append_only) {
  const TopK& top_k = plan.top_k;
  return append_only && top_k.function == RankFunction::kRowNumber && top_k.limit <= kListRowsMax &&
         top_k.offset <= kListRowsMax - top_k.limit;
}

TopKListOperator::TopKListOperator(const Plan& plan, StateStore& store, TableId table)
    : store_(store),
      table_(table),
      keep_(plan.top_k.limit + plan.top_k.offset),
      partition_(plan.top_k.partition),
      order_(plan.top_k.order),
      codec_(plan.input->output),
      out_(plan),
      from_(plan.top_k),
      to_(plan.top_k) {}

Status TopKListOperator::push(const ChangeBatch& batch) {
  partition_.prepare(batch);
  order_.prepare(batch);
  entries_.clear();
  Status status;
  for_each_row(batch, [&](std::uint32_t row) {
    if (!status) return;
    key_.clear();
    partition_.append(row, key_);
    const auto entry = store_.entry(table_, key_);
    if (!entry) {
      status = std::unexpected(entry.error());
      return;
    }
    entries_.push_back(*entry);
  });
  KAPPA_CHECK_OK(status);
  store_.begin_changes();
  touched_.clear();
  old_.clear();
  std::size_t index = 0;
  for_each_row(batch, [&](std::uint32_t row) {
    StateEntry& entry = *entries_[index++];
    const std::int64_t weight = batch.weight(row);
    if (!status || weight <= 0) return;
    order_bytes_.clear();
    static_cast<void>(order_.append(row, 0, order_bytes_));
    if (entry.exists) {
      const std::string_view value = entry.value;
      if (value.size() <= kHeadBytes) {
        status = damaged_state("a ranking");
        return;
      }
      const auto last_at = load_raw<std::uint32_t>(value.data());
      if (load_raw<std::uint64_t>(value.data() + sizeof(std::uint32_t)) >= keep_ && last_at < value.size()) {
        ByteReader in(as_bytes(value.substr(last_at)));
        const ListedRow last = next_listed(in);
        if (last.ok && order_bytes_ >= last.row.order) return;
      }
    }
    row_bytes_.clear();
    codec_.encode(batch, row, row_bytes_);
    if (entry.mark == 0) {
      touched_.push_back({&entry, old_.size(), entry.exists ? entry.value.size() : 0});
      if (entry.exists) old_.append(std::string_view(entry.value));
      entry.mark = static_cast<std::uint32_t>(touched_.size());
    }
    status = insert(entry, {order_bytes_, 0, row_bytes_, weight});
  });
  for (const Touched& one : touched_) one.entry->mark = 0;
  KAPPA_CHECK_OK(status);
  for (const Touched& one : touched_) {
    KAPPA_CHECK_OK(rank(std::string_view(old_).substr(one.begin, one.size), from_));
    KAPPA_CHECK_OK(rank(one.entry->value, to_));
    KAPPA_CHECK_OK(out_.give_difference(from_, to_, next()));
  }
  return out_.flush(next());
}

Status TopKListOperator::insert(StateEntry& entry, const OrderedRow& row) {
  value_.assign(kHeadBytes, '\0');
  std::uint64_t copies = 0;
  std::size_t last = 0;
  const auto keep = [&](const OrderedRow& one) {
    const std::uint64_t some = std::min(static_cast<std::uint64_t>(one.weight), keep_ - copies);
    if (some == 0) return;
    last = value_.size();
    append_varint(value_, one.order.size());
    value_.append(one.order);
    append_varint(value_, some);
    append_varint(value_, one.row.size());
    value_.append(one.row);
    copies += some;
  };
  bool placed = false;
  if (entry.exists) {
    ByteReader in(as_bytes(std::string_view(entry.value).substr(kHeadBytes)));
    while (in.remaining() > 0) {
      ListedRow listed = next_listed(in);
      if (!listed.ok) return damaged_state("a ranking");
      if (!placed) {
        const int order = row.order.compare(listed.row.order);
        const int either = order != 0 ? order : row.row.compare(listed.row.row);
        if (either == 0) listed.row.weight += row.weight;
        if (either < 0) keep(row);
        placed = either <= 0;
      }
      keep(listed.row);
    }
  }
  if (!placed) keep(row);
  store_raw(value_.data(), static_cast<std::uint32_t>(last));
  store_raw(value_.data() + sizeof(std::uint32_t), copies);
  entry.value.assign(value_);
  entry.exists = true;
  store_.changed(entry);
  return {};
}

Status TopKListOperator::rank(std::string_view value, Ranking& ranking) const {
  ranking.clear();
  if (value.empty()) return {};
  ByteReader in(as_bytes(value.substr(kHeadBytes)));
  while (in.remaining() > 0) {
    const ListedRow listed = next_listed(in);
    if (!listed.ok) return damaged_state("a ranking");
    if (!ranking.add(listed.row)) break;
  }
  return {};
}

}  // namespace kappa::processor
