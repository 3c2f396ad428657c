// CREATE STREAM: columns and their paths, options, and the WHERE that decides which events belong to
// the stream. WHERE may name top-level members that are not columns; their type follows from what they
// are compared with (TEXT when nothing says, JSON when only IS NULL asks).
#include <algorithm>
#include <map>

#include "processor/sql/lexer.h"
#include "processor/sql/planner.h"
#include "processor/sql/suggest.h"
#include "processor/vector/functions.h"
#include "proto/limits.h"

namespace kappa::processor::sql {
namespace {

const StreamColumn* declared(const std::vector<StreamColumn>& columns, const Name& name) {
  for (const StreamColumn& column : columns) {
    if (column.name == name.text) return &column;
  }
  return nullptr;
}

// Finds the members that WHERE names and their types.
class MemberTypes {
 public:
  explicit MemberTypes(const std::vector<StreamColumn>& columns) : columns_(columns) {}

  // `expected`: what the surroundings need the node to be; kNull when they do not say.
  void visit(const Node& node, Type expected) {
    switch (node.kind) {
      case NodeKind::kLiteral:
      case NodeKind::kStar: return;
      case NodeKind::kColumn:
        if (node.names.size() <= 2 && declared(columns_, node.names.back()) == nullptr)
          note(node.names.back(), expected);
        return;
      case NodeKind::kCast: return visit(*node.arguments[0], kTextType);
      case NodeKind::kCase:
        for (std::size_t i = 0; i < node.arguments.size(); ++i) {
          const bool condition = i % 2 == 0 && i + 1 < node.arguments.size();
          visit(*node.arguments[i], condition && !node.operand ? kBooleanType : expected);
        }
        if (node.operand) visit(*node.operand, sibling_type(node));
        return;
      case NodeKind::kCall: break;
    }
    const std::string& f = node.function;
    Type below{};
    if (f == "and" || f == "or" || f == "not" || f.starts_with("is true") || f.starts_with("is not true") ||
        f.starts_with("is false") || f.starts_with("is not false")) {
      below = kBooleanType;
    } else if (f == "is null" || f == "is not null") {
      below = kJsonType;
    } else if (f == "->" || f == "->>") {
      visit(*node.arguments[0], kJsonType);
      return visit(*node.arguments[1], kTextType);
    } else if (f == "=" || f == "<>" || f == "<" || f == "<=" || f == ">" || f == ">=" || f == "in" ||
               f == "+" || f == "-" || f == "*" || f == "/" || f == "%" || f == "negate" ||
               f.ends_with("distinct from")) {
      below = sibling_type(node);
      if (below.id == TypeId::kNull) below = expected;
    } else {
      below = kTextType;
    }
    for (const NodePtr& argument : node.arguments) visit(*argument, below);
  }

  struct Member {
    Name name;
    Type type;
  };
  [[nodiscard]] const std::vector<Member>& members() const { return members_; }

 private:
  // The type of a node if it is plain to see.
  [[nodiscard]] Type plain_type(const Node& node) const {
    switch (node.kind) {
      case NodeKind::kLiteral: return node.literal.type();
      case NodeKind::kCast: return node.target;
      case NodeKind::kColumn: {
        const StreamColumn* column = declared(columns_, node.names.back());
        return column != nullptr ? column->type : Type{};
      }
      case NodeKind::kCall:
        if (node.function == "negate" || node.function == "+" || node.function == "-" ||
            node.function == "*" || node.function == "/" || node.function == "%") {
          return sibling_type(node);
        }
        if (node.function == "->>" || node.function == "||") return kTextType;
        return {};
      case NodeKind::kCase:
      case NodeKind::kStar: break;
    }
    return {};
  }
  [[nodiscard]] Type sibling_type(const Node& node) const {
    Type best{};
    for (const NodePtr& argument : node.arguments) {
      const Type type = plain_type(*argument);
      // DOUBLE reads integers too: where both are near, it is the wider.
      if (best.id == TypeId::kNull || (best.id == TypeId::kBigint && type.id == TypeId::kDouble)) best = type;
    }
    return best;
  }
  void note(const Name& name, Type type) {
    // JSON only says "present": any other use knows better.
    const bool weak = type.id == TypeId::kNull || type.id == TypeId::kJson;
    for (Member& member : members_) {
      if (member.name.written != name.written) continue;
      if (!weak && (member.type.id == TypeId::kNull || member.type.id == TypeId::kJson)) member.type = type;
      return;
    }
    members_.push_back({name, type});
  }

