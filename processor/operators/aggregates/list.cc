// string_agg and array_agg: the elements of a group in order (element_list.h), up to kAggregateListBytesMax
// of them; above it the value is NULL, because a part of a list would look like a list.
//
//   u32 length | i64 elements | i64 bytes they cost | u32 where the last one begins | variable: the list
//
// On append-only input a list that is over its bound will never come back: elements and bytes are -1, nothing
// else is kept. Where rows are taken back, a side table holds every element, elements and bytes are exact,
// and the list is read from there again when it is back within the bound. The list is empty while it is over.
#include <algorithm>

#include "processor/operators/aggregates/element_list.h"
#include "processor/operators/aggregates/multiset.h"
#include "processor/operators/sort_bytes.h"
#include "processor/state/key_encoding.h"
#include "proto/limits.h"

namespace kappa::processor {
namespace {

using element_list::Element;

std::unexpected<Error> damaged() {
  return fail(ErrorCode::kCorrupt, 3301, "the list of a group is damaged",
              "the view is rebuilt from the log");
}

class List final : public AggregateFunction {
 public:
  List(const Aggregate& aggregate, MultisetTable::Use kept)
      : type_(aggregate.type),
        element_type_(aggregate.arguments.at(0)->type),
        forms_(sort_forms(aggregate.order_by)),
        once_(aggregate.distinct),
        kept_(kept) {
    if (!aggregate.parameters.empty()) delimiter_ = aggregate.parameters[0].as_text();
  }

  [[nodiscard]] std::size_t fixed_bytes() const override { return 24; }
  [[nodiscard]] bool has_variable() const override { return true; }

  [[nodiscard]] Status prepare(const AggregateRows& rows) override {
    if (!kept_.owner) return {};
    return kept_.table->prepare(kept_.slot, rows,
                                [&](std::uint32_t row, std::string& key) { return append(rows, row, key); });
  }

  [[nodiscard]] Status update(const AggregateRows& rows) override {
    gather(rows);
    std::ranges::sort(changes_, [](const Change& a, const Change& b) {
      return a.group != b.group ? a.group < b.group : a.element.key < b.element.key;
    });
    for (std::size_t at = 0; at < changes_.size();) {
      StateEntry& group = *changes_[at].group;
      of_group_.clear();
      for (; at < changes_.size() && changes_[at].group == &group; ++at) {
        const Element& change = changes_[at].element;
        if (of_group_.empty() || of_group_.back().key != change.key)
          of_group_.push_back(change);
        else
          of_group_.back().copies += change.copies;
      }
      std::erase_if(of_group_, [](const Element& element) { return element.copies == 0; });
      KAPPA_CHECK_OK(kept_.table == nullptr ? add(group.value, of_group_) : change(group));
    }
    return {};
  }

  [[nodiscard]] bool mergeable() const override { return kept_.table == nullptr; }
  [[nodiscard]] Status merge(EntryValue& into, std::string_view from) const override {
    if (is_over(from)) {
      set_over(into);
      return {};
    }
    std::vector<Element> elements;
    std::string_view list = layout().variable(from, number());
    while (const auto element = element_list::take(list)) elements.push_back(*element);
    return add(into, elements);
  }

  [[nodiscard]] Expected<Value> result(std::string_view group) const override {
    std::string_view list = layout().variable(group, number());
    if (list.empty()) return Value::null(type_);
    const bool json = type_.id == TypeId::kJson;
    std::string text;
    while (const auto element = element_list::take(list)) {
      std::string_view key = element->key;
      if (!skip_sort_keys(key, forms_)) return damaged();
      KAPPA_TRY(const Value value, read_key(key, element_type_));
      for (std::int64_t copy = 0; copy < element->copies; ++copy) {
        if (json) {
          text += text.empty() ? "[" : ",";
          append_json(value, text);
        } else {
          text += value.as_text();
          text += delimiter_;
        }
      }
    }
    if (!list.empty()) return damaged();
    if (json) return Value::json(text + "]");
    text.resize(text.size() - delimiter_.size());
    return Value::text(std::move(text));
  }

 private:
  static constexpr std::size_t kElements = 4;
  static constexpr std::size_t kCost = 12;
  static constexpr std::size_t kLast = 20;
  struct Change {
    StateEntry* group;
    Element element;
  };

  [[nodiscard]] bool append(const AggregateRows& rows, std::uint32_t row, std::string& key) const {
    const Vector& argument = *rows.arguments[0];
    if (type_.id == TypeId::kText && !argument.valid()[row]) return false;
    append_sort_keys(rows.order, row, forms_, key);
    append_key(argument, row, key);
    return true;
  }

