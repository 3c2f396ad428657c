// Who may do what: logging in with a token, tokens that end, and what a statement would read.
#include "serving/access.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <vector>

#include "processor/sql/parser.h"
#include "serving/core.h"

namespace kappa::serving {

namespace {

namespace sql = processor::sql;

// How soon a revoked or expired token ends its connections.
constexpr std::chrono::milliseconds kTokensInterval{250};

Timestamp now() {
  return Timestamp(std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
                       .count());
}

// Names behind FROM that are not of this query's own WITH. `with`: those in sight.
void names_of(const sql::Query& query, std::vector<std::string> with, std::vector<std::string>& names);

void names_of(const sql::TableRef& table, const std::vector<std::string>& with, std::vector<std::string>& names) {
  if (table.subquery) return names_of(*table.subquery, with, names);
  if (std::ranges::find(with, table.name.text) == with.end()) names.push_back(table.name.text);
}

void names_of(const sql::Query& query, std::vector<std::string> with, std::vector<std::string>& names) {
  for (const auto& [name, inner] : query.with) {
    names_of(*inner, with, names);  // Those before it, not itself.
    with.push_back(name.text);
  }
  if (query.from) {
    names_of(query.from->first, with, names);
    for (const sql::JoinSyntax& join : query.from->joins) names_of(join.table, with, names);
  }
  for (const sql::Query::Union& member : query.unions) names_of(*member.query, with, names);
}

}  // namespace

Error forbidden(std::string_view what, std::string_view scope) {
  return Error{ErrorCode::kInvalid, 4013, "the token does not allow " + std::string(what),
               "it needs the scope " + std::string(scope), 0, {}};
}

Expected<std::vector<std::string>> names_read(std::string_view statement) {
  KAPPA_TRY(const sql::StatementSyntax syntax, sql::parse(statement));
  if (const auto* query = std::get_if<sql::QueryPtr>(&syntax.statement)) {
    std::vector<std::string> names;
    names_of(**query, {}, names);
    return names;
  }
  if (const auto* describe = std::get_if<sql::DescribeSyntax>(&syntax.statement))
    return std::vector<std::string>{describe->name.text};
  return std::unexpected(forbidden("this statement", "admin"));
}

Status may_run(const Token& token, std::string_view statement) {
  if (token.admin()) return {};
  KAPPA_TRY(const std::vector<std::string> names, names_read(statement));
  for (const std::string& name : names) {
    if (!token.may_read(name)) return std::unexpected(forbidden("reading \"" + name + "\"", "read:" + name));
  }
  return {};
}

std::string_view without_version(std::string_view view) {
  const std::size_t at = view.rfind('@');
  const bool version = at != std::string_view::npos && at + 1 < view.size() &&
                       view.find_first_not_of("0123456789", at + 1) == std::string_view::npos;
  return version ? view.substr(0, at) : view;
}

Error Core::denied(Error why) {
  ++denied_total_;
  return why;
}

Error Core::denied_append(std::string_view topic) {
  const std::string name(topic);
  return denied(forbidden("appending to "" + name + """, "append:" + name));
}

Error Core::denied_read(std::string_view name) {
  const std::string text(name);
  return denied(forbidden("reading "" + text + """, "read:" + text));
}

Status Core::log_in(Connection& connection, std::string_view token) {
  if (!tokens_ || connection.peer().address == 0) return {};
  if (tokens_->refresh()) tokens_read();
  auto found = tokens_->check(token, now());
  if (!found) {
    ++logins_failed_;
    if (peers_.login_failed(connection.peer(), std::chrono::steady_clock::now()))
      refused(connection, found.error());
    return std::unexpected(std::move(found).error());
  }
  connection.set_token(std::move(*found));
  return {};
}

void Core::watch_tokens() {
  if (draining_) return;
  if (tokens_->refresh()) tokens_read();
  check_tokens();
  tokens_timer_.expires_after(kTokensInterval);
  tokens_timer_.async_wait([this](boost::system::error_code cancelled) {
    if (!cancelled) watch_tokens();
  });
}

void Core::tokens_read() {
  if (!tokens_->problem().empty()) log_line(tokens_->problem());
  check_tokens();
}

void Core::check_tokens() {
  const auto all = connections_;
  const Timestamp at = now();
  for (const auto& [id, connection] : all) {
    const auto held = connection->token();
    if (!held) continue;
    auto fresh = tokens_->find(held->id, at);
    if (fresh == held) continue;
    if (fresh && fresh->hash == held->hash) {
      connection->set_token(std::move(fresh));
      continue;
    }
    connection->cancel_all();
    connection->give_up(
        fail(ErrorCode::kInvalid, 4011, "the token has expired or was revoked", "`kappa token add` makes another").error());
  }
}

}  // namespace kappa::serving
