// CREATE and DROP. Each change is checked, appended to the system topic, and only then applied in
// memory: what a client was told exists is durable.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "processor/engine_impl.h"
#include "processor/sql/plan_properties.h"

namespace kappa::processor {
namespace {

// White space and the semicolon around a statement are not part of it.
std::string trimmed(std::string_view sql) {
  const std::size_t first = sql.find_first_not_of(" \t\r\n;");
  const std::size_t last = sql.find_last_not_of(" \t\r\n;");
  return first == std::string_view::npos ? std::string() : std::string(sql.substr(first, last - first + 1));
}

// The statement as a piece of its text.
ScriptPiece one_piece(std::string_view sql) {
  const std::size_t first = std::min(sql.find_first_not_of(" \t\r\n;"), sql.size());
  const std::size_t last = sql.find_last_not_of(" \t\r\n;");
  const std::string_view before = sql.substr(0, first);
  const std::size_t line = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
  return {last == std::string_view::npos ? std::string_view() : sql.substr(first, last + 1 - first),
          static_cast<std::uint32_t>(1 + std::ranges::count(before, '\n')), static_cast<std::uint32_t>(first - line + 1)};
}

Error exists_error(const CatalogEntry& entry) {
  return Error{ErrorCode::kExists, 2007, std::string(entry.noun()) + " \"" + entry.name + "\" exists already",
               "use another name, IF NOT EXISTS, or DROP it first", 0, {}};
}

}  // namespace

void EngineImpl::set_catalog(CatalogStatePtr state) {
  const std::lock_guard lock(mutex_);
  catalog_ = std::move(state);
  ++catalog_changes_;
}

Expected<StatementResult> EngineImpl::change(std::string_view sql) {
  std::unique_lock ddl(ddl_mutex_);
  // Again, now that nothing else can change the catalog.
  KAPPA_TRY(const Statement statement, compile(sql, *catalog()));
  if (options_.read_only) {
    return fail(ErrorCode::kReadOnly, 4011, "this server is read-only: the catalog cannot be changed");
  }
  if (const auto* stream = std::get_if<CreateStream>(&statement)) return create_stream(*stream, sql);
  if (const auto* view = std::get_if<CreateView>(&statement)) return create_view(*view, sql);
  if (const auto* altered = std::get_if<Alter>(&statement)) return alter(*altered, ddl);
  return drop(std::get<Drop>(statement));
}

void EngineImpl::open_states(const CatalogEntryPtr& entry) {
  // It exists from here on: a state that cannot be made says so in its status.
  std::uint64_t nothing_to_check = 0;  // It is new.
  ViewPtr letters = open_dead_letters(*entry, nothing_to_check);
  ViewPtr view;
  if (entry->view) {
    view = std::make_shared<LiveView>(entry, options_);
    if (const Status opened = view->open(log_, nothing_to_check); !opened) {
      spdlog::error("view \"{}\" failed: {}", entry->name, to_string(opened.error()));
    }
  }
  {
    const std::lock_guard lock(mutex_);
    if (letters) dead_letters_[entry->ref()] = letters;
    if (view) {
      auto views = std::make_shared<ViewMap>(*views_);
      views->emplace(entry->ref(), view);
      views_ = std::move(views);
    }
  }
  if (letters) pipeline_->add(std::move(letters));
  if (view) pipeline_->add(std::move(view));
}

void EngineImpl::close_states(const EntryRef& ref) {
  std::vector<ViewPtr> closed;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = views_->find(ref); found != views_->end()) {
      closed.push_back(found->second);
      auto views = std::make_shared<ViewMap>(*views_);
      views->erase(ref);
      views_ = std::move(views);
    }
    if (const auto found = dead_letters_.find(ref); found != dead_letters_.end()) {
      closed.push_back(std::move(found->second));
      dead_letters_.erase(found);
    }
  }
  for (const ViewPtr& view : closed) {
    watches_->ended(view);
    forget_pause(view->entry().id);
    pipeline_->remove(view);
    // A query that still reads the view keeps the files open; what is left is removed at the next start.
    std::error_code error;
    std::filesystem::remove_all(view->directory(), error);
    if (error) spdlog::warn("cannot remove {}: {}", view->directory().string(), error.message());
  }
}

