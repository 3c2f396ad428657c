// Arena and Vector: storage only, no evaluation. Only the storage of a vector's own type is sized;
// capacity stays across batches.
#include "processor/vector/vector.h"

#include <algorithm>
#include <cstring>

namespace kappa::processor {
namespace {

constexpr std::size_t kArenaBlockBytes = std::size_t{64} << 10;
// What reset() keeps: one batch of huge texts must not hold its memory for ever.
constexpr std::size_t kArenaKeptBytes = std::size_t{16} << 20;

}  // namespace

char* Arena::allocate(std::size_t bytes) {
  while (block_ < blocks_.size() && blocks_[block_].size - used_ < bytes) {
    ++block_;
    used_ = 0;
  }
  if (block_ == blocks_.size()) {
    const std::size_t size = std::max(bytes, kArenaBlockBytes);
    blocks_.push_back({std::make_unique_for_overwrite<char[]>(size), size});
    used_ = 0;
  }
  char* piece = blocks_[block_].data.get() + used_;
  used_ += bytes;
  return piece;
}

std::string_view Arena::copy(std::string_view text) {
  if (text.empty()) return {};
  char* piece = allocate(text.size());
  std::memcpy(piece, text.data(), text.size());
  return {piece, text.size()};
}

void Arena::reset() {
  std::size_t kept = 0;
  std::size_t blocks = 0;
  while (blocks < blocks_.size() && (kept += blocks_[blocks].size) <= kArenaKeptBytes) ++blocks;
  blocks_.resize(blocks);
  block_ = 0;
  used_ = 0;
}

std::size_t Arena::bytes() const {
  std::size_t sum = 0;
  for (const Block& block : blocks_) sum += block.size;
  return sum;
}

void Vector::offer_codes(std::size_t count) {
  if (physical_of(type_.id) != Physical::kText) return;
  if (!codes_) codes_ = std::make_unique<TextCodes>();
  codes_->start(count);
}

void Vector::resize(std::size_t size) {
  if (codes_) codes_->end();
  valid_.resize(size, 0);
  switch (physical_of(type_.id)) {
    case Physical::kBool: bools_.resize(size); break;
    case Physical::kInt64: int64s_.resize(size); break;
    case Physical::kDouble: doubles_.resize(size); break;
    case Physical::kInt128: int128s_.resize(size); break;
    case Physical::kText: texts_.resize(size); break;
  }
}

void Vector::reset(Type type, std::size_t size) {
  if (codes_) codes_->end();
  type_ = type;
  valid_.assign(size, 0);
  switch (physical_of(type_.id)) {
    case Physical::kBool: bools_.assign(size, 0); break;
    case Physical::kInt64: int64s_.assign(size, 0); break;
    case Physical::kDouble: doubles_.assign(size, 0); break;
    case Physical::kInt128: int128s_.assign(size, 0); break;
    case Physical::kText: texts_.assign(size, {}); break;
  }
}

Value Vector::value(std::size_t row) const {
  if (valid_[row] == 0) return Value::null(type_);
  switch (type_.id) {
    case TypeId::kNull: return Value::null(type_);
    case TypeId::kBoolean: return Value::boolean(data<std::uint8_t>()[row] != 0);
    case TypeId::kBigint: return Value::bigint(data<std::int64_t>()[row]);
    case TypeId::kDouble: return Value::real(data<double>()[row]);
    case TypeId::kNumeric: return Value::numeric(data<Int128>()[row], type_.precision, type_.scale);
    case TypeId::kText: return Value::text(std::string(data<std::string_view>()[row]));
    case TypeId::kTimestamp: return Value::timestamp(data<std::int64_t>()[row]);
    case TypeId::kInterval: return Value::interval(data<std::int64_t>()[row]);
    case TypeId::kJson: return Value::json(std::string(data<std::string_view>()[row]));
  }
  return Value::null(type_);
}

void Vector::set(std::size_t row, const Value& value, Arena& arena) {
  if (value.is_null()) {
    valid_[row] = 0;
    return;
  }
  KAPPA_CHECK(value.type().id == type_.id, "value of another type set into a vector");
  valid_[row] = 1;
  switch (physical_of(type_.id)) {
    case Physical::kBool: bools_[row] = value.as_bool() ? 1 : 0; break;
    case Physical::kInt64: int64s_[row] = value.as_int64(); break;
    case Physical::kDouble: doubles_[row] = value.as_double(); break;
    case Physical::kInt128: int128s_[row] = value.as_int128(); break;
    case Physical::kText: texts_[row] = arena.copy(value.as_text()); break;
  }
}

}  // namespace kappa::processor
