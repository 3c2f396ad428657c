// Walks the events of a chunk's scans in the order of the log and decides where cuts are.
#include "processor/feeder.h"

#include <algorithm>

namespace kappa::processor {
namespace {

// A part of a batch is copied out of it if it has less than this share of its rows.
constexpr std::size_t kCopyShare = 4;

std::int64_t floor_divide(std::int64_t value, std::int64_t by) {
  const std::int64_t quotient = value / by;
  return value % by < 0 ? quotient - 1 : quotient;
}

template <class T>
void copy_rows(const Vector& from, const Selection& rows, Vector& to) {
  const std::uint8_t* valid = from.valid();
  const T* data = from.data<T>();
  std::uint8_t* out_valid = to.valid();
  T* out = to.data<T>();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    out_valid[i] = valid[rows[i]];
    out[i] = data[rows[i]];
  }
}

// The rows of `from` one after the other; text stays where it is.
void copy_vector(const Vector& from, const Selection& rows, Vector& to) {
  to.reset(from.type(), rows.size());
  switch (physical_of(from.type().id)) {
    case Physical::kBool: return copy_rows<std::uint8_t>(from, rows, to);
    case Physical::kInt64: return copy_rows<std::int64_t>(from, rows, to);
    case Physical::kDouble: return copy_rows<double>(from, rows, to);
    case Physical::kInt128: return copy_rows<Int128>(from, rows, to);
    case Physical::kText: return copy_rows<std::string_view>(from, rows, to);
  }
}

}  // namespace

Feeder::Feeder(const ViewPlan& plan)
    : granularity_(granularity_of(plan)),
      step_(granularity_ == Granularity::kWindowClose ? std::max<std::int64_t>(watermark_step(*plan.root), 1) : 1) {
  const std::vector<const Plan*> leaves = scans_of(*plan.root);
  const std::vector<unsigned> turns = head_turns(*plan.root);
  for (std::size_t head = 0; head < leaves.size(); ++head) {
    if (leaves[head]->kind != PlanKind::kStreamScan) continue;
    const StreamDefinition& stream = *leaves[head]->stream;
    Input input;
    input.head = head;
    input.turn = turns[head];
    turns_ = std::max(turns_, input.turn + 1);
    if (stream.event_time && !leaves[head]->dead_letters) {
      const auto known = std::ranges::find_if(times_, [&](const auto& t) { return t.stream->name == stream.name; });
      input.time = static_cast<std::size_t>(known - times_.begin());
      if (known == times_.end()) times_.push_back({&stream, INT64_MIN});
    }
    scans_.push_back(leaves[head]);
    inputs_.push_back(std::move(input));
  }
}

std::int64_t Feeder::watermark() const {
  std::int64_t least = INT64_MAX;
  for (const StreamTime& time : times_) {
    std::int64_t mark = 0;
    if (time.latest == INT64_MIN) return INT64_MIN;
    if (__builtin_sub_overflow(time.latest, time.stream->delay_micros, &mark)) mark = INT64_MIN + 1;
    least = std::min(least, mark);
  }
  return times_.empty() ? INT64_MIN : least;
}

Status Feeder::feed(const EventSource& source, std::size_t first, Receiver& receiver) {
  bool any = false;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    Input& input = inputs_[i];
    input.chunk = &source.chunk(first + i);
    input.next = input.pushed = 0;
    input.size = input.chunk->changes.selected();
    any |= input.size > 0;
  }
  if (!any) return {};
  if (granularity_ == Granularity::kChunk) return feed_whole(source.position(), receiver);
  return feed_cuts(receiver);
}

Status Feeder::feed_whole(Offset end, Receiver& receiver) {
  KAPPA_CHECK_OK(receiver.begin_cut(end - 1));
  for (Input& input : inputs_) {
    if (input.size > 0) KAPPA_CHECK_OK(receiver.push(input.head, input.chunk->changes));
    if (input.time != kNoTime) {
      std::int64_t& latest = times_[input.time].latest;
      latest = std::max(latest, input.chunk->latest);
    }
  }
  const std::int64_t mark = watermark();
  return mark == INT64_MIN ? Status{} : receiver.advance(mark);
}

bool Feeder::begins_cut(std::uint64_t offset) const {
  if (granularity_ != Granularity::kRun) return false;
  return std::ranges::any_of(
      inputs_, [&](const Input& input) { return input.turn < greatest_turn_ && input.offset() == offset; });
}

Status Feeder::feed_cuts(Receiver& receiver) {
  greatest_turn_ = 0;
  std::int64_t mark = watermark();
  std::uint64_t last = 0;
  bool open = false;  // The cut has an event.
  for (;;) {
    std::uint64_t offset = UINT64_MAX;
    for (const Input& input : inputs_) offset = std::min(offset, input.offset());
    if (offset == UINT64_MAX) break;
    if (open && begins_cut(offset)) {
      KAPPA_CHECK_OK(push_cut(Offset(last), receiver));
      greatest_turn_ = 0;
    }
    for (Input& input : inputs_) {
      if (input.offset() != offset) continue;
      const std::uint32_t row = input.row(input.next++);
      greatest_turn_ = std::max(greatest_turn_, input.turn);
      if (input.time == kNoTime || input.chunk->times->valid()[row] == 0) continue;
      std::int64_t& latest = times_[input.time].latest;
      latest = std::max(latest, input.chunk->times->data<std::int64_t>()[row]);
    }
    last = offset;
    open = true;
    bool ends = granularity_ == Granularity::kEvent;
    if (granularity_ == Granularity::kWindowClose) {
      const std::int64_t now = watermark();
      ends = now != mark && (mark == INT64_MIN || floor_divide(now, step_) != floor_divide(mark, step_));
      mark = now;
    }
    if (!ends) continue;
    KAPPA_CHECK_OK(push_cut(Offset(offset), receiver));
    open = false;
  }
  return open ? push_cut(Offset(last), receiver) : Status{};
}

Status Feeder::push_cut(Offset source, Receiver& receiver) {
  KAPPA_CHECK_OK(receiver.begin_cut(source));
  for (unsigned turn = 0; turn < turns_; ++turn) {
    for (Input& input : inputs_) {
      if (input.turn == turn && input.pushed < input.next) KAPPA_CHECK_OK(push_part(input, receiver));
    }
  }
  const std::int64_t mark = watermark();
  return mark == INT64_MIN ? Status{} : receiver.advance(mark);
}

Status Feeder::push_part(Input& input, Receiver& receiver) {
  const ChangeBatch& whole = input.chunk->changes;
  const std::size_t rows = input.next - input.pushed;
  if (rows == input.size) {
    input.pushed = input.next;
    return receiver.push(input.head, whole);
  }
  input.selection.clear();
  for (; input.pushed < input.next; ++input.pushed) input.selection.push_back(input.row(input.pushed));
  ChangeBatch& part = input.part;
  part.arena = whole.arena;
  if (rows * kCopyShare >= whole.count) {
    part.count = whole.count;
    part.columns = whole.columns;
    part.selection = &input.selection;
    return receiver.push(input.head, part);
  }
  part.selection = nullptr;
  part.columns.clear();
  input.copies.resize(whole.columns.size());
  for (std::size_t i = 0; i < whole.columns.size(); ++i) {
    copy_vector(*whole.columns[i], input.selection, input.copies[i]);
    part.columns.push_back(&input.copies[i]);
  }
  part.count = rows;
  return receiver.push(input.head, part);
}

}  // namespace kappa::processor
