// A catalog in memory, and SQL to values through the compiler and the evaluator.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "processor/sql/compile.h"
#include "processor/vector/evaluate.h"

namespace kappa::processor {

class MemoryCatalog : public CatalogReader {
 public:
  [[nodiscard]] std::shared_ptr<const StreamDefinition> stream(std::string_view name) const override {
    const auto found = streams_.find(std::string(name));
    return found == streams_.end() ? nullptr : found->second;
  }
  [[nodiscard]] std::optional<View> view(std::string_view name) const override {
    const auto found = views_.find(std::string(name));
    if (found == views_.end()) return std::nullopt;
    return found->second;
  }
  [[nodiscard]] std::vector<std::string> names() const override {
    std::vector<std::string> all;
    for (const auto& [name, stream] : streams_) all.push_back(name);
    for (const auto& [name, view] : views_) all.push_back(name);
    return all;
  }
  // Compiles every statement of a script and keeps what it creates.
  void run(std::string_view script) {
    for (const ScriptPiece& piece : split_script(script)) {
      auto statement = compile(piece.text, *this);
      ASSERT_TRUE(statement.has_value()) << piece.text << "\n" << to_string(statement.error());
      if (const auto* stream = std::get_if<CreateStream>(&*statement)) {
        streams_[stream->definition->name] = stream->definition;
      } else if (const auto* view = std::get_if<CreateView>(&*statement)) {
        views_[view->name] = {view->name, 1, std::make_shared<ViewPlan>(view->plan)};
      }
    }
  }

 private:
  std::map<std::string, std::shared_ptr<const StreamDefinition>> streams_;
  std::map<std::string, View> views_;
};

inline constexpr std::string_view kHits =
    "CREATE STREAM hits (ts TIMESTAMP, page TEXT, ms BIGINT, price NUMERIC(10,2), score DOUBLE, ok BOOLEAN, "
    "tag JSON,"
    " magType TEXT) WITH (event_time = 'ts');"
    "CREATE MATERIALIZED VIEW by_page AS SELECT page, count(*) AS n FROM hits GROUP BY page;";

// The error of a statement that must not compile.
inline Error error_of(std::string_view sql, const CatalogReader& catalog) {
  auto statement = compile(sql, catalog);
  if (statement) {
    ADD_FAILURE() << "compiled: " << sql;
    return {};
  }
  return statement.error();
}

// The value of an expression without columns.
inline Value value_of(const std::string& expression) {
  const MemoryCatalog catalog;
  auto statement = compile("SELECT " + expression, catalog);
  if (!statement) {
    ADD_FAILURE() << expression << "\n" << to_string(statement.error());
    return {};
  }
  return evaluate_constant(std::get<Select>(*statement).plan->expressions.at(0));
}
inline std::string text_of(const std::string& expression) {
  return display(value_of(expression));
}

}  // namespace kappa::processor
