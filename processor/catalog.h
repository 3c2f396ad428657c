// The catalog: which streams and views exist, in which versions, and which version serves. A fold of the log's
// system topic, so a copy of the log alone restores it.
//
// The record of version 1 of a name has the key "stream/<name>" or "view/<name>" (tables too), that of a later one
// "stream@<version>/<name>" or "view@<version>/<name>"; its value is the statement's text as given
// (encode_catalog_record below); an empty value drops it. The record's offset is the object's id. Opening compiles
// every statement again in offset order, each against the versions that it was made of; compiled plans are never
// stored. Which version serves follows from the replacements (replacement.h); without one, the lowest does.
//
// CatalogState is immutable: a change makes a copy and replaces the pointer, so a reader's snapshot
// never moves. Changes are serialised by the engine.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "log/log.h"
#include "processor/replacement.h"
#include "processor/sql/compile.h"
#include "proto/error.h"
#include "proto/ids.h"

namespace kappa::processor {

// A name of the catalog: a stream, a derived stream, a materialized view or a table.
struct CatalogEntry {
  enum class Kind : std::uint8_t { kStream = 1, kView = 2 };  // A table is kView, a derived stream kStream.
  Kind kind = Kind::kStream;
  std::string name;
  std::string sql;            // As given, without what is around the statement.
  Offset id;                  // Offset of the record that created it.
  std::uint32_t version = 1;
  Offset from;                // Views: made from the events from this offset on; above 0 if older ones were gone.
  std::shared_ptr<const StreamDefinition> stream;  // kStream
  std::shared_ptr<const ViewPlan> view;            // kView; a derived stream: what writes its events.
  std::shared_ptr<const TableDefinition> table;    // A table.
  std::vector<std::string> reads;                  // Where there is a `view`: what it reads, directly.
  std::vector<EntryRef> uses;                      // The same, with the versions that it was made of.
  [[nodiscard]] EntryRef ref() const { return {name, version}; }
  [[nodiscard]] bool derived() const { return stream && view; }
  // "stream", "table", "view"
  [[nodiscard]] const char* noun() const { return stream ? "stream" : table ? "table" : "view"; }
};
using CatalogEntryPtr = std::shared_ptr<const CatalogEntry>;

class CatalogState final : public CatalogReader {
 public:
  [[nodiscard]] std::shared_ptr<const StreamDefinition> stream(std::string_view name) const override;
  [[nodiscard]] std::optional<View> view(std::string_view name) const override;
  [[nodiscard]] std::optional<View> view(std::string_view name, std::uint32_t version) const override;
  [[nodiscard]] std::vector<std::string> names() const override;

  using Entries = std::map<std::string, CatalogEntryPtr, std::less<>>;
  using Versions = std::map<EntryRef, CatalogEntryPtr>;
  using Replacements = std::map<Offset, ReplacementPtr>;
  // The version that serves; null if there is no such name.
  [[nodiscard]] CatalogEntryPtr find(std::string_view name) const;
  [[nodiscard]] CatalogEntryPtr find(const EntryRef& ref) const;
  // What serves, by name.
  [[nodiscard]] const Entries& entries() const { return entries_; }
  // Every version.
  [[nodiscard]] const Versions& versions() const { return versions_; }
  [[nodiscard]] const Replacements& replacements() const { return replacements_; }
  // The latest replacement of a name; null if none is under way or kept.
  [[nodiscard]] ReplacementPtr replacement_of(std::string_view name) const;
  // "serving"; "next": being built to replace what serves; "kept": for a rollback, or being dropped.
  [[nodiscard]] std::string_view role_of(const EntryRef& ref) const;
  // Every serving entry that reads `name`, directly or not, in an order in which it can be dropped.
  [[nodiscard]] std::vector<CatalogEntryPtr> dependants(std::string_view name) const;
  // The versions of what `reads` names that serve.
  [[nodiscard]] std::vector<EntryRef> serving(const std::vector<std::string>& reads) const;

  // With one more version; it serves if `serve`, or if it is the only one of its name.
  [[nodiscard]] std::shared_ptr<const CatalogState> with(CatalogEntryPtr entry, bool serve = true) const;
  // Without a name and all of its versions.
  [[nodiscard]] std::shared_ptr<const CatalogState> without(std::string_view name) const;
  // Without one version, which does not serve.
  [[nodiscard]] std::shared_ptr<const CatalogState> without(const EntryRef& ref) const;
  // With a replacement, new or changed; what it says serves.
  [[nodiscard]] std::shared_ptr<const CatalogState> with(ReplacementPtr replacement) const;
  [[nodiscard]] std::shared_ptr<const CatalogState> without(Offset replacement) const;
  // As `name` sees it that was made of `uses`: these versions serve, and the name itself is free.
  [[nodiscard]] std::shared_ptr<const CatalogState> seen_by(std::string_view name,
                                                            const std::vector<EntryRef>& uses) const;

 private:
  void collect_dependants(std::string_view name, std::vector<CatalogEntryPtr>& found) const;
  Entries entries_;
  Versions versions_;
  Replacements replacements_;
};
using CatalogStatePtr = std::shared_ptr<const CatalogState>;

// "stream/<name>", "view@2/<name>".
[[nodiscard]] std::string catalog_key(CatalogEntry::Kind kind, const EntryRef& ref);

// "<creation offset>-<version>": where the state of a view version lives, in the views' directory.
[[nodiscard]] std::string state_directory_name(const CatalogEntry& entry);
// Whether there is one: of a view, and of a stream that sets events aside.
[[nodiscard]] bool has_state(const CatalogEntry& entry);
// The same taken apart; nullopt for any other name.
struct StateDirectoryName {
  Offset view_id;
  std::uint32_t version = 0;
};
[[nodiscard]] std::optional<StateDirectoryName> parse_state_directory_name(std::string_view name);

// Value of a record: u16 format version (1; 2 if it has `from`; 3 if it has `uses`), u8 kind, u32 object version, u32
// length and SQL text; from format 2 on u64 `from`; in format 3 u32 count and for each use u32 length and name, u32
// version. Without `uses` everything that it reads had version 1.
struct CatalogRecord {
  CatalogEntry::Kind kind = CatalogEntry::Kind::kStream;
  std::uint32_t version = 1;
  std::string sql;
  Offset from = {};
  std::vector<EntryRef> uses = {};
};
[[nodiscard]] std::string encode_catalog_record(const CatalogRecord& record);
// kCorrupt 2012 (not a record), kUnsupported 2013 (written by a newer release).
[[nodiscard]] Expected<CatalogRecord> decode_catalog_record(std::string_view value);

// Compiles the record's text, which must be a CREATE STREAM, TABLE or VIEW, into an entry, against what serves in
// `state`. A derived stream's version 2 and later write to a topic of their own, "<topic>@<version>". Nothing is changed.
[[nodiscard]] Expected<CatalogEntry> make_catalog_entry(const CatalogRecord& record, Offset id,
                                                        const CatalogState& state);

// Folds the records of the system topic. Records of other keys are left alone. An entry whose
// statement does not compile any more is left out and named in `problems`. `leftovers`: versions that serve nobody and
// belong to no replacement, of a change that a crash cut short.
struct LoadedCatalog {
  CatalogStatePtr state;
  std::vector<EntryRef> leftovers;
  std::vector<std::string> problems;
};
[[nodiscard]] LoadedCatalog load_catalog(const std::vector<log::SystemRecord>& records);

}  // namespace kappa::processor
