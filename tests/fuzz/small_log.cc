// See small_log.h.
#include "tests/fuzz/small_log.h"

#include <cstring>

#include "log/log_state.h"
#include "log/segment_index.h"
#include "proto/check.h"

namespace kappa::fuzz {
namespace {

using log::ControlPage;
using log::kControlPageBytes;
using log::kSegmentHeaderBytes;

constexpr std::uint64_t kSegmentBytes = 16 << 10;
constexpr std::size_t kBatchHashAt = 152;

std::uint32_t magic_of(std::string_view text) {
  std::uint32_t magic = 0;
  std::memcpy(&magic, text.data(), sizeof magic);
  return magic;
}

void put_hash(std::string& out, std::size_t at, std::uint64_t seed, std::size_t from, std::size_t bytes) {
  const std::uint64_t hash = hash_bytes(as_bytes(std::string_view(out).substr(from, bytes)), seed);
  std::memcpy(out.data() + at, &hash, sizeof hash);
}

// Writes a log batch by batch, as the writer and the sealer would.
class Builder {
 public:
  explicit Builder(SmallLog& out) : out_(out) {
    out_.id = {0x1122334455667788u, 0x99aabbccddeeff00u};
    open_segment();
  }

  void topic(std::uint32_t id, std::string_view name) {
    BatchHeader header;
    header.kind = BatchKind::kTopic;
    header.topic_id = TopicId(id);
    add(header, std::string(name), name.size());
  }
  void events(std::uint32_t topic, const std::vector<std::string>& values, std::uint64_t producer = 0,
              std::uint64_t sequence = 0, bool compressed = false, BatchKind kind = BatchKind::kEvents) {
    BatchBuilder body;
    for (const std::string& value : values) {
      KAPPA_CHECK(
          body.add({.value = value, .key = "k", .timestamp = Timestamp(5), .headers = {}}).has_value(),
          "an event of the small log");
      out_.values.push_back(value);
    }
    BatchHeader header;
    header.kind = kind;
    header.codec = compressed ? Codec::kZstd : Codec::kNone;
    header.all_timestamps_explicit = true;
    header.count = body.count();
    header.topic_id = TopicId(topic);
    header.base_sequence = TopicSequence(state_.topics[topic].next_sequence);
    header.min_timestamp = header.max_timestamp = Timestamp(5);
    header.producer_id = ProducerId(producer);
    header.producer_sequence = sequence;
    const std::string plain = body.take();
    add(header, compressed ? compress_body(plain) : plain, plain.size());
  }
  // Everything so far is below the watermark.
  void watermark() {
    durable_ = position_;
    ControlPage page;
    page.log_id = out_.id;
    page.writer_epoch = WriterEpoch(1);
    page.watermark = position_;
    page.watermark_offset = out_.watermark_offset = state_.next_offset;
    std::string& control = out_.files[log::kControlName];
    control.resize(2 * kControlPageBytes);
    page.generation = ++generation_;
    control.replace((generation_ % 2) * kControlPageBytes, kControlPageBytes, encode_control_page(page));
  }
  void roll() {
    std::string& file = segment();
    const log::SegmentFooter footer = index_->footer();
    file.resize(at_);
    const std::string encoded = encode_footer(footer, out_.id.low);
    file += encoded;
    out_.files[log::index_name(header_.number, header_.base_offset)] = index_->encode(out_.id.low);
    manifest_.sealed.push_back({header_.number, footer.base_offset, footer.end_offset, footer.base_position,
                                footer.end_position, file.size(), hash_bytes(as_bytes(encoded), 0)});
    open_segment();
  }
  void finish() {
    manifest_.log_id = out_.id;
    out_.files[log::kManifestName] = encode_manifest(manifest_);
    out_.files[log::kLockName];
  }

 private:
  std::string& segment() { return out_.files[out_.segment_names.back()]; }

  void open_segment() {
    header_ = {out_.id, header_.number + 1, state_.next_offset, position_, previous_};
    out_.segments.push_back(header_);
    out_.segment_names.push_back(log::segment_name(header_.number, header_.base_offset));
    out_.batches.emplace_back();
    segment() = encode_segment_header(header_);
    segment().resize(kSegmentBytes);
    index_ = std::make_unique<log::SegmentIndex>(header_);
    at_ = kSegmentHeaderBytes;
    for (const std::string& part : state_.snapshot()) {
      BatchHeader header;
      header.kind = BatchKind::kSnapshot;
      add(header, part, part.size());
    }
  }

