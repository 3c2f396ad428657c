// See lookups.h.
#include "serving/lookups.h"

#include <algorithm>
#include <utility>

#include "serving/names_read.h"
#include "serving/core.h"

namespace kappa::serving {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kKeysKeptBytes = std::size_t{1} << 20;
constexpr std::size_t kNamesMax = 4'096;  // Of views that may not be open any more.

std::vector<ColumnMessage> messages_of(const std::vector<processor::Column>& columns) {
  std::vector<ColumnMessage> messages;
  messages.reserve(columns.size());
  for (const processor::Column& column : columns) messages.push_back({column.name, column.type});
  return messages;
}

bool may_read(const Connection& connection, std::string_view view) {
  return connection.may_read(without_version(view));
}

// Values that cannot be read are the message's fault, not the key's.
Error key_error(Error error, const char* message) {
  return error.number == 1010 ? malformed_message(message).error() : error;
}

}  // namespace

Expected<std::shared_ptr<OpenView>> Lookups::find(std::string_view name) {
  if (const auto found = views_.find(name); found != views_.end()) {
    if (auto view = found->second.lock()) return view;
  }
  KAPPA_TRY(auto keyed, engine_.open_view(name));
  auto view = std::make_shared<OpenView>();
  view->name = name;
  view->view = std::move(keyed);
  encode_columns(messages_of(view->view->columns()), view->columns);
  if (views_.size() >= kNamesMax) std::erase_if(views_, [](const auto& entry) { return entry.second.expired(); });
  views_[view->name] = view;
  return view;
}

// Who asks next opens it anew.
void Lookups::forget(const OpenView& view) {
  const auto found = views_.find(view.name);
  if (found != views_.end() && found->second.lock().get() == &view) views_.erase(found);
}

void Lookups::open(Connection& connection, std::uint64_t request_id, Bytes payload) {
  const auto message = decode_open_view(payload);
  if (!message) return connection.reply(request_id, message.error());
  if (!may_read(connection, message->view))
    return connection.reply(request_id, core_.denied_read(message->view));
  auto view = find(message->view);
  // What others have open may be gone, or of a version with other columns.
  if (view && !(*view)->view->check()) {
    forget(**view);
    view = find(message->view);
  }
  if (!view) return connection.reply(request_id, view.error());
  if (connection.open_views.size() >= kOpenViewsMax) {
    return connection.reply(request_id, fail(ErrorCode::kTooLarge, 1007,
                                             "a connection opens at most " + std::to_string(kOpenViewsMax) + " views")
                                            .error());
  }
  const auto handle = static_cast<std::uint32_t>(connection.open_views.size());
  const processor::KeyedView& opened = *(*view)->view;
  encode(ViewOpenedMessage{handle, messages_of(opened.columns()), messages_of(opened.key())}, request_id,
         connection.out());
  connection.open_views.push_back(std::move(*view));
  connection.replied();
}

void Lookups::lookup(Connection& connection, std::uint64_t request_id, Bytes payload) {
  const auto message = decode_lookup(payload);
  if (!message) return reply(connection, request_id, message.error());
  if (message->handle >= connection.open_views.size()) {
    return reply(connection, request_id, fail(ErrorCode::kInvalid, 1025,
                                              "this connection has no view open under " +
                                                  std::to_string(message->handle),
                                              "OPEN_VIEW gives the number")
                                             .error());
  }
  const std::shared_ptr<OpenView>& view = connection.open_views[message->handle];
  if (!may_read(connection, view->name)) return reply(connection, request_id, core_.denied_read(view->name));
  one(connection, request_id, view, Form::kFound, message->freshness, message->key);
}

void Lookups::get(Connection& connection, std::uint64_t request_id, Bytes payload) {
  const auto parts = split_get(payload);
  if (!parts) return reply(connection, request_id, parts.error());
  if (!may_read(connection, parts->view)) return reply(connection, request_id, core_.denied_read(parts->view));
  if (!connection.last_get || connection.last_get->name != parts->view) {
    auto view = find(parts->view);
    if (!view) {
      const auto whole = decode_get(payload);
      return reply(connection, request_id, whole ? view.error() : whole.error());
    }
    if (connection.last_get && !wanted_.empty()) kept_.push_back(std::move(connection.last_get));
    connection.last_get = std::move(*view);
  }
  one(connection, request_id, connection.last_get, Form::kRow, parts->freshness, parts->key);
}

