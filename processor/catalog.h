// The catalog: which streams and views exist. A fold of the log's system topic, so a copy of the log
// alone restores it.
//
// A record's key is "stream/<name>" or "view/<name>" (tables too), its value the statement's text as given
// (encode_catalog_record below); an empty value drops the name. The record's offset is the object's
// id. Opening compiles every statement again in offset order; compiled plans are never stored.
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
  std::uint32_t version = 1;  // Views; 1 in this release.
  Offset from;                // Views: made from the events from this offset on; above 0 if older ones were gone.
  std::shared_ptr<const StreamDefinition> stream;  // kStream
  std::shared_ptr<const ViewPlan> view;            // kView; a derived stream: what writes its events.
  std::shared_ptr<const TableDefinition> table;    // A table.
  std::vector<std::string> reads;                  // Where there is a `view`: what it reads, directly.
  [[nodiscard]] bool derived() const { return stream && view; }
  // "stream", "table", "view"
  [[nodiscard]] const char* noun() const { return stream ? "stream" : table ? "table" : "view"; }
};
using CatalogEntryPtr = std::shared_ptr<const CatalogEntry>;

class CatalogState final : public CatalogReader {
 public:
  [[nodiscard]] std::shared_ptr<const StreamDefinition> stream(std::string_view name) const override;
  [[nodiscard]] std::optional<View> view(std::string_view name) const override;
  [[nodiscard]] std::vector<std::string> names() const override;

  [[nodiscard]] CatalogEntryPtr find(std::string_view name) const;
  [[nodiscard]] const std::map<std::string, CatalogEntryPtr, std::less<>>& entries() const { return entries_; }
  // Everything that reads `name`, directly or not, in an order in which it can be dropped.
  [[nodiscard]] std::vector<CatalogEntryPtr> dependants(std::string_view name) const;

  [[nodiscard]] std::shared_ptr<const CatalogState> with(CatalogEntryPtr entry) const;
  [[nodiscard]] std::shared_ptr<const CatalogState> without(std::string_view name) const;

 private:
  void collect_dependants(std::string_view name, std::vector<CatalogEntryPtr>& found) const;
  std::map<std::string, CatalogEntryPtr, std::less<>> entries_;
};
using CatalogStatePtr = std::shared_ptr<const CatalogState>;

// "stream/<name>", "view/<name>".
[[nodiscard]] std::string catalog_key(CatalogEntry::Kind kind, std::string_view name);

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

// Value of a record: u16 format version (1; 2 if it has `from`), u8 kind, u32 object version, u32 length
// and SQL text, and in format 2 u64 `from`, which is not 0.
struct CatalogRecord {
  CatalogEntry::Kind kind = CatalogEntry::Kind::kStream;
  std::uint32_t version = 1;
  std::string sql;
  Offset from = {};
};
[[nodiscard]] std::string encode_catalog_record(const CatalogRecord& record);
// kCorrupt 2012 (not a record), kUnsupported 2013 (written by a newer release).
[[nodiscard]] Expected<CatalogRecord> decode_catalog_record(std::string_view value);

// Compiles `sql`, which must be a CREATE STREAM, TABLE or VIEW, into an entry. Nothing is changed.
[[nodiscard]] Expected<CatalogEntry> make_catalog_entry(const CatalogRecord& record, Offset id,
                                                        const CatalogState& state);

// Folds the records of the system topic. Records of other keys are left alone. An entry whose
// statement does not compile any more is left out and named in `problems`.
struct LoadedCatalog {
  CatalogStatePtr state;
  std::vector<std::string> problems;
};
[[nodiscard]] LoadedCatalog load_catalog(const std::vector<log::SystemRecord>& records);

}  // namespace kappa::processor
