// See message_parts.h.
#include "proto/message_parts.h"

#include <utility>

namespace kappa {
namespace {

constexpr std::uint8_t kHasAtLeast = 1;
constexpr std::uint8_t kFresh = 2;

}  // namespace

void put(ByteWriter& out, const FreshnessMessage& freshness) {
  out.u8(static_cast<std::uint8_t>((freshness.at_least ? kHasAtLeast : 0) | (freshness.fresh ? kFresh : 0)));
  out.u64(freshness.at_least ? freshness.at_least->value() : 0);
  out.u32(freshness.timeout_ms);
}

FreshnessMessage take_freshness(ByteReader& in) {
  FreshnessMessage freshness;
  const std::uint8_t flags = in.u8();
  const std::uint64_t at_least = in.u64();
  freshness.timeout_ms = in.u32();
  if ((flags & ~(kHasAtLeast | kFresh)) != 0) in.give_up();
  if ((flags & kHasAtLeast) != 0) freshness.at_least = Offset(at_least);
  freshness.fresh = (flags & kFresh) != 0;
  return freshness;
}

void put(ByteWriter& out, const std::vector<ColumnMessage>& columns) {
  out.u16(static_cast<std::uint16_t>(columns.size()));
  for (const ColumnMessage& column : columns) {
    out.sized_text(column.name);
    out.u8(static_cast<std::uint8_t>(column.type.id));
    out.u8(column.type.precision);
    out.u8(column.type.scale);
  }
}

std::vector<ColumnMessage> take_columns(ByteReader& in) {
  std::vector<ColumnMessage> columns;
  const std::uint16_t count = in.u16();
  // Grows with what is really there: a column takes at least seven bytes.
  for (std::uint16_t i = 0; i < count && in.ok(); ++i) {
    ColumnMessage column;
    column.name = in.sized_text();
    const std::uint8_t type = in.u8();
    if (type > static_cast<std::uint8_t>(TypeId::kJson)) in.give_up();
    column.type.id = static_cast<TypeId>(type);
    column.type.precision = in.u8();
    column.type.scale = in.u8();
    columns.push_back(std::move(column));
  }
  return columns;
}

// A row, or nullopt after a failure (also when values follow a failed length).
std::optional<Row> take_row(ByteReader& in) {
  auto row = decode_row(in);
  if (!row || !in.ok()) {
    in.give_up();
    return std::nullopt;
  }
  return std::move(*row);
}

}  // namespace kappa
