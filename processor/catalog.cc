// Catalog records, their fold, and the dependencies between entries.
#include "processor/catalog.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "proto/bytes.h"
#include "proto/limits.h"

namespace kappa::processor {
namespace {

constexpr std::uint16_t kRecordFormat = 1;
constexpr std::uint16_t kRecordFormatWithFrom = 2;

bool is_catalog_key(std::string_view key) { return key.starts_with("stream/") || key.starts_with("view/"); }

}  // namespace

std::shared_ptr<const StreamDefinition> CatalogState::stream(std::string_view name) const {
  const CatalogEntryPtr entry = find(name);
  return entry ? entry->stream : nullptr;
}

std::optional<CatalogReader::View> CatalogState::view(std::string_view name) const {
  const CatalogEntryPtr entry = find(name);
  // The rows of a derived stream are events.
  if (!entry || !entry->view || entry->stream) return std::nullopt;
  return View{entry->name, entry->version, entry->view, entry->table};
}

std::vector<std::string> CatalogState::names() const {
  std::vector<std::string> names;
  names.reserve(entries_.size());
  for (const auto& [name, entry] : entries_) names.push_back(name);
  return names;
}

CatalogEntryPtr CatalogState::find(std::string_view name) const {
  const auto found = entries_.find(name);
  return found == entries_.end() ? nullptr : found->second;
}

void CatalogState::collect_dependants(std::string_view name, std::vector<CatalogEntryPtr>& found) const {
  for (const auto& [other, entry] : entries_) {
    if (std::ranges::find(entry->reads, name) == entry->reads.end()) continue;
    if (std::ranges::find(found, entry) != found.end()) continue;
    collect_dependants(other, found);  // What reads the reader goes first.
    found.push_back(entry);
  }
}

std::vector<CatalogEntryPtr> CatalogState::dependants(std::string_view name) const {
  std::vector<CatalogEntryPtr> found;
  collect_dependants(name, found);
  return found;
}

CatalogStatePtr CatalogState::with(CatalogEntryPtr entry) const {
  auto next = std::make_shared<CatalogState>(*this);
  next->entries_[entry->name] = std::move(entry);
  return next;
}

CatalogStatePtr CatalogState::without(std::string_view name) const {
  auto next = std::make_shared<CatalogState>(*this);
  next->entries_.erase(std::string(name));
  return next;
}

std::string catalog_key(CatalogEntry::Kind kind, std::string_view name) {
  std::string key = kind == CatalogEntry::Kind::kStream ? "stream/" : "view/";
  key += name;
  return key;
}

std::string state_directory_name(const CatalogEntry& entry) {
  return std::to_string(entry.id.value()) + "-" + std::to_string(entry.version);
}

bool has_state(const CatalogEntry& entry) { return entry.view || (entry.stream && entry.stream->dead_letter); }

std::optional<StateDirectoryName> parse_state_directory_name(std::string_view name) {
  std::uint64_t id = 0;
  StateDirectoryName parsed;
  const char* end = name.data() + name.size();
  const auto dash = std::from_chars(name.data(), end, id);
  if (dash.ec != std::errc{} || dash.ptr == end || *dash.ptr != '-') return std::nullopt;
  const auto version = std::from_chars(dash.ptr + 1, end, parsed.version);
  if (version.ec != std::errc{} || version.ptr != end) return std::nullopt;
  parsed.view_id = Offset(id);
  return parsed;
}

std::string encode_catalog_record(const CatalogRecord& record) {
  std::string out;
  ByteWriter writer(out);
  // A record that an older release can read is written as that release would.
  const bool has_from = record.from != Offset(0);
  writer.u16(has_from ? kRecordFormatWithFrom : kRecordFormat);
  writer.u8(static_cast<std::uint8_t>(record.kind));
  writer.u32(record.version);
  writer.sized_text(record.sql);
  if (has_from) writer.u64(record.from.value());
  return out;
}

Expected<CatalogRecord> decode_catalog_record(std::string_view value) {
  ByteReader reader(as_bytes(value));
  const std::uint16_t format = reader.u16();
  if (reader.ok() && format > kRecordFormatWithFrom) {
    return fail(ErrorCode::kUnsupported, 2013, "a newer release wrote this catalog record",
                "start the release that wrote it, or a later one");
  }
  const std::uint8_t kind = reader.u8();
  CatalogRecord record;
  record.version = reader.u32();
  record.sql = std::string(reader.sized_text());
  if (format == kRecordFormatWithFrom) record.from = Offset(reader.u64());
  if (!reader.done() || format == 0 || kind < 1 || kind > 2) {
    return fail(ErrorCode::kCorrupt, 2012, "not a catalog record");
  }
  record.kind = static_cast<CatalogEntry::Kind>(kind);
  return record;
}

Expected<CatalogEntry> make_catalog_entry(const CatalogRecord& record, Offset id, const CatalogState& state) {
  KAPPA_TRY(Statement statement, compile(record.sql, state));
  CatalogEntry entry;
  entry.kind = record.kind;
  entry.sql = record.sql;
  entry.id = id;
  entry.version = record.version;
  entry.from = record.from;
  if (auto* stream = std::get_if<CreateStream>(&statement); stream && record.kind == CatalogEntry::Kind::kStream) {
    entry.name = stream->definition->name;
    entry.stream = stream->definition;
    entry.reads = stream->reads;
    entry.view = stream->plan;
  } else if (auto* view = std::get_if<CreateView>(&statement); view && record.kind == CatalogEntry::Kind::kView) {
    entry.name = view->name;
    entry.reads = view->reads;
    entry.table = view->table;
    entry.view = std::make_shared<const ViewPlan>(std::move(view->plan));
  } else {
    return fail(ErrorCode::kCorrupt, 2012, "the catalog record does not create what its key says");
  }
  return entry;
}

LoadedCatalog load_catalog(const std::vector<log::SystemRecord>& records) {
  LoadedCatalog loaded{std::make_shared<const CatalogState>(), {}};
  for (const log::SystemRecord& record : records) {
    if (!is_catalog_key(record.key) || record.value.empty()) continue;
    auto decoded = decode_catalog_record(record.value);
    if (!decoded) {
      loaded.problems.push_back(record.key + ": " + to_string(decoded.error()));
      continue;
    }
    auto entry = make_catalog_entry(*decoded, record.offset, *loaded.state);
    if (!entry) {
      loaded.problems.push_back(record.key + ": " + to_string(entry.error()));
      continue;
    }
    if (catalog_key(entry->kind, entry->name) != record.key) {
      loaded.problems.push_back(record.key + ": the statement creates \"" + entry->name + "\"");
      continue;
    }
    loaded.state = loaded.state->with(std::make_shared<const CatalogEntry>(std::move(*entry)));
  }
  return loaded;
}

}  // namespace kappa::processor
