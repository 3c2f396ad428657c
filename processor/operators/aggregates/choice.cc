// first, last, arg_min, arg_max: the value of the row that comes first or last in an order, NULL or not.
//
//   u32 length | variable: the order's bytes (sort_bytes.h), then the value's key bytes; empty: no row
//
// Rows that are equal in the order, what breaks ties included, go by their value, so that the choice never
// depends on how rows arrive. On append-only input the chosen row is all there is. Where rows are taken back,
// a side table holds every row in order, and the next one is looked up when the chosen one leaves.
#include <algorithm>

#include "processor/operators/aggregates/multiset.h"
#include "processor/operators/sort_bytes.h"
#include "processor/state/key_encoding.h"

namespace kappa::processor {
namespace {

class Choice final : public AggregateFunction {
 public:
  // `skip_null`: rows whose first key is NULL do not count. `rows`: nothing on append-only input.
  struct Options {
    bool last = false;
    bool skip_null = false;
  };
  Choice(const Aggregate& aggregate, Options options, MultisetTable::Use kept)
      : type_(aggregate.type), forms_(sort_forms(aggregate.order_by)), options_(options), kept_(kept) {}

  [[nodiscard]] std::size_t fixed_bytes() const override { return 4; }
  [[nodiscard]] bool has_variable() const override { return true; }

  [[nodiscard]] Status prepare(const AggregateRows& rows) override {
    if (!kept_.owner) return {};
    return kept_.table->prepare(kept_.slot, rows,
                                [&](std::uint32_t row, std::string& key) { return append(rows, row, key); });
  }

  [[nodiscard]] Status update(const AggregateRows& rows) override {
    if (kept_.table != nullptr) return update_retracting(rows);
    for (const std::uint32_t row : rows.rows) {
      key_.clear();
      if (!append(rows, row, key_)) continue;
      StateEntry& group = rows.group(row);
      if (beats(key_, current(group.value))) layout().set_variable(group.value, number(), key_);
    }
    return {};
  }

  [[nodiscard]] bool mergeable() const override { return kept_.table == nullptr; }
  [[nodiscard]] Status merge(EntryValue& into, std::string_view from) const override {
    const std::string_view key = current(from);
    if (!key.empty() && beats(key, current(into))) layout().set_variable(into, number(), key);
    return {};
  }

  [[nodiscard]] Expected<Value> result(std::string_view group) const override {
    std::string_view key = current(group);
    if (key.empty()) return Value::null(type_);
    KAPPA_CHECK_OK(skip_order(key));
    return read_key(key, type_);
  }
  [[nodiscard]] Status append_wire(std::string_view group, std::string& out) const override {
    std::string_view key = current(group);
    if (key.empty()) {
      encode_value(Value::null(type_), out);
      return {};
    }
    KAPPA_CHECK_OK(skip_order(key));
    return key_to_wire(key, type_, out);
  }

 private:
  // Leaves the value.
  [[nodiscard]] Status skip_order(std::string_view& key) const {
    if (skip_sort_keys(key, forms_)) return {};
    return fail(ErrorCode::kCorrupt, 3301, "the chosen row of a group is damaged", "the view is rebuilt from the log");
  }
  [[nodiscard]] bool append(const AggregateRows& rows, std::uint32_t row, std::string& key) const {
    if (options_.skip_null && !rows.order[0]->valid()[row]) return false;
    append_sort_keys(rows.order, row, forms_, key);
    append_key(*rows.arguments[0], row, key);
    return true;
  }

  [[nodiscard]] Status update_retracting(const AggregateRows& rows) {
    lost_.clear();
    if (kept_.owner) kept_.table->update(kept_.slot, rows);
    const std::vector<MultisetTable::Step>& steps = kept_.table->steps(kept_.slot);
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const MultisetTable::Step& step = steps[i];
      if (!step.came() && !step.went()) continue;
      StateEntry& group = rows.group(rows.rows[i]);
      const std::string_view key = step.entry->key.substr(group.key.size());
      if (step.came()) {
        if (beats(key, current(group.value))) layout().set_variable(group.value, number(), key);
      } else if (key == current(group.value)) {
        lost_.push_back(&group);
      }
    }
    // Once for each group, after the whole batch. A row that beat a lost one meanwhile is found too.
    std::ranges::sort(lost_);
    lost_.erase(std::ranges::unique(lost_).begin(), lost_.end());
    for (StateEntry* const group : lost_) {
      KAPPA_TRY(const auto next, kept_.table->first(group->key, {}, {}, options_.last));
      layout().set_variable(group->value, number(), next ? std::string_view(next->key) : std::string_view());
    }
    return {};
  }

  [[nodiscard]] bool beats(std::string_view key, std::string_view held) const {
    return held.empty() || (options_.last ? key > held : key < held);
  }
  [[nodiscard]] std::string_view current(std::string_view group) const {
    return layout().variable(group, number());
  }

  Type type_;
  std::vector<SortForm> forms_;
  Options options_;
  MultisetTable::Use kept_;
  std::vector<StateEntry*> lost_;  // Groups whose chosen row left.
  std::string key_;
};

}  // namespace

std::unique_ptr<AggregateFunction> make_choice(const AggregateContext& context) {
  const Aggregate& aggregate = context.aggregate;
  const Choice::Options options{aggregate.function == "last", aggregate.function.starts_with("arg_")};
  MultisetTable::Use kept;
  if (context.input == InputKind::kRetracting) {
    MultisetTable::Spec spec{aggregate.order_by, true, true, nullptr};
    spec.key.push_back({aggregate.arguments.at(0)});
    if (options.skip_null) spec.left_out = aggregate.order_by.at(0).expression;
    kept = context.multisets.use(context, std::move(spec));
  }
  return std::make_unique<Choice>(aggregate, options, kept);
}

}  // namespace kappa::processor