void Lookups::one(Connection& connection, std::uint64_t request_id, const std::shared_ptr<OpenView>& view, Form form,
                  const FreshnessMessage& freshness, Bytes key) {
  if (!freshness.at_least && !freshness.fresh && !engine_.must_wait(view->name)) {
    return gather(connection, request_id, *view, form, key);
  }
  when_fresh(connection, request_id, view->name, freshness,
             [this, request_id, view, form, bytes = std::string(as_text(key))](Connection& client) {
               kept_.push_back(view);
               gather(client, request_id, *view, form, as_bytes(bytes));
             });
}

template <class Then>
void Lookups::when_fresh(Connection& connection, std::uint64_t request_id, const std::string& name,
                         const FreshnessMessage& freshness, Then then) {
  static_cast<void>(connection.begin(request_id, nullptr));
  const processor::Freshness wanted{freshness.at_least, freshness.fresh, milliseconds(freshness.timeout_ms)};
  const auto mailbox = core_.mailbox();
  engine_.wait(name, wanted,
               [this, mailbox, id = connection.id(), request_id, then = std::move(then)](Status ready) {
                 mailbox->task([this, id, request_id, then, ready = std::move(ready)] {
                   const auto client = core_.find(id);
                   if (!client) return;
                   client->end(request_id);
                   if (!ready) return client->reply(request_id, ready.error());
                   then(*client);
                 });
               });
}

void Lookups::gather(Connection& connection, std::uint64_t request_id, OpenView& view, Form form, Bytes key) {
  const std::size_t wire_begin = keys_.size();
  // In case it has to be encoded anew, for another version of the view.
  if (form == Form::kRow) keys_.append(as_text(key));
  const std::size_t begin = keys_.size();
  ByteReader in(key);
  Status encoded = view.view->encode_key(in, keys_);
  if (!encoded || !in.done()) {
    keys_.resize(wire_begin);
    const char* const name = form == Form::kRow ? "GET" : "LOOKUP";
    return reply(connection, request_id, encoded ? malformed_message(name).error()
                                                 : key_error(std::move(encoded).error(), name));
  }
  const std::size_t charged = view.largest;
  connection.expected_bytes += charged;
  wanted_.push_back({&connection, &view, request_id, wire_begin, begin, keys_.size(), charged, form, false});
  connection.replied();
  if (wanted_.size() >= kGatheredMax) run();
}

// Behind the answers to what came before it.
void Lookups::reply(Connection& connection, std::uint64_t request_id, const Error& error) {
  if (connection.expected_bytes != 0) run();
  connection.reply(request_id, error);
}

void Lookups::run() {
  if (running_) return;
  running_ = true;
  for (std::size_t first = 0; first < wanted_.size(); ++first) {
    if (wanted_[first].done) continue;
    OpenView& view = *wanted_[first].view;
    picked_.clear();
    for (std::size_t i = first; i < wanted_.size(); ++i) {
      if (wanted_[i].done || wanted_[i].view != &view) continue;
      wanted_[i].done = true;
      picked_.push_back(i);
    }
    read(view);
  }
  wanted_.clear();
  keys_.clear();
  if (keys_.capacity() > kKeysKeptBytes) keys_.shrink_to_fit();
  kept_.clear();
  running_ = false;
}

void Lookups::read(OpenView& view) {
  picked_keys_.clear();
  for (const std::size_t i : picked_) {
    const Wanted& wanted = wanted_[i];
    wanted.connection->expected_bytes -= wanted.charged;
    picked_keys_.push_back(std::string_view(keys_).substr(wanted.key_begin, wanted.key_end - wanted.key_begin));
  }
  Status status = view.view->read(picked_keys_, rows_);
  if (status) {
    if (!std::exchange(view.measured, true)) view.largest = kFrameHeaderBytes;
    for (std::size_t i = 0; i < picked_.size(); ++i) answer(wanted_[picked_[i]], view, rows_.applied(), rows_.row(i));
    for (std::size_t i = 0; i < picked_.size(); ++i) {
      if (const auto row = rows_.row(i)) view.largest = std::max(view.largest, row->size() + view.columns.size());
    }
    return;
  }
  // One bad entry, or rows that are too much together, must not take the others' answers.
  const bool alone = picked_.size() > 1 && (status.error().code == ErrorCode::kTooLarge ||
                                            status.error().code == ErrorCode::kCorrupt);
  const bool changed = status.error().number == processor::kViewChanged;
  if (changed) forget(view);
  for (std::size_t i = 0; i < picked_.size(); ++i) {
    const Wanted& wanted = wanted_[picked_[i]];
    if (changed && wanted.form == Form::kRow) {
      read_changed(wanted);
    } else if (alone) {
      const std::string_view key = picked_keys_[i];
      if (const Status again = view.view->read({&key, 1}, rows_); again) {
        answer(wanted, view, rows_.applied(), rows_.row(0));
      } else {
        refuse(wanted, again.error());
      }
    } else {
      refuse(wanted, status.error());
    }
  }
}

