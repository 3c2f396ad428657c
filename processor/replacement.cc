// See replacement.h.
#include "processor/replacement.h"

#include <algorithm>

#include "processor/offset_key.h"
#include "proto/bytes.h"

namespace kappa::processor {
namespace {

constexpr std::uint16_t kFormat = 1;
constexpr std::string_view kKey = "replacement/";

}  // namespace

const Replacement::Member* Replacement::find(std::string_view name) const {
  const auto found = std::ranges::find(members, name, &Member::name);
  return found == members.end() ? nullptr : &*found;
}

std::vector<EntryRef> Replacement::unserved() const {
  std::vector<EntryRef> refs;
  for (auto member = members.rbegin(); member != members.rend(); ++member)
    refs.push_back({member->name, new_serves() ? member->from : member->to});
  return refs;
}

std::string replacement_key(Offset id) { return offset_key(kKey, id); }

std::optional<Offset> parse_replacement_key(std::string_view key) { return parse_offset_key(kKey, key); }

std::string encode_replacement(const Replacement& replacement) {
  std::string out;
  ByteWriter writer(out);
  writer.u16(kFormat);
  writer.u8(static_cast<std::uint8_t>(replacement.state));
  writer.u8(replacement.manual ? 1 : 0);
  writer.u64(static_cast<std::uint64_t>(replacement.keep_micros));
  writer.u64(static_cast<std::uint64_t>(replacement.switched_micros));
  writer.u32(static_cast<std::uint32_t>(replacement.members.size()));
  for (const Replacement::Member& member : replacement.members) {
    writer.sized_text(member.name);
    writer.u32(member.from);
    writer.u32(member.to);
  }
  return out;
}

Expected<Replacement> decode_replacement(std::string_view value, Offset id) {
  ByteReader reader(as_bytes(value));
  const std::uint16_t format = reader.u16();
  if (reader.ok() && format > kFormat) {
    return fail(ErrorCode::kUnsupported, 2013, "a newer release wrote this replacement record",
                "start the release that wrote it, or a later one");
  }
  Replacement replacement;
  replacement.id = id;
  const std::uint8_t state = reader.u8();
  replacement.manual = reader.u8() != 0;
  replacement.keep_micros = static_cast<std::int64_t>(reader.u64());
  replacement.switched_micros = static_cast<std::int64_t>(reader.u64());
  const std::uint32_t count = reader.u32();
  for (std::uint32_t i = 0; i < count && reader.ok(); ++i) {
    Replacement::Member member;
    member.name = std::string(reader.sized_text());
    member.from = reader.u32();
    member.to = reader.u32();
    replacement.members.push_back(std::move(member));
  }
  if (!reader.done() || format == 0 || state < 1 || state > 5 || replacement.members.empty() ||
      replacement.keep_micros < 0) {
    return fail(ErrorCode::kCorrupt, 2012, "not a replacement record");
  }
  replacement.state = static_cast<Replacement::State>(state);
  return replacement;
}

}  // namespace kappa::processor
