// CREATE OR REPLACE of what exists: the new versions of names, and of everything that reads them, as one set.
//
// A set may change several definitions at once (`kappa apply`; several statements in one text), so each of them is
// compiled against the new versions of what it reads, whichever order makes that possible. Everything is compiled
// before anything is written. engine_versions.cc says what happens to a set then.
#include <algorithm>
#include <map>
#include <utility>

#include "processor/engine_impl.h"
#include "processor/sql/parser.h"

namespace kappa::processor {
namespace {

std::string quoted(const CatalogEntry& entry) { return std::string(entry.noun()) + " \"" + entry.name + "\""; }

std::string at(std::string_view name, std::uint32_t version) {
  return "\"" + std::string(name) + "@" + std::to_string(version) + "\"";
}

// The name and kind that a CREATE OR REPLACE makes; nullopt for any other statement.
std::optional<std::pair<std::string, std::string>> replaced_by(const sql::StatementSyntax& syntax) {
  if (syntax.explain) return std::nullopt;
  if (const auto* stream = std::get_if<sql::CreateStreamSyntax>(&syntax.statement); stream && stream->or_replace)
    return std::pair(stream->name.text, std::string("stream"));
  if (const auto* table = std::get_if<sql::CreateTableSyntax>(&syntax.statement); table && table->or_replace)
    return std::pair(table->name.text, std::string("table"));
  if (const auto* view = std::get_if<sql::CreateViewSyntax>(&syntax.statement); view && view->or_replace)
    return std::pair(view->name.text, std::string("view"));
  return std::nullopt;
}

// `error`, whose place is in the piece, with the place in the whole text.
Error placed(Error error, const ScriptPiece& piece) {
  SourcePlace place = error.place.value_or(SourcePlace{1, 1, 1});
  if (place.line <= 1) place.column += piece.column - 1;
  place.line = std::max(place.line, 1U) + piece.line - 1;
  error.place = place;
  return error;
}

ReplaceOptions options_of(const Statement& statement) {
  if (const auto* stream = std::get_if<CreateStream>(&statement)) return stream->replace;
  if (const auto* view = std::get_if<CreateView>(&statement)) return view->replace;
  return {};
}

}  // namespace

Expected<StatementResult> EngineImpl::change_together(const std::vector<ScriptPiece>& pieces) {
  std::unique_lock ddl(ddl_mutex_);
  if (options_.read_only) {
    return fail(ErrorCode::kReadOnly, 4011, "this server is read-only: the catalog cannot be changed");
  }
  std::vector<Change> changes;
  for (const ScriptPiece& piece : pieces) {
    const auto syntax = sql::parse(piece.text);
    if (!syntax) return std::unexpected(placed(syntax.error(), piece));
    const auto replaced = replaced_by(*syntax);
    if (!replaced) {
      return std::unexpected(placed(Error{ErrorCode::kInvalid, 2001, "several statements at once must be CREATE OR REPLACE",
                                          "send them one after the other", 0, {}}, piece));
    }
    const CatalogEntryPtr existing = catalog()->find(replaced->first);
    if (!existing || existing->noun() != replaced->second) {
      return std::unexpected(placed(Error{ErrorCode::kNotFound, 2003, "no " + replaced->second + " \"" + replaced->first + "\" to replace",
                                          "CREATE what is new by a statement of its own", 0, {}}, piece));
    }
    const bool twice = std::ranges::any_of(changes, [&](const Change& other) { return other.existing->name == existing->name; });
    if (twice) {
      return std::unexpected(placed(Error{ErrorCode::kExists, 2007, quoted(*existing) + " is replaced twice", {}, 0, {}}, piece));
    }
    changes.push_back({existing, piece});
  }
  return replace(changes);
}

Expected<EngineImpl::Staged> EngineImpl::stage(const std::vector<Change>& changes, const std::vector<CatalogEntryPtr>& old,
                                               Offset from) {
  const CatalogStatePtr state = catalog();
  Staged staged;
  CatalogStatePtr seen_so_far = state;
  std::vector<CatalogEntryPtr> left = old;
  while (!left.empty()) {
    std::optional<Error> first;
    const std::size_t before = left.size();
    for (auto next = left.begin(); next != left.end();) {
      const CatalogEntry& entry = **next;
      const auto change = std::ranges::find(changes, &entry, [](const Change& one) { return one.existing.get(); });
      const bool changed = change != changes.end();
      CatalogRecord record{entry.kind, 1, changed ? std::string(change->piece.text) : entry.sql, from, {}};
      for (const auto& [ref, version] : state->versions())
        if (ref.name == entry.name) record.version = std::max(record.version, ref.version + 1);
      if (!has_state(entry)) record.from = Offset(0);
      const CatalogStatePtr seen = seen_so_far->seen_by(entry.name, {});
      auto compiled = make_catalog_entry(record, Offset(0), *seen);
      const auto postpone = [&](Error error) {
        // The statements' own errors say most.
        if (!first || (changed && first->number == 2010)) first = std::move(error);
        ++next;
      };
      if (!compiled && changed) {
        const bool reads_itself = compile(change->piece.text, *seen_so_far).has_value();
        postpone(placed(reads_itself ? Error{ErrorCode::kInvalid, 2010, quoted(entry) + " would read itself",
                                             "a new version reads what the old one read, or something else", 0, {}}
                                     : compiled.error(),
                        change->piece));
        continue;
      }
      if (!compiled) {
        postpone(Error{ErrorCode::kInvalid, 2010,
                       quoted(entry) + " reads " + quoted(*changes.front().existing) + " and does not go with its new version: " +
                           compiled.error().message,
                       "replace it by one that does, or DROP it, first; kappa apply does both in one step", 0, {}});
        continue;
      }
      const auto reads_left = std::ranges::find_if(left, [&](const CatalogEntryPtr& other) {
        return std::ranges::find(compiled->reads, other->name) != compiled->reads.end();
      });
      if (reads_left != left.end()) {
        Error error{ErrorCode::kInvalid, 2010, quoted(entry) + " would read itself, through \"" + (*reads_left)->name + "\"",
                    "a new version reads what the old one read, or something else", 0, {}};
        postpone(changed ? placed(std::move(error), change->piece) : std::move(error));
        continue;
      }
      if (compiled->derived()) {
        // Its events are told from those of any version before by their topic.
        while (log_.find_topic(compiled->stream->topic)) {
          ++record.version;
          KAPPA_TRY(*compiled, make_catalog_entry(record, Offset(0), *seen));
        }
        CreateStream statement;
        statement.definition = compiled->stream;
        statement.plan = compiled->view;
        KAPPA_CHECK_OK(check_derived(statement));
      }
      if (changed) {
        KAPPA_TRY(const Statement statement, compile(change->piece.text, *seen));
        const ReplaceOptions options = options_of(statement);
        staged.replacement.manual |= options.manual;
        staged.replacement.keep_micros = std::max(staged.replacement.keep_micros, options.keep_micros);
      }
      record.uses = compiled->uses;
      staged.replacement.members.push_back({entry.name, entry.version, record.version});
      seen_so_far = seen_so_far->with(std::make_shared<const CatalogEntry>(*compiled));
      staged.made.emplace_back(std::move(record), std::move(*compiled));
      next = left.erase(next);
    }
    if (left.size() == before) return std::unexpected(std::move(*first));
  }
  return staged;
}

Expected<StatementResult> EngineImpl::replace(const std::vector<Change>& changes) {
  const CatalogStatePtr state = catalog();
  std::vector<CatalogEntryPtr> old;
  const auto take = [&old](const CatalogEntryPtr& entry) {
    if (std::ranges::find(old, entry) == old.end()) old.push_back(entry);
  };
  for (const Change& change : changes) take(state->find(change.existing->name));
  for (const Change& change : changes) {
    std::vector<CatalogEntryPtr> readers = state->dependants(change.existing->name);
    std::ranges::reverse(readers);  // Now a reader comes after what it reads.
    std::ranges::for_each(readers, take);
  }
  std::vector<std::string> names;
  for (const CatalogEntryPtr& entry : old) names.push_back(entry->name);
  KAPPA_CHECK_OK(check_not_replaced(names));

  const CatalogEntry& named = *changes.front().existing;
  const log::Hold hold = log_.hold("the replacement of " + quoted(named), Offset(0));
  KAPPA_TRY(Staged staged, stage(changes, old, hold.offset()));
  for (const auto& [record, entry] : staged.made) KAPPA_CHECK_OK(check_not_replaced(entry.reads));
  Replacement& replacement = staged.replacement;

  std::vector<CatalogEntryPtr> entries;
  for (auto& [record, entry] : staged.made) {
    const std::string key = catalog_key(record.kind, entry.ref());
    if (entry.stream) {
      KAPPA_TRY([[maybe_unused]] const TopicId topic, log_.ensure_topic(entry.stream->topic));
    }
    KAPPA_TRY(entry.id, log_.append_system(key, encode_catalog_record(record)));
    entries.push_back(std::make_shared<const CatalogEntry>(std::move(entry)));
  }
  replacement.id = entries.front()->id;
  CatalogStatePtr with_versions = catalog();
  for (const CatalogEntryPtr& entry : entries) with_versions = with_versions->with(entry, false);
  set_catalog(std::move(with_versions));
  KAPPA_CHECK_OK(put_replacement(replacement));
  for (const CatalogEntryPtr& entry : entries) open_states(entry);
  keeper_->wake();

  const Offset from = hold.offset();
  const Offset end = log_.durable_end();
  StatementResult result{std::string("CREATE ") + (named.stream ? "STREAM" : named.table ? "TABLE" : "VIEW"), 0, {}, {}};
  result.notice = at(entries.front()->name, entries.front()->version) + " is being built from " +
                  std::to_string(end > from ? end - from : 0) + " events";
  for (std::size_t i = 1; i < entries.size(); ++i)
    result.notice += (i == 1 ? "; with it " : ", ") + at(entries[i]->name, entries[i]->version);
  result.notice += replacement.manual ? "; ALTER ... CUTOVER switches to it" : "; readers switch when it is there";
  return result;
}

}  // namespace kappa::processor