  // What the rows change, one for each.
  void gather(const AggregateRows& rows) {
    changes_.clear();
    if (kept_.table != nullptr) {
      if (kept_.owner) kept_.table->update(kept_.slot, rows);
      const std::vector<MultisetTable::Step>& steps = kept_.table->steps(kept_.slot);
      for (std::size_t i = 0; i < steps.size(); ++i) {
        if (steps[i].entry == nullptr) continue;
        StateEntry& group = rows.group(rows.rows[i]);
        const std::int64_t more = once_ ? steps[i].came() - steps[i].went() : steps[i].more();
        if (more != 0) changes_.push_back({&group, {steps[i].entry->key.substr(group.key.size()), more}});
      }
      return;
    }
    keys_.clear();
    ends_.clear();
    for (const std::uint32_t row : rows.rows) {
      if (is_over(rows.group(row).value) || !append(rows, row, keys_)) continue;
      changes_.push_back({&rows.group(row), {{}, once_ ? 1 : rows.weight(row)}});
      ends_.push_back(keys_.size());
    }
    for (std::size_t i = 0, begin = 0; i < ends_.size(); begin = ends_[i++])
      changes_[i].element.key = std::string_view(keys_).substr(begin, ends_[i] - begin);
  }

  // Append-only input: more elements, ascending.
  [[nodiscard]] Status add(EntryValue& group, std::vector<Element>& elements) const {
    if (is_over(group) || elements.empty()) return {};
    if (once_) {
      for (Element& element : elements) element.copies = 1;
    }
    const std::string_view list = layout().variable(group, number());
    std::string longer;
    std::string_view last =
        list.substr(std::min<std::size_t>(load_raw<std::uint32_t>(block(group) + kLast), list.size()));
    const auto held = element_list::take(last);
    if (!held || held->key < elements.front().key) {
      longer = list;  // Log order: all of them come behind what there is.
      for (const Element& element : elements) element_list::append(longer, element);
    } else {
      longer = element_list::merged(list, elements, once_);
    }
    set(group, longer);
    if (load_raw<std::int64_t>(block(group) + kCost) > kCostMax) set_over(group);
    return {};
  }

  // Input that takes rows back: what of_group_ says, in a group whose side table is up to date.
  [[nodiscard]] Status change(StateEntry& group) {
    const auto cost = load_raw<std::int64_t>(block(group) + kCost);
    auto elements = load_raw<std::int64_t>(block(group) + kElements);
    std::int64_t now = cost;
    for (const Element& element : of_group_) {
      now += element.copies * cost_of(element);
      elements += element.copies;
    }
    if (now > kCostMax) {
      layout().set_variable(group.value, number(), {});
      store_raw(block(group) + kElements, elements);
      store_raw(block(group) + kCost, now);
      store_raw<std::uint32_t>(block(group) + kLast, 0);
      return {};
    }
    if (cost <= kCostMax) {
      set(group.value, element_list::merged(layout().variable(group.value, number()), of_group_, false));
      return {};
    }
    std::string list;
    KAPPA_TRY(MultisetTable::Walk walk, kept_.table->walk(group.key, {}, {}, false));
    for (;;) {
      KAPPA_TRY(const auto member, walk.next());
      if (!member) break;
      element_list::append(list, {member->key, once_ ? 1 : member->count});
    }
    set(group.value, list);
    return {};
  }

  // Writes the list and what follows from it.
  void set(EntryValue& group, std::string_view list) const {
    std::int64_t elements = 0;
    std::int64_t cost = 0;
    std::size_t last = 0;
    for (std::string_view rest = list; !rest.empty();) {
      const std::size_t at = list.size() - rest.size();
      const auto element = element_list::take(rest);
      if (!element) break;
      last = at;
      elements += element->copies;
      cost += element->copies * cost_of(*element);
    }
    layout().set_variable(group, number(), list);
    store_raw(block(group) + kElements, elements);
    store_raw(block(group) + kCost, cost);
    store_raw(block(group) + kLast, static_cast<std::uint32_t>(last));
  }
  [[nodiscard]] std::int64_t cost_of(const Element& element) const {
    return static_cast<std::int64_t>(element_list::kHeaderBytes + element.key.size() + delimiter_.size());
  }
  [[nodiscard]] bool is_over(std::string_view group) const {
    return load_raw<std::int64_t>(block(group) + kElements) < 0;
  }
  void set_over(EntryValue& group) const {
    layout().set_variable(group, number(), {});
    store_raw<std::int64_t>(block(group) + kElements, -1);
    store_raw<std::int64_t>(block(group) + kCost, -1);
    store_raw<std::uint32_t>(block(group) + kLast, 0);
  }

  static constexpr auto kCostMax = static_cast<std::int64_t>(limits::kAggregateListBytesMax);
  Type type_;
  Type element_type_;
  std::vector<SortForm> forms_;
  bool once_;
  std::string delimiter_;
  MultisetTable::Use kept_;

  // Of the batch at hand.
  std::vector<Change> changes_;
  std::vector<Element> of_group_;
  std::string keys_;
  std::vector<std::size_t> ends_;
};

}  // namespace

std::unique_ptr<AggregateFunction> make_list(const AggregateContext& context) {
  const Aggregate& aggregate = context.aggregate;
  MultisetTable::Use kept;
  if (context.input == InputKind::kRetracting) {
    MultisetTable::Spec spec{aggregate.order_by, true, true, nullptr};
    spec.key.push_back({aggregate.arguments.at(0)});
    if (aggregate.function == "string_agg") spec.left_out = aggregate.arguments[0];
    kept = context.multisets.use(context, std::move(spec));
  }
  return std::make_unique<List>(aggregate, kept);
}

}  // namespace kappa::processor