void Lookups::answer(const Wanted& wanted, const OpenView& view, Offset applied, std::optional<std::string_view> row) {
  Connection& connection = *wanted.connection;
  if (connection.closed()) return;
  if (row && row->size() + view.columns.size() + 16 > kPayloadBytesMax) {
    return refuse(wanted, fail(ErrorCode::kTooLarge, 1007, "a row does not fit into a frame").error());
  }
  if (wanted.form == Form::kRow) {
    encode_row_answer(applied, view.columns, row, wanted.request_id, connection.out());
  } else {
    encode_found(applied, row, wanted.request_id, connection.out());
  }
}

void Lookups::refuse(const Wanted& wanted, const Error& error) {
  if (!wanted.connection->closed()) encode(error, wanted.request_id, wanted.connection->out());
}

// A GET names its view each time: that the name stands for other columns now is nothing to it.
void Lookups::read_changed(const Wanted& wanted) {
  const auto view = find(wanted.view->name);
  if (!view) return refuse(wanted, view.error());
  std::string key;
  ByteReader in(as_bytes(std::string_view(keys_).substr(wanted.wire_begin, wanted.key_begin - wanted.wire_begin)));
  if (const Status encoded = (*view)->view->encode_key(in, key); !encoded) return refuse(wanted, encoded.error());
  const std::string_view one = key;
  if (const Status read = (*view)->view->read({&one, 1}, rows_); !read) return refuse(wanted, read.error());
  answer(wanted, **view, rows_.applied(), rows_.row(0));
  wanted.connection->last_get = *view;
  kept_.push_back(*view);
}

// --- GET_MANY ---

void Lookups::get_many(Connection& connection, std::uint64_t request_id, Bytes payload) {
  const auto message = decode_get_many(payload);
  if (!message) return connection.reply(request_id, message.error());
  if (message->count > kKeysAtOnceMax) {
    return connection.reply(request_id, fail(ErrorCode::kTooLarge, 1007,
                                             "at most " + std::to_string(kKeysAtOnceMax) + " keys are read at once")
                                            .error());
  }
  if (!may_read(connection, message->view))
    return connection.reply(request_id, core_.denied_read(message->view));
  const std::string name(message->view);
  const FreshnessMessage& freshness = message->freshness;
  if (!freshness.at_least && !freshness.fresh && !engine_.must_wait(name)) {
    return answer_many(connection, request_id, name, message->count, message->keys);
  }
  when_fresh(connection, request_id, name, freshness,
             [this, request_id, name, count = message->count,
              keys = std::string(as_text(message->keys))](Connection& client) {
               answer_many(client, request_id, name, count, as_bytes(keys));
             });
}

void Lookups::answer_many(Connection& connection, std::uint64_t request_id, const std::string& name,
                          std::uint32_t count, Bytes keys) {
  auto found = find(name);
  if (found && !(*found)->view->check()) {
    forget(**found);
    found = find(name);
  }
  if (!found) return connection.reply(request_id, found.error());
  OpenView& view = **found;
  std::string encoded;
  std::vector<std::size_t> ends;
  ByteReader in(keys);
  for (std::uint32_t i = 0; i < count; ++i) {
    if (Status key = view.view->encode_key(in, encoded); !key)
      return connection.reply(request_id, key_error(std::move(key).error(), "GET_MANY"));
    if (!in.ok()) break;
    ends.push_back(encoded.size());
  }
  if (!in.done()) return connection.reply(request_id, malformed_message("GET_MANY").error());
  std::vector<std::string_view> wanted;
  for (std::size_t i = 0, begin = 0; i < ends.size(); begin = ends[i++])
    wanted.push_back(std::string_view(encoded).substr(begin, ends[i] - begin));
  if (const Status read = view.view->read(wanted, rows_); !read) {
    if (read.error().number == processor::kViewChanged) forget(view);
    return connection.reply(request_id, read.error());
  }
  many_.clear();
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const auto row = rows_.row(i);
    many_.push_back(row ? '\1' : '\0');
    if (row) many_.append(*row);
  }
  if (many_.size() + view.columns.size() + 16 > kPayloadBytesMax) {
    connection.reply(request_id, fail(ErrorCode::kTooLarge, 1007, "the rows do not fit into a frame",
                                      "ask for fewer keys at once")
                                     .error());
  } else {
    encode_rows_found(rows_.applied(), view.columns, count, many_, request_id, connection.out());
    connection.replied();
  }
  many_.clear();
  if (many_.capacity() > kKeysKeptBytes) many_.shrink_to_fit();
}

}  // namespace kappa::serving
