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
constexpr std::uint16_t kRecordFormatWithUses = 3;

bool is_catalog_key(std::string_view key) {
  return key.starts_with("stream/") || key.starts_with("view/") || key.starts_with("stream@") ||
         key.starts_with("view@");
}

// What a record without `uses` was made of.
std::vector<EntryRef> first_versions(const std::vector<std::string>& reads) {
  std::vector<EntryRef> refs;
  for (const std::string& name : reads) refs.push_back({name, 1});
  return refs;
}

std::optional<CatalogReader::View> as_view(const CatalogEntryPtr& entry) {
  // The rows of a derived stream are events.
  if (!entry || !entry->view || entry->stream) return std::nullopt;
  return CatalogReader::View{entry->name, entry->version, entry->view, entry->table};
}

}  // namespace

std::shared_ptr<const StreamDefinition> CatalogState::stream(std::string_view name) const {
  const CatalogEntryPtr entry = find(name);
  return entry ? entry->stream : nullptr;
}

std::optional<CatalogReader::View> CatalogState::view(std::string_view name) const { return as_view(find(name)); }

std::optional<CatalogReader::View> CatalogState::view(std::string_view name, std::uint32_t version) const {
  return as_view(find(EntryRef{std::string(name), version}));
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

CatalogEntryPtr CatalogState::find(const EntryRef& ref) const {
  const auto found = versions_.find(ref);
  return found == versions_.end() ? nullptr : found->second;
}

ReplacementPtr CatalogState::replacement_of(std::string_view name) const {
  for (auto found = replacements_.rbegin(); found != replacements_.rend(); ++found)
    if (found->second->find(name) != nullptr) return found->second;
  return nullptr;
}

std::string_view CatalogState::role_of(const EntryRef& ref) const {
  const CatalogEntryPtr serves = find(ref.name);
  if (!serves || serves->version == ref.version) return "serving";
  const ReplacementPtr replacement = replacement_of(ref.name);
  const Replacement::Member* const member = replacement ? replacement->find(ref.name) : nullptr;
  const bool next = member != nullptr && ref.version == member->to && replacement->state == Replacement::State::kBuilding;
  return next ? "next" : "kept";
}

std::vector<EntryRef> CatalogState::serving(const std::vector<std::string>& reads) const {
  std::vector<EntryRef> refs;
  for (const std::string& name : reads)
    if (const CatalogEntryPtr entry = find(name)) refs.push_back(entry->ref());
  return refs;
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

CatalogStatePtr CatalogState::with(CatalogEntryPtr entry, bool serve) const {
  auto next = std::make_shared<CatalogState>(*this);
  if (serve || !next->entries_.contains(entry->name)) next->entries_[entry->name] = entry;
  next->versions_[entry->ref()] = std::move(entry);
  return next;
}

CatalogStatePtr CatalogState::without(std::string_view name) const {
  auto next = std::make_shared<CatalogState>(*this);
  next->entries_.erase(std::string(name));
  std::erase_if(next->versions_, [&](const auto& version) { return version.first.name == name; });
  return next;
}

CatalogStatePtr CatalogState::without(const EntryRef& ref) const {
  auto next = std::make_shared<CatalogState>(*this);
  next->versions_.erase(ref);
  return next;
}

CatalogStatePtr CatalogState::with(ReplacementPtr replacement) const {
  auto next = std::make_shared<CatalogState>(*this);
  for (const Replacement::Member& member : replacement->members) {
    // A later replacement began with what this one made serve.
    if (const ReplacementPtr latest = replacement_of(member.name); latest && latest->id > replacement->id) continue;
    const EntryRef serves{member.name, replacement->new_serves() ? member.to : member.from};
    if (const CatalogEntryPtr entry = next->find(serves)) next->entries_[member.name] = entry;
  }
  next->replacements_[replacement->id] = std::move(replacement);
  return next;
}

CatalogStatePtr CatalogState::without(Offset replacement) const {
  auto next = std::make_shared<CatalogState>(*this);
  next->replacements_.erase(replacement);
  return next;
}

CatalogStatePtr CatalogState::seen_by(std::string_view name, const std::vector<EntryRef>& uses) const {
  auto next = std::make_shared<CatalogState>(*this);
  next->entries_.erase(std::string(name));
  for (const EntryRef& ref : uses) {
    if (const CatalogEntryPtr entry = find(ref)) next->entries_[ref.name] = entry;
  }
  return next;
}

std::string catalog_key(CatalogEntry::Kind kind, const EntryRef& ref) {
  std::string key = kind == CatalogEntry::Kind::kStream ? "stream" : "view";
  if (ref.version != 1) key += "@" + std::to_string(ref.version);
  return key + "/" + ref.name;
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
  const bool has_uses = std::ranges::any_of(record.uses, [](const EntryRef& use) { return use.version != 1; });
  const bool has_from = has_uses || record.from != Offset(0);
  writer.u16(has_uses ? kRecordFormatWithUses : has_from ? kRecordFormatWithFrom : kRecordFormat);
  writer.u8(static_cast<std::uint8_t>(record.kind));
  writer.u32(record.version);
  writer.sized_text(record.sql);
  if (has_from) writer.u64(record.from.value());
  if (!has_uses) return out;
  writer.u32(static_cast<std::uint32_t>(record.uses.size()));
  for (const EntryRef& use : record.uses) {
    writer.sized_text(use.name);
    writer.u32(use.version);
  }
  return out;
}

Expected<CatalogRecord> decode_catalog_record(std::string_view value) {
  ByteReader reader(as_bytes(value));
  const std::uint16_t format = reader.u16();
  if (reader.ok() && format > kRecordFormatWithUses) {
    return fail(ErrorCode::kUnsupported, 2013, "a newer release wrote this catalog record",
                "start the release that wrote it, or a later one");
  }
  const std::uint8_t kind = reader.u8();
  CatalogRecord record;
  record.version = reader.u32();
  record.sql = std::string(reader.sized_text());
  if (format >= kRecordFormatWithFrom) record.from = Offset(reader.u64());
  if (format == kRecordFormatWithUses) {
    const std::uint32_t count = reader.u32();
    for (std::uint32_t i = 0; i < count && reader.ok(); ++i) {
      EntryRef use;
      use.name = std::string(reader.sized_text());
      use.version = reader.u32();
      record.uses.push_back(std::move(use));
    }
  }
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
    if (entry.derived() && entry.version > 1) {
      auto definition = std::make_shared<StreamDefinition>(*stream->definition);
      definition->topic += "@" + std::to_string(entry.version);
      entry.stream = std::move(definition);
    }
  } else if (auto* view = std::get_if<CreateView>(&statement); view && record.kind == CatalogEntry::Kind::kView) {
    entry.name = view->name;
    entry.reads = view->reads;
    entry.table = view->table;
    entry.view = std::make_shared<const ViewPlan>(std::move(view->plan));
  } else {
    return fail(ErrorCode::kCorrupt, 2012, "the catalog record does not create what its key says");
  }
  entry.uses = state.serving(entry.reads);
  return entry;
}

LoadedCatalog load_catalog(const std::vector<log::SystemRecord>& records) {
  LoadedCatalog loaded{std::make_shared<const CatalogState>(), {}, {}};
  const auto problem = [&](const log::SystemRecord& record, const Error& error) {
    loaded.problems.push_back(record.key + ": " + to_string(error));
  };
  std::map<Offset, Replacement> replacements;  // In the order in which they began.
  for (const log::SystemRecord& record : records) {
    if (record.value.empty()) continue;
    if (const auto id = parse_replacement_key(record.key)) {
      auto replacement = decode_replacement(record.value, *id);
      if (!replacement) {
        problem(record, replacement.error());
      } else {
        replacement->since = record.offset;
        replacements.emplace(*id, std::move(*replacement));
      }
    }
    if (!is_catalog_key(record.key)) continue;
    auto decoded = decode_catalog_record(record.value);
    if (!decoded) {
      problem(record, decoded.error());
      continue;
    }
    // The name itself comes from the text: it is compiled as if no other version were there, once what it reads is known.
    const std::size_t slash = record.key.find('/');
    const std::string name = record.key.substr(slash + 1);
    auto state = loaded.state->seen_by(name, decoded->uses);
    auto entry = make_catalog_entry(*decoded, record.offset, *state);
    if (entry && decoded->uses.empty() && entry->uses != first_versions(entry->reads)) {
      state = loaded.state->seen_by(name, first_versions(entry->reads));
      entry = make_catalog_entry(*decoded, record.offset, *state);
    }
    if (!entry) {
      problem(record, entry.error());
      continue;
    }
    if (catalog_key(entry->kind, entry->ref()) != record.key) {
      loaded.problems.push_back(record.key + ": the statement creates \"" + entry->name + "\"");
      continue;
    }
    // Until a replacement says otherwise, the lowest version serves.
    const CatalogEntryPtr known = loaded.state->find(entry->name);
    const bool lowest = !known || entry->version < known->version;
    loaded.state = loaded.state->with(std::make_shared<const CatalogEntry>(std::move(*entry)), lowest);
  }
  for (auto& [id, replacement] : replacements)
    loaded.state = loaded.state->with(std::make_shared<const Replacement>(std::move(replacement)));
  for (const auto& [ref, entry] : loaded.state->versions()) {
    const bool known = std::ranges::any_of(loaded.state->replacements(), [&ref = ref](const auto& replacement) {
      const Replacement::Member* const member = replacement.second->find(ref.name);
      return member != nullptr && (member->from == ref.version || member->to == ref.version);
    });
    if (!known && loaded.state->find(ref.name)->version != ref.version) loaded.leftovers.push_back(ref);
  }
  return loaded;
}

}  // namespace kappa::processor
