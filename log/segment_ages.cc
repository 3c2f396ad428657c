// The ages' clock and its file.
#include "log/segment_ages.h"

#include <algorithm>
#include <vector>

#include "proto/bytes.h"

namespace kappa::log {
namespace {

constexpr std::string_view kMagic = "KRET";

// a - b without overflow: stamps may be anything.
std::int64_t distance(Timestamp a, Timestamp b) {
  std::int64_t result = 0;
  if (__builtin_sub_overflow(a.value(), b.value(), &result)) return a > b ? INT64_MAX : INT64_MIN;
  return result;
}

}  // namespace

SegmentAges::Micros SegmentAges::believed(std::int64_t micros) const {
  return std::clamp(Micros(micros), Micros(0), limit_ / 10);
}

void SegmentAges::restore(std::string_view stored, const LogId& id) {
  if (stored.size() < sizeof(std::uint64_t)) return;
  const Bytes all = as_bytes(stored);
  const Bytes body = all.first(all.size() - sizeof(std::uint64_t));
  ByteReader hash(all.subspan(body.size()));
  if (hash.u64() != hash_bytes(body, id.low)) return;
  ByteReader in(body);
  if (in.text(kMagic.size()) != kMagic || in.u32() != kFormatVersion) return;
  const Timestamp wall(in.i64());
  const Micros now(in.i64());
  std::map<std::uint64_t, Micros> births;
  for (std::uint64_t count = in.u64(); in.ok() && count > 0; --count) {
    const std::uint64_t number = in.u64();
    births[number] = Micros(in.i64());
  }
  if (!in.done()) return;
  saved_wall_ = wall;
  now_ = now;
  births_ = std::move(births);
}

void SegmentAges::begin(Timestamp wall, Micros steady, std::span<const Stamp> missing) {
  steady_ = steady;
  if (saved_wall_) now_ += believed(distance(wall, *saved_wall_));
  // From the newest back: each is as much older than the next as their stamps say.
  Micros birth = now_;
  Timestamp later = wall;
  for (std::size_t i = missing.size(); i-- > 0;) {
    birth -= believed(distance(later, missing[i].last_append_time));
    births_.emplace(missing[i].number, birth);
    later = missing[i].last_append_time;
  }
}

void SegmentAges::tick(Micros steady) {
  now_ += std::max(Micros(0), steady - steady_);
  steady_ = std::max(steady, steady_);
}

SegmentAges::Micros SegmentAges::age(std::uint64_t number) const {
  const auto found = births_.find(number);
  return found == births_.end() ? Micros(0) : now_ - found->second;
}

std::string SegmentAges::encode(const LogId& id, Timestamp wall) const {
  std::string out(kMagic);
  ByteWriter to(out);
  to.u32(kFormatVersion);
  to.i64(wall.value());
  to.i64(now_.count());
  to.u64(births_.size());
  for (const auto& [number, birth] : births_) {
    to.u64(number);
    to.i64(birth.count());
  }
  to.u64(hash_bytes(as_bytes(out), id.low));
  return out;
}

}  // namespace kappa::log
