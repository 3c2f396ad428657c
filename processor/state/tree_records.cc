// See tree.h: the stored form of entries and of the progress record, and the check of all of them.
#include <cstring>

#include "processor/state/hash.h"
#include "processor/state/tree.h"
#include "proto/bytes.h"

namespace kappa::processor {
namespace {

void append_u32(std::uint32_t v, std::string& out) {
  ByteWriter(out).u32(v);
}
std::uint32_t tail_u32(std::string_view text) {
  std::uint32_t v = 0;
  std::memcpy(&v, text.data() + text.size() - 4, 4);
  return v;
}

std::uint64_t hash_record(std::string_view stored, std::string_view value) {
  return hash_entry(static_cast<TableId>(stored[0]), stored.substr(1), value);
}

void encode_meta(const StateMeta& meta, std::string& out) {
  ByteWriter writer(out);
  const Progress& p = meta.progress;
  writer.u32(kStateFormat);
  writer.u64(p.applied.value());
  writer.u64(p.mark.offset.value());
  writer.u32(p.mark.writer_epoch.value());
  writer.u64(p.mark.header_hash);
  writer.i64(p.watermark);
  writer.u64(p.rows);
  writer.u64(p.poison);
  writer.u64(p.conversion_failures);
  writer.u8(p.started ? 1 : 0);
  writer.u64(meta.entries);
  writer.u64(meta.multiset_hash);
  writer.u64(meta.owner);
}
std::optional<StateMeta> decode_meta(ByteReader& in, std::uint32_t format) {
  StateMeta meta;
  Progress& p = meta.progress;
  p.applied = Offset(in.u64());
  p.mark.offset = Offset(in.u64());
  p.mark.writer_epoch = WriterEpoch(in.u32());
  p.mark.header_hash = in.u64();
  p.watermark = in.i64();
  p.rows = in.u64();
  p.poison = in.u64();
  p.conversion_failures = in.u64();
  p.started = in.u8() != 0;
  meta.entries = in.u64();
  meta.multiset_hash = in.u64();
  if (format >= 2) meta.owner = in.u64();
  if (!in.done()) return std::nullopt;
  return meta;
}

}  // namespace

void make_stored_key(TableId table, std::string_view key, std::string& out) {
  out.clear();
  out.push_back(static_cast<char>(table));
  if (key.size() + 1 <= kPlainKeyMax) {
    out.append(key);
    return;
  }
  out.append(key.substr(0, kPlainKeyMax - 1));
  const std::uint64_t hash = __builtin_bswap64(hash_key(table, key));
  char raw[8];
  std::memcpy(raw, &hash, 8);
  out.append(raw, 8);
}

void seal_record(std::string_view stored, std::string& value) {
  append_u32(static_cast<std::uint32_t>(hash_record(stored, value)), value);
}

std::string encode_state_meta(const StateMeta& meta) {
  std::string out;
  encode_meta(meta, out);
  return out;
}

Expected<StateMeta> decode_state_meta(std::string_view payload) {
  ByteReader in(as_bytes(payload));
  const std::uint32_t format = in.u32();
  if (format == 0 || format > kStateFormat) {
    return fail(ErrorCode::kUnsupported, 3103, "the view's state has format " + std::to_string(format),
                "this version reads format " + std::to_string(kStateFormat));
  }
  const std::optional<StateMeta> meta = decode_meta(in, format);
  if (!meta) return damaged_state("the progress record");
  return *meta;
}

std::string_view meta_key() {
  static const std::string key(kHashedKeyBytes + 1, '\xff');
  return key;
}

Expected<std::string_view> open_plain_value(std::string_view stored, std::string_view value) {
  if (value.size() < 4) return damaged_state("an entry is shorter than its checksum");
  const std::string_view payload = value.substr(0, value.size() - 4);
  if (static_cast<std::uint32_t>(hash_record(stored, payload)) != tail_u32(value)) {
    return damaged_state("checksum of an entry of table " + std::to_string(static_cast<unsigned char>(stored[0])));
  }
  return payload;
}

Expected<std::vector<StoredEntry>> open_record(std::string_view stored, std::string_view value) {
  if (stored.empty()) return damaged_state("an empty key");
  KAPPA_TRY(const std::string_view payload, open_plain_value(stored, value));
  const auto table = static_cast<TableId>(stored[0]);
  std::vector<StoredEntry> entries;
  if (stored.size() != kHashedKeyBytes) {
    entries.push_back({table, stored.substr(1), payload});
    return entries;
  }
  ByteReader in(as_bytes(payload));
  while (in.ok() && in.remaining() > 0) {
    const std::uint32_t key_bytes = in.u32();
    const std::uint32_t value_bytes = in.u32();
    const std::string_view key = in.text(key_bytes);
    entries.push_back({table, key, in.text(value_bytes)});
  }
  if (!in.done() || entries.empty()) return damaged_state("a record of long keys");
  return entries;
}

Expected<std::optional<StateMeta>> load_state_meta(const Pages& pages) {
  KAPPA_TRY(const std::optional<std::string_view> value, pages.get(meta_key()));
  if (!value) {
    if (pages.image().main.entries != 0) return damaged_state("entries without a progress record");
    return std::nullopt;
  }
  KAPPA_TRY(const std::string_view payload, open_plain_value(meta_key(), *value));
  return decode_state_meta(payload);
}

Status check_state(const Pages& pages, const StateMeta& meta, const CheckGoesOn& go_on) {
  StateMeta found;
  const auto count = [&found](std::string_view key, std::string_view value) -> Status {
    if (key == meta_key()) return {};
    KAPPA_TRY(const std::vector<StoredEntry> entries, open_record(key, value));
    for (const StoredEntry& e : entries) found.multiset_hash += hash_entry(e.table, e.key, e.value);
    found.entries += entries.size();
    return {};
  };
  KAPPA_CHECK_OK(check_pages(pages, count, go_on));
  if (found.entries != meta.entries)
    return damaged_state(std::to_string(found.entries) + " entries, " + std::to_string(meta.entries) +
                         " were committed");
  if (found.multiset_hash != meta.multiset_hash) return damaged_state("entries are not those that were committed");
  return {};
}

}  // namespace kappa::processor