Status EngineImpl::append_and_add(CatalogRecord record, std::string_view name, CatalogEntry entry) {
  KAPPA_CHECK_OK(check_not_replaced(entry.reads));
  const CatalogStatePtr state = catalog();
  entry.uses = state->serving(entry.reads);
  record.uses = entry.uses;
  entry.kind = record.kind;
  entry.name = std::string(name);
  entry.version = record.version;
  entry.from = record.from;
  KAPPA_TRY(entry.id, log_.append_system(catalog_key(record.kind, entry.ref()), encode_catalog_record(record)));
  entry.sql = std::move(record.sql);
  const auto shared = std::make_shared<const CatalogEntry>(std::move(entry));
  set_catalog(state->with(shared));
  open_states(shared);
  return {};
}

Expected<StatementResult> EngineImpl::create_stream(const CreateStream& statement, std::string_view sql) {
  StatementResult result{"CREATE STREAM", 0, {}, {}};
  const StreamDefinition& definition = *statement.definition;
  if (const CatalogEntryPtr existing = catalog()->find(definition.name)) {
    if (statement.or_replace) return replace({{existing, one_piece(sql)}});
    if (!statement.if_not_exists || existing->kind != CatalogEntry::Kind::kStream) {
      return std::unexpected(exists_error(*existing));
    }
    result.notice = "stream \"" + definition.name + "\" exists already, nothing was changed";
    return result;
  }
  if (statement.plan) KAPPA_CHECK_OK(check_derived(statement));
  KAPPA_TRY([[maybe_unused]] const TopicId topic, log_.ensure_topic(definition.topic));
  CatalogEntry entry;
  entry.stream = statement.definition;
  entry.view = statement.plan;
  entry.reads = statement.reads;
  // Until its view, or that of its dead letters, holds them itself.
  log::Hold hold;
  if (definition.dead_letter || statement.plan) hold = log_.hold("stream \"" + definition.name + "\"", Offset(0));
  KAPPA_CHECK_OK(append_and_add({CatalogEntry::Kind::kStream, 1, trimmed(sql), hold.offset()}, definition.name,
                                std::move(entry)));
  return result;
}

Expected<StatementResult> EngineImpl::create_view(const CreateView& statement, std::string_view sql) {
  const std::string what = statement.table ? "table" : "view";
  StatementResult result{statement.table ? "CREATE TABLE" : "CREATE VIEW", 0, {}, {}};
  if (const CatalogEntryPtr existing = catalog()->find(statement.name)) {
    if (statement.or_replace && existing->noun() == what)
      return replace({{existing, one_piece(sql)}});
    if (!statement.if_not_exists || existing->noun() != what) {
      return std::unexpected(exists_error(*existing));
    }
    result.notice = what + " \"" + statement.name + "\" exists already, nothing was changed";
    return result;
  }
  CatalogEntry entry;
  entry.view = std::make_shared<const ViewPlan>(statement.plan);
  entry.reads = statement.reads;
  entry.table = statement.table;
  // Until the view holds them itself.
  const log::Hold hold = log_.hold(what + " \"" + statement.name + "\"", Offset(0));
  const Offset from = hold.offset();
  const Offset end = log_.durable_end();
  const std::uint64_t events = end > from ? end - from : 0;
  KAPPA_CHECK_OK(append_and_add({CatalogEntry::Kind::kView, 1, trimmed(sql), from}, statement.name, std::move(entry)));
  if (events > 0) {
    result.notice = what + " \"" + statement.name + "\" is being built from " + std::to_string(events) + " events";
  }
  if (from != Offset(0)) {
    result.notice += (result.notice.empty() ? what + " \"" + statement.name + "\" is made" : std::string()) +
                     " from offset " + std::to_string(from.value()) + " on: the log has nothing below";
  }
  return result;
}

