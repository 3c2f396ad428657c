// See json_decode.h. The walk is json_walk.h, the short cut json_shape.h; this file turns the values they find into
// columns.
#include "processor/vector/json_decode.h"

#include <cstring>
#include <limits>

#include "processor/vector/json_shape.h"
#include "processor/vector/json_token.h"
#include "processor/vector/json_walk.h"
#include "processor/vector/path_trie.h"
#include "proto/error.h"

namespace kappa::processor {
namespace {

// Puts one value into one column; false when it is not of the column's type.
struct ColumnWriter {
  Vector& out;
  std::size_t row;
  Arena& arena;

  template <class T>
  bool put(T value) {
    out.data<T>()[row] = value;
    out.valid()[row] = 1;
    return true;
  }
  template <class T, class U>
  bool put_if(std::optional<U> value) {
    return value && put<T>(static_cast<T>(*value));
  }

  bool string(std::string_view raw, std::string_view inside, bool escaped) {
    const TypeId id = out.type().id;
    if (id == TypeId::kJson) return put(raw);
    if (id != TypeId::kText && id != TypeId::kTimestamp && id != TypeId::kInterval) return false;
    if (escaped) {
      char* text = arena.allocate(inside.size());
      inside = {text, unescape(inside, text).value_or(0)};
    }
    if (id == TypeId::kText) return put(inside);
    if (id == TypeId::kTimestamp) return put_if<std::int64_t>(text_to_timestamp(inside));
    return put_if<std::int64_t>(text_to_interval(inside));
  }

  bool number(std::string_view token, bool integer) {
    switch (out.type().id) {
      case TypeId::kBigint: return integer && put_if<std::int64_t>(number_to_int64(token));
      case TypeId::kDouble: return put_if<double>(number_to_double(token));
      case TypeId::kNumeric:
        return put_if<Int128>(number_to_numeric(token, out.type().precision, out.type().scale));
      case TypeId::kTimestamp:
      case TypeId::kInterval: return integer && put_milliseconds(number_to_int64(token));
      case TypeId::kJson: return put(token);
      case TypeId::kBoolean:
      case TypeId::kText:
      case TypeId::kNull: return false;
    }
    return false;
  }
  bool put_milliseconds(std::optional<std::int64_t> value) {
    std::int64_t micros = 0;
    return value && !__builtin_mul_overflow(*value, std::int64_t{1000}, &micros) && put(micros);
  }

  bool boolean(std::string_view token) {
    if (out.type().id == TypeId::kJson) return put(token);
    return out.type().id == TypeId::kBoolean && put(static_cast<std::uint8_t>(token[0] == 't'));
  }
};

// Status of a verdict, with the place when it is known.
Status to_status(const JsonVerdict& verdict) {
  if (verdict.number == 0) return {};
  std::string message = "the event is not acceptable JSON: ";
  message += verdict.what;
  if (verdict.position != SIZE_MAX) message += " (at byte " + std::to_string(verdict.position) + ")";
  return fail(ErrorCode::kInvalid, verdict.number, std::move(message),
              "an event is one JSON object (RFC 8259, UTF-8, at most 512 levels deep)");
}

}  // namespace

Status validate_json_event(std::string_view event) {
  thread_local JsonIndex index;
  thread_local JsonWalk<NullSink> walk;
  NullSink sink;
  const JsonVerdict verdict = index.build(event);
  return to_status(verdict.number != 0 ? verdict : walk.run(event, index, nullptr, sink));
}

struct JsonDecoder::Impl {
  explicit Impl(std::vector<StreamColumn> wanted)
      : columns(std::move(wanted)),
        trie(columns),
        shapes(trie),
        seen(trie.size(), 0),
        failed(columns.size(), 0),
        failures(columns.size(), 0) {}

  // --- what JsonWalk calls ---
  void string(std::uint32_t node, std::string_view raw, std::string_view inside, bool escaped) {
    each(node, [&](ColumnWriter writer) { return writer.string(raw, inside, escaped); });
  }
  void number(std::uint32_t node, std::string_view token, bool integer) {
    each(node, [&](ColumnWriter writer) { return writer.number(token, integer); });
  }
  void literal(std::uint32_t node, std::string_view token) {
    enter(node);
    if (token[0] == 'n') return;  // A null is NULL in every type, and no failure.
    write(node, [&](ColumnWriter writer) { return writer.boolean(token); });
  }
  void open(std::uint32_t node) { enter(node); }
  void close(std::uint32_t node, std::string_view text) {
    write(node,
          [&](ColumnWriter writer) { return writer.out.type().id == TypeId::kJson && writer.put(text); });
  }

