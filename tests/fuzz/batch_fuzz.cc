// Batches and the log's files from disk. Promises, whatever the bytes: bodies, headers, segments and the
// files beside them are decoded or refused; what decodes encodes to the same bytes; searches end, and
// find only what verifies, inside the file; replaying what verifies is done or refused.
//
// Input: a byte that chooses, then a body, a header, a file of the log (its hash put right), or edits of a
// segment of the small log.
#include "log/log_state.h"
#include "log/segment.h"
#include "tests/fuzz/edits.h"
#include "tests/fuzz/targets.h"

namespace kappa::fuzz {
namespace {

constexpr std::size_t kInputBytesMax = 4096;
constexpr std::uint64_t kSeed = 1;

void body(Input& in) {
  const std::uint32_t count = in.choice(8) == 0 ? in.u32() : in.u8();
  const Bytes bytes = as_bytes(in.rest());
  const auto summary = validate_body(bytes, count);
  RecordReader reader(bytes, count);
  BatchBuilder again;
  std::uint32_t records = 0;
  auto record = reader.next();
  for (; record && *record; record = reader.next(), ++records) {
    const auto headers = decode_headers((*record)->headers);
    KAPPA_CHECK(headers.has_value(), "a record is taken whose headers are not");
    KAPPA_CHECK(again.add({(*record)->value, (*record)->key, (*record)->timestamp, *headers}).has_value(),
                "a record that was read cannot be written");
  }
  KAPPA_CHECK(record.has_value() == summary.has_value(), "validation and reading differ");
  if (!summary) return;
  KAPPA_CHECK(records == count, "a body has another number of records");
  const auto second = validate_body(as_bytes(again.body()), count);
  KAPPA_CHECK(second && second->min_timestamp == summary->min_timestamp &&
                  second->max_timestamp == summary->max_timestamp &&
                  second->all_timestamps_explicit == summary->all_timestamps_explicit,
              "a body written again says something else");
}

void header(Input& in) {
  std::string bytes(in.rest());
  bytes.resize(kBatchHeaderBytes);
  std::memcpy(bytes.data(), "KBAT\xa0\x00\x01", 7);
  fix_batch_hashes(bytes, 0, kSeed);
  const auto decoded = decode_batch_header(as_bytes(bytes), kSeed);
  if (!decoded) return;
  std::string again(kBatchHeaderBytes, '\0');
  static_cast<void>(encode_batch_header(*decoded, kSeed, reinterpret_cast<std::byte*>(again.data())));
  KAPPA_CHECK(again == bytes, "a header encodes to other bytes than it was read from");
  KAPPA_CHECK(decoded->stored_bytes() % kBatchAlignment == 0 && decoded->stored_bytes() >= kBatchHeaderBytes,
              "a batch's size");
  KAPPA_CHECK(decoded->end_offset() >= decoded->base_offset, "a batch ends before it begins");
}

// A snapshot body of a control batch: replayed, written, replayed again.
void snapshot(Input& in) {
  BatchHeader batch;
  batch.kind = BatchKind::kSnapshot;
  log::LogState state;
  if (!state.apply(batch, as_bytes(in.rest()))) return;
  const std::vector<std::string> parts = state.snapshot();
  log::LogState again;
  for (const std::string& part : parts)
    KAPPA_CHECK(again.apply(batch, as_bytes(part)).has_value(), "a snapshot that was written is refused");
  KAPPA_CHECK(again.snapshot() == parts, "a snapshot changes when it is replayed");
}

void page(std::string_view magic, std::string& bytes) {
  bytes.resize(log::kSegmentHeaderBytes);
  bytes.replace(0, 4, magic);
  fix_page_hash(bytes, 0, magic);
}

// Files with the right hash over anything.
void log_file(Input& in) {
  const std::size_t kind = in.choice(5);
  std::string bytes(in.rest());
  switch (kind) {
    case 0: {
      page("KSEG", bytes);
      const auto decoded = log::decode_segment_header(as_bytes(bytes));
      if (!decoded) return;
      KAPPA_CHECK(log::decode_segment_header(as_bytes(encode_segment_header(*decoded))) == *decoded,
                  "a segment header changes");
      return;
    }
    case 1: {
      page("KCTL", bytes);
      const auto decoded = log::decode_control(as_bytes(bytes));
      if (!decoded) return;
      KAPPA_CHECK(log::decode_control(as_bytes(encode_control_page(*decoded))) == *decoded,
                  "a control page changes");
      return;
    }
    case 2: {
      if (bytes.size() < 12) return;
      bytes.replace(0, 4, "KMAN");
      fix_page_hash(bytes, 0, "KMAN");
      const auto decoded = log::decode_manifest(bytes);
      if (!decoded) return;
      KAPPA_CHECK(encode_manifest(*decoded).size() <= bytes.size() + 56, "a manifest grows");
      KAPPA_CHECK(log::decode_manifest(encode_manifest(*decoded)) == *decoded, "a manifest changes");
      return;
    }
    case 3: {
      if (bytes.size() < 4) return;
      bytes.replace(0, 4, "KFTR");
      fix_footer_hash(bytes, 0, kSeed);
      const auto decoded = log::decode_footer(as_bytes(bytes), kSeed);
      if (!decoded) return;
      KAPPA_CHECK(log::decode_footer(as_bytes(encode_footer(*decoded, kSeed)), kSeed) == *decoded,
                  "a footer changes");
      return;
    }
    default: {
      // An index of the first segment, with a sound footer inside where the input does not say otherwise.
      const SmallLog& small = small_log();
      std::string file = small.files.at(log::index_name(1, Offset(0)));
      Input edits(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
      for (int i = 0; i < 4 && !edits.empty(); ++i) damage_bytes(edits, file);
      fix_index_hash(file, small.id.low);
      auto index = log::SegmentIndex::decode(as_bytes(file), small.segments[0], small.id.low);
      if (!index) return;
      const std::string once = index->encode(small.id.low);
      const auto again = log::SegmentIndex::decode(as_bytes(once), small.segments[0], small.id.low);
      KAPPA_CHECK(again && again->encode(small.id.low) == once, "an index changes");
      for (const std::uint64_t number :
           {std::uint64_t{0}, std::uint64_t{3}, std::uint64_t{100}, UINT64_MAX}) {
        static_cast<void>(index->seek_offset(Offset(number)));
        static_cast<void>(index->seek_time(Timestamp(static_cast<std::int64_t>(number))));
        std::vector<std::uint64_t> found;
        index->topic_positions(TopicId(1), number, 4, found);
        KAPPA_CHECK(found.size() <= 4, "more positions than asked for");
      }
      return;
    }
  }
}

void segment(Input& in) {
  const SmallLog& small = small_log();
  const std::size_t number = in.choice(small.segments.size());
  std::string file = small.files.at(small.segment_names[number]);
  const std::uint64_t from = in.u16();
  for (int i = 0; i < 6 && !in.empty(); ++i) {
    if (in.choice(2) == 0) {
      damage_bytes(in, file);
    } else {
      forge_segment(in, file, number);
    }
  }
  // A block of its own, so that one byte too far is seen.
  const std::vector<char> copy(file.begin(), file.end());
  const Bytes bytes = as_bytes({copy.data(), copy.size()});
  const log::SegmentHeader& page = small.segments[number];
  log::LogState state;
  std::uint64_t last = 0;
  for (auto found = log::find_batch(bytes, page, from); found;
       found = log::find_batch(bytes, page, found->at + kBatchAlignment)) {
    KAPPA_CHECK(found->at >= from && found->at > last && found->at % kBatchAlignment == 0,
                "a search goes back");
    last = found->at;
    const auto whole = log::batch_at(bytes, page, found->at);
    if (!whole) continue;
    KAPPA_CHECK(whole->header == found->header && whole->end() <= bytes.size() + kBatchAlignment,
                "a batch is longer than its file");
    KAPPA_CHECK(hash_body(whole->body) == whole->header.body_hash, "a body does not match its hash");
    static_cast<void>(state.apply(whole->header, whole->body));
    if (whole->header.codec == Codec::kZstd)
      if (const auto plain = decompress_body(whole->body, whole->header.uncompressed_length))
        static_cast<void>(validate_body(as_bytes(*plain), whole->header.count));
  }
  std::vector<log::DamagedRange> holes;
  static_cast<void>(log::scan_index(bytes, page, std::min<std::uint64_t>(bytes.size(), 12 << 10), holes));
  std::uint64_t behind = log::kSegmentHeaderBytes;
  for (const log::DamagedRange& hole : holes) {
    KAPPA_CHECK(hole.from >= behind && hole.to > hole.from && hole.last >= hole.first, "holes go back");
    behind = hole.to;
  }
  const std::uint64_t end = log::end_of_bytes(bytes, std::min<std::uint64_t>(from, bytes.size()));
  KAPPA_CHECK(end <= bytes.size(), "the end of the bytes lies behind them");
}

}  // namespace

int fuzz_batch(const std::uint8_t* data, std::size_t size) {
  Input in(data, std::min(size, kInputBytesMax));
  switch (in.choice(8)) {
    case 0:
    case 1: body(in); break;
    case 2: header(in); break;
    case 3: snapshot(in); break;
    case 4: {
      const Bytes bytes = as_bytes(in.rest());
      static_cast<void>(decode_batch_header(bytes, kSeed));
      static_cast<void>(decode_headers(as_text(bytes)));
      break;
    }
    case 5: log_file(in); break;
    default: segment(in); break;
  }
  return 0;
}

}  // namespace kappa::fuzz