Status EngineImpl::drop_entry(const CatalogEntry& entry) {
  KAPPA_CHECK_OK(end_replacements(entry.name));
  // The version that serves now; it is the only one.
  const CatalogEntryPtr last = catalog()->find(entry.name);
  if (!last) return {};
  KAPPA_TRY([[maybe_unused]] const Offset offset, log_.append_system(catalog_key(last->kind, last->ref()), {}));
  set_catalog(catalog()->without(last->name));
  close_states(last->ref());
  return {};
}

// The name goes, and with it the way to the events; they leave the disk with the log's retention.
Expected<StatementResult> EngineImpl::drop_topic(const Drop& statement) {
  StatementResult result{"DROP TOPIC", 0, {}, {}};
  const std::string named = "topic \"" + statement.name + "\"";
  if (!log_.find_topic(statement.name)) {
    if (!statement.if_exists) {
      return std::unexpected(
          Error{ErrorCode::kNotFound, 2003, "no " + named, "SHOW TOPICS lists the topics", 0, statement.place});
    }
    result.notice = "no " + named + ", nothing was dropped";
    return result;
  }
  std::vector<CatalogEntryPtr> users;
  const CatalogStatePtr state = catalog();
  for (const auto& [name, entry] : state->entries()) {
    if (!entry->stream || entry->stream->topic != statement.name) continue;
    for (const CatalogEntryPtr& user : state->dependants(name)) {
      if (std::ranges::find(users, user) == users.end()) users.push_back(user);
    }
    if (std::ranges::find(users, entry) == users.end()) users.push_back(entry);
  }
  std::string names;
  for (const CatalogEntryPtr& user : users)
    names += (names.empty() ? "" : ", ") + std::string(user->noun()) + " \"" + user->name + "\"";
  if (!users.empty() && !statement.cascade) {
    return std::unexpected(Error{ErrorCode::kInvalid, 2010, named + " is read by " + names,
                                 "drop them first, or add CASCADE", 0, statement.place});
  }
  for (const CatalogEntryPtr& user : users) KAPPA_CHECK_OK(drop_entry(*user));
  KAPPA_CHECK_OK(log_.drop_topic(statement.name));
  if (!users.empty()) result.notice = "also dropped: " + names;
  return result;
}

Expected<StatementResult> EngineImpl::drop(const Drop& statement) {
  using What = Drop::What;
  if (statement.what == What::kTopic) return drop_topic(statement);
  const std::string wanted = statement.what == What::kStream ? "stream" : statement.what == What::kTable ? "table" : "view";
  StatementResult result{statement.what == What::kStream  ? "DROP STREAM"
                         : statement.what == What::kTable ? "DROP TABLE"
                                                          : "DROP VIEW",
                         0, {}, {}};
  const CatalogStatePtr state = catalog();
  const CatalogEntryPtr entry = state->find(statement.name);
  if (!entry || entry->noun() != wanted) {
    const std::string message = "no " + wanted + " \"" + statement.name + "\"";
    if (statement.if_exists && !entry) {
      result.notice = message + ", nothing was dropped";
      return result;
    }
    Error error{ErrorCode::kNotFound, 2003, message, {}, 0, statement.place};
    if (entry) error.hint = "\"" + entry->name + "\" is a " + entry->noun();
    return std::unexpected(std::move(error));
  }
  const std::vector<CatalogEntryPtr> users = state->dependants(entry->name);
  std::string names;
  for (const CatalogEntryPtr& user : users) {
    names += (names.empty() ? "" : ", ") + std::string(user->noun()) + " \"" + user->name + "\"";
  }
  if (!users.empty() && !statement.cascade) {
    return std::unexpected(Error{ErrorCode::kInvalid, 2010,
                                 std::string(entry->noun()) + " \"" + entry->name + "\" is read by " + names,
                                 "drop them first, or add CASCADE", 0, statement.place});
  }
  for (const CatalogEntryPtr& user : users) KAPPA_CHECK_OK(drop_entry(*user));
  KAPPA_CHECK_OK(drop_entry(*entry));
  if (!users.empty()) result.notice = "also dropped: " + names;
  return result;
}

}  // namespace kappa::processor
