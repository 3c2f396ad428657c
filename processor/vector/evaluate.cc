// The evaluator: a flat list of steps, one vector each, kept across batches.
#include "processor/vector/evaluate.h"

#include <algorithm>
#include <functional>
#include <unordered_map>

#include "processor/sql/expression_tools.h"
#include "processor/vector/functions.h"

namespace kappa::processor {

struct ExpressionEvaluator::Step {
  const Expression* node = nullptr;
  std::vector<std::size_t> arguments;  // Earlier steps.
  Vector result;                       // Of calls, and of constants (filled once).
  std::shared_ptr<const void> state;
};

// Steps by node, and by a hash of what they compute.
struct ExpressionEvaluator::Seen {
  std::unordered_map<const Expression*, std::size_t> nodes;
  std::unordered_multimap<std::size_t, std::size_t> steps;
};

namespace {

std::size_t mixed(std::size_t hash, std::size_t more) {
  return (hash ^ more) * 0x9e3779b97f4a7c15 + (hash >> 29);
}

std::size_t hash_of(const Expression& node, const std::vector<std::size_t>& arguments) {
  std::size_t hash = mixed(static_cast<std::size_t>(node.kind), static_cast<std::size_t>(node.type.id));
  switch (node.kind) {
    case ExpressionKind::kColumn: return mixed(hash, node.column);
    case ExpressionKind::kConstant: return mixed(hash, std::hash<std::string>{}(display(node.constant)));
    case ExpressionKind::kCall: break;
  }
  hash = mixed(hash, std::hash<const void*>{}(node.function));
  for (const std::size_t argument : arguments) hash = mixed(hash, argument);
  return hash;
}

}  // namespace

ExpressionEvaluator::ExpressionEvaluator(ExpressionPtr expression) : expression_(std::move(expression)) {
  Seen seen;
  add(expression_, seen);
  values_.resize(steps_.size());
}
ExpressionEvaluator::~ExpressionEvaluator() = default;
ExpressionEvaluator::ExpressionEvaluator(ExpressionEvaluator&&) noexcept = default;
ExpressionEvaluator& ExpressionEvaluator::operator=(ExpressionEvaluator&&) noexcept = default;

std::size_t ExpressionEvaluator::add(const ExpressionPtr& node, Seen& seen) {
  const auto found = seen.nodes.find(node.get());
  if (found != seen.nodes.end()) return found->second;
  Step step;
  step.node = node.get();
  step.result = Vector(node->type);
  std::size_t read = node->arguments.size();
  if (node->kind == ExpressionKind::kCall && node->function->prepare != nullptr) {
    step.state = node->function->prepare(*node);
    if (step.state != nullptr) read = std::min(read, node->function->arguments_with_state);
  }
  for (std::size_t i = 0; i < read; ++i) step.arguments.push_back(add(node->arguments[i], seen));
  // SQL text repeats itself: hour(ts) in every branch of a CASE is one step. Arguments that are steps
  // are equal when the steps are; the others are constants, few of them shared.
  const std::size_t hash = hash_of(*node, step.arguments);
  const auto [first, last] = seen.steps.equal_range(hash);
  for (auto same = first; same != last; ++same) {
    const Step& other = steps_[same->second];
    const Expression& a = *other.node;
    if (a.kind != node->kind || a.type != node->type || other.arguments != step.arguments ||
        a.arguments.size() != node->arguments.size())
      continue;
    if (a.column != node->column || a.constant != node->constant || a.function != node->function) continue;
    bool equal = true;
    for (std::size_t i = read; i < node->arguments.size() && equal; ++i) {
      equal = sql::equal(*a.arguments[i], *node->arguments[i]);
    }
    if (!equal) continue;
    seen.nodes.emplace(node.get(), same->second);
    return same->second;
  }
  const std::size_t index = steps_.size();
  steps_.push_back(std::move(step));
  seen.nodes.emplace(node.get(), index);
  seen.steps.emplace(hash, index);
  return index;
}

namespace {

// Grows a constant's vector to `count` equal values; text points into the expression itself.
void fill_constant(const Expression& node, Vector& out, std::size_t count) {
  const std::size_t before = out.size();
  if (before >= count) return;
  out.resize(count);
  if (node.constant.is_null()) return;
  std::fill(out.valid() + before, out.valid() + count, std::uint8_t{1});
  const auto fill = [&]<class T>(T* data, T value) { std::fill(data + before, data + count, value); };
  switch (physical_of(node.type.id)) {
    case Physical::kBool: fill(out.data<std::uint8_t>(), std::uint8_t{node.constant.as_bool()}); break;
    case Physical::kInt64: fill(out.data<std::int64_t>(), node.constant.as_int64()); break;
    case Physical::kDouble: fill(out.data<double>(), node.constant.as_double()); break;
    case Physical::kInt128: fill(out.data<Int128>(), node.constant.as_int128()); break;
    case Physical::kText:
      fill(out.data<std::string_view>(), std::string_view(node.constant.as_text()));
      break;
  }
}

// Selected rows where the result is NULL though no argument is.
std::uint64_t count_failures(const ChangeBatch& batch, const std::vector<const Vector*>& arguments,
                             const Vector& result) {
  const std::uint8_t* valid = result.valid();
  if (std::find(valid, valid + batch.count, std::uint8_t{0}) == valid + batch.count) return 0;
  std::uint64_t failures = 0;
  for_each_row(batch, [&](std::uint32_t row) {
    if (valid[row] != 0) return;
    for (const Vector* argument : arguments) {
      if (argument->valid()[row] == 0) return;
    }
    ++failures;
  });
  return failures;
}

}  // namespace

void ExpressionEvaluator::run(const ChangeBatch& batch) {
  if (batch.arena == nullptr) arena_.reset();
  Arena& arena = batch.arena != nullptr ? *batch.arena : arena_;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    Step& step = steps_[i];
    const Expression& node = *step.node;
    switch (node.kind) {
      case ExpressionKind::kColumn: values_[i] = batch.columns[node.column]; break;
      case ExpressionKind::kConstant:
        fill_constant(node, step.result, batch.count);
        values_[i] = &step.result;
        break;
      case ExpressionKind::kCall: {
        if (step.result.size() < batch.count) step.result.resize(batch.count);
        arguments_.clear();
        for (const std::size_t argument : step.arguments) arguments_.push_back(values_[argument]);
        KernelCall call{node, arguments_, batch, step.result, arena, step.state.get()};
        node.function->kernel(call);
        failures_ += call.failures;
        if (node.function->fallible) failures_ += count_failures(batch, arguments_, step.result);
        values_[i] = &step.result;
        break;
      }
    }
  }
}

const Vector& ExpressionEvaluator::evaluate(const ChangeBatch& batch) {
  run(batch);
  return *values_.back();
}

void ExpressionEvaluator::filter(const ChangeBatch& batch, Selection& out) {
  run(batch);
  const Vector& result = *values_.back();
  const std::uint8_t* valid = result.valid();
  const std::uint8_t* truth = result.data<std::uint8_t>();
  out.resize(batch.selected());
  std::size_t kept = 0;
  // Branch-free: the position is written always and kept only when the predicate is true.
  for_each_row(batch, [&](std::uint32_t row) {
    out[kept] = row;
    kept += static_cast<std::size_t>(valid[row] & truth[row]);
  });
  out.resize(kept);
}

Value evaluate_constant(const ExpressionPtr& expression) {
  ExpressionEvaluator evaluator(expression);
  ChangeBatch batch;
  batch.count = 1;
  return evaluator.evaluate(batch).value(0);
}

}  // namespace kappa::processor
