// Recursive descent over the tokens of one statement; operators by precedence level, as in PostgreSQL.
//
// The whole language of docs/sql.md is parsed, including what this version cannot run: that is noted
// (later()) and refused once the text is known to be well formed. Recursion is bounded by
// limits::kSqlNestingMax, the depth of operator chains by kExpressionDepthMax.
//
// parser_expressions.cc, parser_select.cc and parser_statements.cc hold the parts.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "processor/sql/ast.h"
#include "processor/sql/lexer.h"
#include "proto/limits.h"

namespace kappa::processor::sql {

// Left-deep chains (a + b + c + ...) do not nest the parser but do nest every walk over the tree.
inline constexpr std::size_t kExpressionDepthMax = 5 * limits::kSqlNestingMax;

// Parses exactly one statement, a trailing semicolon included. kInvalid 2001, 2002 (a type or literal
// that does not exist), 2005 (statements of other databases); kTooLarge 2009 (nesting).
[[nodiscard]] Expected<StatementSyntax> parse(std::string_view sql);

class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}
  [[nodiscard]] Expected<StatementSyntax> statement();

 private:
  // --- cursor ---
  [[nodiscard]] const Token& peek(std::size_t ahead = 0) const;
  const Token& next();
  // Keywords are unquoted names, symbols are symbols: one spelling for both.
  [[nodiscard]] bool at(std::string_view word, std::size_t ahead = 0) const;
  [[nodiscard]] bool at_words(std::initializer_list<std::string_view> words) const;
  bool take(std::string_view word);
  bool take_words(std::initializer_list<std::string_view> words);
  [[nodiscard]] Status expect(std::string_view word);
  [[nodiscard]] std::unexpected<Error> unexpected(std::string expected) const;
  void later(std::string construct, SourcePlace place);
  // Bounds recursion: one guard per nesting function.
  class Nesting {
   public:
    explicit Nesting(Parser& parser) : parser_(parser) { ++parser_.nesting_; }
    ~Nesting() { --parser_.nesting_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

   private:
    Parser& parser_;
  };
  [[nodiscard]] Status check_nesting() const;

  [[nodiscard]] Expected<Name> name(std::string_view what);
  // "@" and a number, or nothing.
  [[nodiscard]] Expected<std::optional<std::uint32_t>> version();
  [[nodiscard]] Expected<std::string> text_literal(std::string_view what);
  [[nodiscard]] Expected<std::uint64_t> count_literal(std::string_view what);

  // --- expressions ---
  [[nodiscard]] Expected<NodePtr> expression();
  [[nodiscard]] Expected<NodePtr> or_level();
  [[nodiscard]] Expected<NodePtr> and_level();
  [[nodiscard]] Expected<NodePtr> not_level();
  [[nodiscard]] Expected<NodePtr> is_level();
  [[nodiscard]] Expected<NodePtr> comparison_level();
  [[nodiscard]] Expected<NodePtr> range_level();
  [[nodiscard]] Expected<NodePtr> other_operator_level();
  [[nodiscard]] Expected<NodePtr> additive_level();
  [[nodiscard]] Expected<NodePtr> multiplicative_level();
  [[nodiscard]] Expected<NodePtr> power_level();
  [[nodiscard]] Expected<NodePtr> unary_level();
  [[nodiscard]] Expected<NodePtr> cast_level();
  [[nodiscard]] Expected<NodePtr> primary();
  [[nodiscard]] Expected<NodePtr> number();
  [[nodiscard]] Expected<NodePtr> name_or_call();
  [[nodiscard]] Expected<NodePtr> call(Name function);
  [[nodiscard]] Expected<NodePtr> call_suffixes(Node node, std::size_t start);
  [[nodiscard]] Expected<NodePtr> special_call(std::string_view function, std::size_t start);
  [[nodiscard]] Expected<NodePtr> case_expression();
  [[nodiscard]] Expected<NodePtr> interval();
  [[nodiscard]] bool starts_typed_literal() const;
  [[nodiscard]] Expected<NodePtr> typed_literal();
  [[nodiscard]] Expected<NodePtr> in_list(NodePtr value, bool negated, SourcePlace place, std::size_t start);
  [[nodiscard]] Expected<std::shared_ptr<const WindowSpecification>> window_specification();
  [[nodiscard]] Expected<Type> type_name();
  [[nodiscard]] Expected<NodePtr> finish(Node node, std::size_t start);
  [[nodiscard]] Expected<NodePtr> operation(std::string function, SourcePlace place,
                                            std::vector<NodePtr> arguments, std::size_t start);
  [[nodiscard]] Expected<NodePtr> balanced(std::string_view function, std::vector<NodePtr> operands,
                                           std::vector<SourcePlace> places, std::size_t start);

  // --- select ---
  [[nodiscard]] Expected<QueryPtr> query();
  [[nodiscard]] Expected<Query> select_core();
  [[nodiscard]] Expected<SelectItem> select_item();
  [[nodiscard]] Expected<FromSyntax> from_clause();
  [[nodiscard]] Expected<TableRef> table_primary();
  [[nodiscard]] Expected<TableRef> window_table(std::string_view function);
  [[nodiscard]] Expected<NodePtr> window_time();
  [[nodiscard]] Expected<std::optional<Name>> alias();
  [[nodiscard]] Expected<std::vector<OrderItem>> order_list();
  [[nodiscard]] Expected<EmitSyntax> emit_clause();

  // --- statements ---
  using Body = decltype(StatementSyntax::statement);
  [[nodiscard]] Expected<Body> body();
  [[nodiscard]] Expected<Body> create();
  [[nodiscard]] Expected<Body> create_stream(bool or_replace);
  [[nodiscard]] Expected<Body> create_table(bool or_replace);
  [[nodiscard]] Expected<Body> create_view(bool or_replace);
  [[nodiscard]] Expected<Body> alter();
  [[nodiscard]] Expected<Body> drop();
  [[nodiscard]] Expected<Body> show();
  [[nodiscard]] Expected<ColumnDefinition> column_definition();
  [[nodiscard]] Expected<std::vector<Option>> options();
  [[nodiscard]] Expected<bool> if_not_exists();

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  std::size_t nesting_ = 0;
  std::optional<StatementSyntax::Later> later_;
};

}  // namespace kappa::processor::sql