  // What JsonShapes found; no node is there twice.
  void take(const JsonShapes::Found& found) {
    switch (found.kind) {
      case JsonShapes::Kind::kString:
        write(found.node, [&](ColumnWriter writer) {
          return writer.string({found.text.data() - 1, found.text.size() + 2}, found.text, false);
        });
        break;
      case JsonShapes::Kind::kNumber:
        // Whether it is an integer the conversion to one sees as well.
        write(found.node, [&](ColumnWriter writer) { return writer.number(found.text, true); });
        break;
      default:
        if (found.text[0] != 'n')
          write(found.node, [&](ColumnWriter writer) { return writer.boolean(found.text); });
    }
  }

  // A value begins at `node`. If one did before in this event, it is a duplicate member, and nothing
  // of the earlier one counts, whatever was inside.
  void enter(std::uint32_t node) {
    if (seen[node] == event_number) [[unlikely]]
      forget(node);
    seen[node] = event_number;
  }
  void forget(std::uint32_t node) {
    seen[node] = 0;
    const PathTrie::Node& here = trie.node(node);
    for (const std::uint32_t column : here.columns) {
      (*out)[column].valid()[row] = 0;
      if (failed[column] == event_number) take_back_failure(column);
    }
    for (const PathTrie::Member& member : here.members) forget(member.node);
    for (const PathTrie::Element& element : here.elements) forget(element.node);
  }
  void take_back_failure(std::uint32_t column) {
    failed[column] = 0;
    --failures[column];
    --event_failures;
  }
  template <class Convert>
  void write(std::uint32_t node, Convert&& convert) {
    for (const std::uint32_t column : trie.node(node).columns) {
      if (!convert(ColumnWriter{(*out)[column], row, *arena})) [[unlikely]] {
        failed[column] = event_number;
        ++failures[column];
        ++event_failures;
      }
    }
  }
  template <class Convert>
  void each(std::uint32_t node, Convert&& convert) {
    enter(node);
    write(node, convert);
  }

  const std::vector<StreamColumn> columns;
  const PathTrie trie;
  JsonShapes shapes;
  JsonIndex index;
  JsonWalk<Impl> walk;
  std::vector<std::uint64_t> seen;      // Per node: the last event that had it.
  std::vector<std::uint64_t> failed;    // Per column: the last event whose value did not convert.
  std::vector<std::uint64_t> failures;  // Per column, of valid events.
  std::size_t event_failures = 0;       // Columns with one in this event.
  std::uint64_t event_number = 0;
  std::vector<Vector>* out = nullptr;
  Arena* arena = nullptr;
  std::size_t row = 0;
};

JsonDecoder::JsonDecoder(std::vector<StreamColumn> columns)
    : impl_(std::make_unique<Impl>(std::move(columns))) {}
JsonDecoder::~JsonDecoder() = default;
JsonDecoder::JsonDecoder(JsonDecoder&&) noexcept = default;
JsonDecoder& JsonDecoder::operator=(JsonDecoder&&) noexcept = default;

void JsonDecoder::start(std::vector<Vector>& out) {
  out.resize(impl_->columns.size());
  for (std::size_t i = 0; i < out.size(); ++i) out[i].reset(impl_->columns[i].type, kVectorRows);
}

// Stage 1 copies an event's last partial block itself, so without `padded`, and the short cut, nothing is ever read
// past the event; text keeps pointing into the caller's bytes either way.
bool JsonDecoder::decode(std::string_view event, std::size_t row, std::vector<Vector>& out, Arena& arena,
                         bool padded) {
  Impl& impl = *impl_;
  ++impl.event_number;
  impl.event_failures = 0;
  impl.out = &out;
  impl.arena = &arena;
  impl.row = row;
  const bool attempted = padded && impl.shapes.attempt();
  if (attempted && impl.shapes.match(event)) [[likely]] {
    for (const JsonShapes::Found& found : impl.shapes.found()) impl.take(found);
    return true;
  }
  JsonVerdict verdict = impl.index.build(event);
  if (verdict.number == 0) verdict = impl.walk.run(event, impl.index, &impl.trie, impl);
  if (verdict.number == 0) [[likely]] {
    if (attempted) impl.shapes.learn(event, impl.index);
    return true;
  }
  impl.forget(0);
  return false;
}

const std::vector<std::uint64_t>& JsonDecoder::conversion_failures() const {
  return impl_->failures;
}

std::size_t JsonDecoder::event_failures() const { return impl_->event_failures; }

bool JsonDecoder::event_failed(std::size_t column) const {
  return impl_->event_number != 0 && impl_->failed[column] == impl_->event_number;
}

}  // namespace kappa::processor
