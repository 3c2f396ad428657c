// See row_codec.h.
#include "processor/operators/row_codec.h"

#include <cstring>

#include "processor/operators/copies.h"
#include "proto/bytes.h"

namespace kappa::processor {

void append_varint(std::string& out, std::uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

RowCodec::RowCodec(const std::vector<Column>& columns) {
  for (const Column& column : columns) types_.push_back(column.type);
}

void RowCodec::encode(const ChangeBatch& batch, std::size_t row, std::string& out) const {
  const std::size_t bits = out.size();
  out.append((types_.size() + 7) / 8, '\0');
  const auto raw = [&](const auto& value) {
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    out.append(bytes, sizeof value);
  };
  for (std::size_t i = 0; i < types_.size(); ++i) {
    const Vector& column = *batch.columns[i];
    if (column.valid()[row] == 0 || types_[i].id == TypeId::kNull) continue;
    out[bits + i / 8] = static_cast<char>(out[bits + i / 8] | (1 << (i % 8)));
    switch (physical_of(types_[i].id)) {
      case Physical::kBool: out.push_back(column.data<std::uint8_t>()[row] != 0 ? '\1' : '\0'); break;
      case Physical::kInt64: append_varint(out, zigzag(column.data<std::int64_t>()[row])); break;
      // -0 is stored as 0: they are equal, and which of them came first depends on how batches were cut.
      case Physical::kDouble: raw(column.data<double>()[row] + 0.0); break;
      case Physical::kInt128: raw(column.data<Int128>()[row]); break;
      case Physical::kText: {
        const std::string_view text = column.data<std::string_view>()[row];
        append_varint(out, text.size());
        out.append(text);
        break;
      }
    }
  }
}

Status RowCodec::decode(std::string_view bytes, BatchBuilder& out, std::size_t first) const {
  ByteReader in(as_bytes(bytes));
  const std::string_view bits = in.text((types_.size() + 7) / 8);
  if (!in.ok()) return damaged_state("a kept row");
  const std::size_t row = out.row();
  for (std::size_t i = 0; i < types_.size(); ++i) {
    Vector& column = out.column(first + i);
    const bool there = (static_cast<unsigned char>(bits[i / 8]) >> (i % 8) & 1) != 0;
    column.valid()[row] = there ? 1 : 0;
    if (!there) continue;
    switch (physical_of(types_[i].id)) {
      case Physical::kBool: column.data<std::uint8_t>()[row] = in.u8(); break;
      case Physical::kInt64: column.data<std::int64_t>()[row] = unzigzag(in.varint()); break;
      case Physical::kDouble: column.data<double>()[row] = in.fixed<double>(); break;
      case Physical::kInt128: {
        const std::string_view raw = in.text(sizeof(Int128));
        if (!raw.empty()) std::memcpy(&column.data<Int128>()[row], raw.data(), sizeof(Int128));
        break;
      }
      case Physical::kText:
        column.data<std::string_view>()[row] = out.arena().copy(in.text(static_cast<std::size_t>(in.varint())));
        break;
    }
  }
  if (!in.done()) return damaged_state("a kept row");
  return {};
}

}  // namespace kappa::processor