  void add(BatchHeader header, const std::string& body, std::size_t plain_bytes) {
    header.body_length = static_cast<std::uint32_t>(body.size());
    header.uncompressed_length = static_cast<std::uint32_t>(plain_bytes);
    header.base_offset = state_.next_offset;
    header.log_position = position_;
    header.durable_upto = durable_;
    header.writer_epoch = WriterEpoch(1);
    header.previous_header_hash = previous_;
    header.append_time = Timestamp(1'700'000'000'000'000 + static_cast<std::int64_t>(position_.value()));
    header.body_hash = hash_body(as_bytes(body));
    char raw[kBatchHeaderBytes];
    previous_ = encode_batch_header(header, out_.id.low, reinterpret_cast<std::byte*>(raw));
    std::string& file = segment();
    KAPPA_CHECK(at_ + header.stored_bytes() <= file.size(), "the small log outgrows its segments");
    file.replace(at_, sizeof raw, raw, sizeof raw);
    file.replace(at_ + sizeof raw, body.size(), body);
    KAPPA_CHECK(state_.apply(header, as_bytes(body)).has_value(), "a batch of the small log");
    index_->add(header, previous_, at_);
    out_.batches.back().push_back(at_);
    at_ += header.stored_bytes();
    position_ += header.stored_bytes();
  }

  SmallLog& out_;
  log::LogState state_;
  log::Manifest manifest_;
  log::SegmentHeader header_;
  std::unique_ptr<log::SegmentIndex> index_;
  LogPosition position_;
  LogPosition durable_;
  std::uint64_t previous_ = 0;
  std::uint64_t at_ = 0;
  std::uint64_t generation_ = 0;
};

}  // namespace

const SmallLog& small_log() {
  static const SmallLog made = [] {
    SmallLog out;
    Builder builder(out);
    builder.topic(1, "hits");
    builder.events(1, {R"({"a":1})", R"({"a":2})", "not json"});
    builder.events(0, {"CREATE STREAM hits (a BIGINT)"}, 0, 0, false, BatchKind::kCatalog);
    builder.events(1, {R"({"a":3})"}, 77, 0);
    builder.watermark();
    builder.topic(2, "other");
    builder.events(2, {"x", "y", "z"}, 77, 0);
    builder.watermark();
    builder.roll();
    builder.events(1, {std::string(300, 'c'), std::string(400, 'c')}, 0, 0, true);
    builder.events(2, {"p"}, 77, 3);
    builder.events(1, {R"({"a":4})"}, 77, 1);
    builder.watermark();
    builder.roll();
    builder.events(1, {R"({"a":5})", R"({"a":6})"}, 77, 2);
    builder.events(2, {"q"}, 77, 4);
    builder.watermark();
    builder.events(1, {R"({"a":7})"}, 77, 4);
    builder.events(2, {std::string(600, 'w')}, 78, 0);
    builder.finish();
    return out;
  }();
  return made;
}

void fix_batch_hashes(std::string& segment, std::uint64_t at, std::uint64_t seed) {
  if (at > segment.size() || segment.size() - at < kBatchHeaderBytes) return;
  std::uint32_t body = 0;
  std::memcpy(&body, segment.data() + at + 12, sizeof body);
  if (body <= segment.size() - at - kBatchHeaderBytes) {
    const std::uint64_t hash =
        hash_body(as_bytes(std::string_view(segment).substr(at + kBatchHeaderBytes, body)));
    std::memcpy(segment.data() + at + 120, &hash, sizeof hash);
  }
  put_hash(segment, at + kBatchHashAt, seed, at, kBatchHashAt);
}

void fix_page_hash(std::string& file, std::uint64_t at, std::string_view magic) {
  // The manifest is one page of any length.
  const std::size_t bytes = magic == "KMAN" ? file.size() : kSegmentHeaderBytes;
  if (bytes < 8 || at > file.size() || file.size() - at < bytes) return;
  put_hash(file, at + bytes - 8, magic_of(magic), at, bytes - 8);
}

void fix_footer_hash(std::string& segment, std::uint64_t at, std::uint64_t seed) {
  if (at > segment.size() || segment.size() - at < 136) return;
  std::uint64_t topics = 0;
  std::memcpy(&topics, segment.data() + at + 8, sizeof topics);
  if (topics > (segment.size() - at - 136) / 24) return;
  put_hash(segment, at + 128 + topics * 24, seed, at, 128 + topics * 24);
}

void fix_index_hash(std::string& file, std::uint64_t seed) {
  if (file.size() < 8) return;
  put_hash(file, file.size() - 8, seed, 0, file.size() - 8);
}

void chain_again(std::string& segment, const std::vector<std::uint64_t>& batches, std::size_t from,
                 std::uint64_t seed) {
  for (std::size_t i = from; i < batches.size(); ++i) {
    if (batches[i] + kBatchHeaderBytes > segment.size()) return;
    if (i > 0)
      std::memcpy(segment.data() + batches[i] + 64, segment.data() + batches[i - 1] + kBatchHashAt, 8);
    fix_batch_hashes(segment, batches[i], seed);
  }
}

}  // namespace kappa::fuzz