  const std::vector<StreamColumn>& columns_;
  std::vector<Member> members_;
};

Status bind_options(const CreateStreamSyntax& syntax, StreamDefinition& stream, ReplaceOptions& replace) {
  static const std::vector<std::string> kOptions = {"topic", "event_time", "delay", "on_error", "cutover", "keep_old"};
  std::vector<std::string> seen;
  for (const Option& option : syntax.options) {
    const std::string& name = option.name.text;
    if (std::find(seen.begin(), seen.end(), name) != seen.end()) {
      return fail_at(option.name.place, ErrorCode::kInvalid, 2005, "the option " + name + " is given twice");
    }
    seen.push_back(name);
    if (name == "topic") {
      if (option.value.empty() || option.value.size() > limits::kTopicNameBytesMax) {
        return fail_at(option.value_place, ErrorCode::kInvalid, 2005,
                       "a topic's name has 1 to " + std::to_string(limits::kTopicNameBytesMax) + " bytes");
      }
      stream.topic = option.value;
    } else if (name == "event_time") {
      std::vector<std::string> known;
      for (std::size_t i = 0; i < stream.columns.size(); ++i) {
        known.push_back(stream.columns[i].name);
        const bool same =
            stream.columns[i].name == option.value || stream.columns[i].name == fold(option.value);
        if (same && !stream.event_time) stream.event_time = i;
      }
      if (!stream.event_time) {
        return fail_at(option.value_place, ErrorCode::kNotFound, 2006,
                       "event_time names no column: \"" + option.value + "\"",
                       did_you_mean(option.value, known));
      }
      const Type type = stream.columns[*stream.event_time].type;
      if (type.id != TypeId::kTimestamp) {
        return fail_at(option.value_place, ErrorCode::kInvalid, 2002,
                       "event_time must be a TIMESTAMP, \"" + option.value + "\" is " + to_string(type));
      }
    } else if (name == "delay") {
      const auto delay = parse_interval(option.value);
      if (!delay || *delay < 0) {
        return fail_at(option.value_place, ErrorCode::kInvalid, 2002,
                       "'" + option.value + "' is not a valid delay", "for example delay = '5 seconds'");
      }
      stream.delay_micros = *delay;
    } else if (name == "on_error") {
      if (option.value != "dead_letter" && option.value != "null") {
        return fail_at(option.value_place, ErrorCode::kInvalid, 2005,
                       "on_error is 'null' or 'dead_letter', not '" + option.value + "'",
                       did_you_mean(option.value, {"null", "dead_letter"}));
      }
      stream.dead_letter = option.value == "dead_letter";
    } else if (is_replace_option(name)) {
      KAPPA_CHECK_OK(read_replace_option(option, replace));
    } else {
      std::string hint = did_you_mean(name, kOptions);
      if (hint.empty()) hint = "options: topic, event_time, delay, on_error, cutover, keep_old";
      return fail_at(option.name.place, ErrorCode::kInvalid, 2005, "a stream has no option \"" + name + "\"",
                     std::move(hint));
    }
  }
  return {};
}

Status bind_where(const NodePtr& where, StreamDefinition& stream) {
  Scope scope;
  scope.what = "stream \"" + stream.name + "\"";
  for (std::size_t i = 0; i < stream.columns.size(); ++i) {
    scope.columns.push_back({stream.columns[i].name, make_column(i, stream.columns[i].type), false, 1, stream.name});
  }
  MemberTypes types(stream.columns);
  types.visit(*where, kBooleanType);
  for (const auto& member : types.members()) {
    for (const std::string_view pseudo : {"_offset", "_seq", "_key", "_append_time"}) {
      if (member.name.text != pseudo) continue;
      return fail_at(member.name.place, ErrorCode::kInvalid, 2005,
                     "the WHERE of a stream cannot use " + member.name.text,
                     "put it into the WHERE of the views");
    }
    const Type type = member.type.id == TypeId::kNull ? kTextType : member.type;
    StreamColumn hidden;
    hidden.name = member.name.text;
    hidden.type = type;
    hidden.path.push_back({member.name.written, 0});
    scope.columns.push_back(
        {hidden.name, make_column(stream.columns.size() + stream.hidden.size(), type), false, 1, stream.name});
    stream.hidden.push_back(std::move(hidden));
  }
  BindContext context;
  context.in_view = true;  // What belongs to a stream must not depend on the clock.
  ExpressionBinder binder(scope, context, {"WHERE", nullptr, nullptr});
  KAPPA_TRY(stream.where, binder.bind_condition(where));
  return {};
}

}  // namespace

Expected<std::vector<StreamColumn::Step>> parse_path(const std::string& path, SourcePlace place) {
  const auto bad = [&](std::string message) {
    return fail_at(place, ErrorCode::kInvalid, 2001, "path '" + path + "': " + std::move(message),
                   "for example '$.user.tags[0]' or '$.\"odd name\"'");
  };
  std::vector<StreamColumn::Step> steps;
  if (path.empty() || path[0] != '$') return bad("must start with $");
  std::size_t at = 1;
  // A quoted member from `at` (the quote) on; \" and \\ are escapes.
  const auto quoted = [&](char quote, std::string& out) {
    for (++at; at < path.size() && path[at] != quote; ++at) {
      if (path[at] == '\\' && at + 1 < path.size()) ++at;
      out += path[at];
    }
    return at < path.size() && path[at++] == quote;
  };
  while (at < path.size()) {
    StreamColumn::Step step;
    if (path[at] == '.') {
      ++at;
      std::string member;
      if (at < path.size() && path[at] == '"') {
        if (!quoted('"', member)) return bad("the quoted name does not end");
      } else {
        while (at < path.size() && std::string_view(".[]\"' \t\n").find(path[at]) == std::string_view::npos)
          member += path[at++];
        if (member.empty()) return bad("a name is missing after the point");
      }
      step.member = std::move(member);
    } else if (path[at] == '[') {
      ++at;
      if (at < path.size() && (path[at] == '"' || path[at] == '\'')) {
        std::string member;
        if (!quoted(path[at], member)) return bad("the quoted name does not end");
        step.member = std::move(member);
      } else {
        std::uint64_t index = 0;
        const std::size_t start = at;
        while (at < path.size() && path[at] >= '0' && path[at] <= '9' && index <= UINT32_MAX) {
          index = index * 10 + static_cast<std::uint64_t>(path[at++] - '0');
        }
        if (at == start || index > UINT32_MAX) return bad("an array index is a number from 0");
        step.index = static_cast<std::uint32_t>(index);
      }
      if (at >= path.size() || path[at] != ']') return bad("] is missing");
      ++at;
    } else {
      return bad("unexpected '" + path.substr(at, 1) + "'");
    }
    steps.push_back(std::move(step));
    if (steps.size() > limits::kJsonDepthMax) return bad("it is deeper than JSON may be");
  }
  if (steps.empty()) return bad("it names no member");
  return steps;
}

Expected<CreateStream> bind_stream(const CreateStreamSyntax& syntax, const CatalogReader& catalog) {
  KAPPA_CHECK_OK(check_new_name(syntax.name, syntax.if_not_exists || syntax.or_replace, catalog));
  auto stream = std::make_shared<StreamDefinition>();
  stream->name = syntax.name.text;
  stream->topic = syntax.name.text;
  if (syntax.columns.size() > limits::kColumnsMax) {
    return fail_at(syntax.name.place, ErrorCode::kTooLarge, 2009,
                   "a stream has at most " + std::to_string(limits::kColumnsMax) + " columns");
  }
  for (const ColumnDefinition& column : syntax.columns) {
    if (declared(stream->columns, column.name) != nullptr) {
      return fail_at(column.name.place, ErrorCode::kExists, 2007,
                     "column \"" + column.name.text + "\" is there twice");
    }
    if (column.name.text.starts_with('_')) {
      for (const std::string_view pseudo : {"_offset", "_seq", "_key", "_append_time"}) {
        if (column.name.text != pseudo) continue;
        return fail_at(column.name.place, ErrorCode::kExists, 2007,
                       "every stream has a column " + column.name.text + " already",
                       "choose another name and read the member with PATH");
      }
    }
    StreamColumn bound;
    bound.name = column.name.text;
    bound.type = column.type;
    if (column.path) {
      KAPPA_TRY(bound.path, parse_path(*column.path, column.path_place));
    } else {
      bound.path.push_back({column.name.written, 0});
    }
    stream->columns.push_back(std::move(bound));
  }
  ReplaceOptions replace;
  KAPPA_CHECK_OK(bind_options(syntax, *stream, replace));
  if (syntax.where) KAPPA_CHECK_OK(bind_where(syntax.where, *stream));
  return CreateStream{std::move(stream), {}, {}, syntax.if_not_exists, syntax.or_replace, replace};
}

}  // namespace kappa::processor::sql
