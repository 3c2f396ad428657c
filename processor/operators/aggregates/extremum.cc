// min and max of any type. The state is the key bytes of the value, so that memcmp decides.
//
//   fixed-size types   1 + payload bytes; first byte 0: no value
//   TEXT, JSON         u32 length | variable: the key bytes; empty: no value
//
// On append-only input that is all. Where rows are taken back, a side table holds every value of the
// group in order, and the next one is looked up when the extreme value leaves.
#include <algorithm>

#include "processor/operators/aggregates/multiset.h"
#include "processor/state/key_encoding.h"

namespace kappa::processor {
namespace {

std::size_t key_bytes(Type type) {
  switch (physical_of(type.id)) {
    case Physical::kBool: return 2;
    case Physical::kInt64:
    case Physical::kDouble: return 9;
    case Physical::kInt128: return 17;
    case Physical::kText: return 0;
  }
  return 0;
}

class Extremum final : public AggregateFunction {
 public:
  // `values`: nothing on append-only input.
  Extremum(Type type, bool greatest, MultisetTable::Use values)
      : type_(type),
        bytes_(key_bytes(type)),
        greatest_(greatest),
        retracting_(values.table != nullptr),
        values_(values) {}

  [[nodiscard]] std::size_t fixed_bytes() const override { return has_variable() ? 4 : bytes_; }
  [[nodiscard]] bool has_variable() const override { return bytes_ == 0; }

  [[nodiscard]] Status prepare(const AggregateRows& rows) override {
    if (!values_.owner) return {};
    const Vector& argument = *rows.arguments[0];
    return values_.table->prepare(values_.slot, rows, [&](std::uint32_t row, std::string& key) {
      if (!argument.valid()[row]) return false;
      append_key(argument, row, key);
      return true;
    });
  }

  [[nodiscard]] Status update(const AggregateRows& rows) override {
    if (retracting_) return update_retracting(rows);
    if (physical_of(type_.id) == Physical::kInt64) {
      update_int64(rows);
      return {};
    }
    const Vector& argument = *rows.arguments[0];
    for (const std::uint32_t row : rows.rows) {
      if (!argument.valid()[row]) continue;
      key_.clear();
      append_key(argument, row, key_);
      StateEntry& group = rows.group(row);
      if (beats(key_, current(group.value))) set(group.value, key_);
    }
    return {};
  }

  [[nodiscard]] bool mergeable() const override { return !retracting_; }
  [[nodiscard]] Status merge(EntryValue& into, std::string_view from) const override {
    const std::string_view key = current(from);
    if (!key.empty() && beats(key, current(into))) set(into, key);
    return {};
  }
  [[nodiscard]] Expected<Value> result(std::string_view group) const override {
    std::string_view key = current(group);
    if (key.empty()) return Value::null(type_);
    return read_key(key, type_);
  }

 private:
  // The common case without building key bytes.
  void update_int64(const AggregateRows& rows) const {
    const Vector& argument = *rows.arguments[0];
    const std::uint8_t* const valid = argument.valid();
    const std::int64_t* const values = argument.data<std::int64_t>();
    for (const std::uint32_t row : rows.rows) {
      if (!valid[row]) continue;
      char* const at = block(rows.group(row));
      const std::uint64_t ordered = static_cast<std::uint64_t>(values[row]) ^ (std::uint64_t{1} << 63);
      const std::uint64_t held = __builtin_bswap64(load_raw<std::uint64_t>(at + 1));
      if (*at != 0 && (greatest_ ? ordered <= held : ordered >= held)) continue;
      *at = 1;
      store_raw(at + 1, __builtin_bswap64(ordered));
    }
  }

  [[nodiscard]] Status update_retracting(const AggregateRows& rows) {
    lost_.clear();
    if (values_.owner) values_.table->update(values_.slot, rows);
    const std::vector<MultisetTable::Step>& steps = values_.table->steps(values_.slot);
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const MultisetTable::Step& step = steps[i];
      if (!step.came() && !step.went()) continue;
      StateEntry& group = rows.group(rows.rows[i]);
      const std::string_view key = step.entry->key.substr(group.key.size());
      if (step.came()) {
        if (beats(key, current(group.value))) set(group.value, key);
      } else if (key == current(group.value)) {
        lost_.push_back(&group);
      }
    }
    // Once for each group, after the whole batch. A value that beat a lost one meanwhile is found too.
    std::ranges::sort(lost_);
    lost_.erase(std::ranges::unique(lost_).begin(), lost_.end());
    for (StateEntry* const group : lost_) {
      KAPPA_TRY(const auto next, values_.table->first(group->key, {}, {}, greatest_));
      set(group->value, next ? std::string_view(next->key) : std::string_view());
    }
    return {};
  }

  [[nodiscard]] bool beats(std::string_view key, std::string_view held) const {
    return held.empty() || (greatest_ ? key > held : key < held);
  }
  [[nodiscard]] std::string_view current(std::string_view group) const {
    if (has_variable()) return layout().variable(group, number());
    const char* const at = block(group);
    return *at == 0 ? std::string_view() : std::string_view(at, bytes_);
  }
  void set(EntryValue& group, std::string_view key) const {
    if (has_variable()) {
      layout().set_variable(group, number(), key);
    } else if (key.empty()) {
      std::memset(block(group), 0, bytes_);
    } else {
      std::memcpy(block(group), key.data(), bytes_);
    }
  }

  Type type_;
  std::size_t bytes_;
  bool greatest_;
  bool retracting_;
  MultisetTable::Use values_;
  std::vector<StateEntry*> lost_;  // Groups whose extreme value left.
  std::string key_;
};

}  // namespace

std::unique_ptr<AggregateFunction> make_extremum(const AggregateContext& context) {
  const ExpressionPtr& argument = context.aggregate.arguments.at(0);
  MultisetTable::Use values;
  if (context.input == InputKind::kRetracting)
    values = context.multisets.use(context, {{{argument}}, true, true, argument});
  return std::make_unique<Extremum>(argument->type, context.aggregate.function == "max", values);
}

}  // namespace kappa::processor
