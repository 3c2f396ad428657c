// Who may do what: logging in with a token, and tokens that end. What a statement would read is in names_read.cc.
#include <boost/asio/post.hpp>
#include <chrono>

#include "serving/core.h"
#include "serving/names_read.h"

namespace kappa::serving {

namespace {

// How soon a revoked or expired token ends its connections.
constexpr std::chrono::milliseconds kTokensInterval{250};

Timestamp now() {
  return Timestamp(std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
                       .count());
}

}  // namespace

Error Core::denied(Error why) {
  ++denied_total_;
  return why;
}

Error Core::denied_append(std::string_view topic) {
  const std::string name(topic);
  return denied(forbidden("appending to \"" + name + "\"", "append:" + name));
}

Error Core::denied_read(std::string_view name) {
  const std::string text(name);
  return denied(forbidden("reading \"" + text + "\"", "read:" + text));
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
