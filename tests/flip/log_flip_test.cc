// Goal: whatever single thing happens to the bytes of a log directory, never is a wrong byte served,
// never does an event below the watermark disappear without a report, and what is reported damaged is
// exactly what is not served.
//
// Method: a log of six small segments, once closed cleanly and once as a SIGKILL leaves it, in memory.
// One change is made to a copy: every bit of every header page, batch header, footer, index, CONTROL and
// MANIFEST; a hundred thousand seeded bits elsewhere; every 512-byte block zeroed, swapped, doubled; every
// file cut, deleted, replaced by an older copy or by another file. The copy is opened as a server would
// and read only, everything is read, forward and by topic, and compared with what was appended.
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <optional>
#include <random>
#include <set>

#include "log/format.h"
#include "log/log.h"
#include "tests/log/sim/memory_file_system.h"

namespace kappa::flip {
namespace {

using log::Log;
using log::LogOptions;
using log::sim::MemoryFileSystem;
using log::sim::Tree;
// Name within the log's directory -> content, without the directory.
using Image = std::map<std::string, std::string>;

constexpr const char* kDirectory = "/log";

Image image_of(const MemoryFileSystem& files) {
  Image image;
  for (auto& [path, bytes] : files.tree().files) image[std::filesystem::path(path).filename()] = bytes;
  return image;
}
Tree tree_of(const Image& image) {
  Tree tree;
  tree.directories = {"/", kDirectory};
  for (const auto& [name, bytes] : image) tree.files[std::string(kDirectory) + "/" + name] = bytes;
  return tree;
}

struct FixedClock final : log::Clock {
  Timestamp now() override { return Timestamp(1'700'000'000'000'000 + (ticks_ += 1000)); }
  std::int64_t ticks_ = 0;
};

struct TrueBatch {
  Offset from;
  Offset to;
  TopicId topic;
  std::uint64_t header_hash = 0;
  std::string body;
};

struct Range {
  std::uint64_t from = 0;
  std::uint64_t to = 0;
};

// A directory and the truth about it.
struct Scene {
  std::string name;
  Image image;
  Tree tree;  // The same, as it is opened.
  std::vector<Image> older;
  std::vector<TrueBatch> truth;
  Offset end;
  Offset watermark;  // Events below may not disappear unreported.
};

LogOptions options(log::FileSystem& files, log::Clock& clock, bool read_only) {
  LogOptions out;
  out.directory = kDirectory;
  out.segment_bytes = limits::kSegmentBytesMin;
  out.prepared_segments = 0;
  out.cached_bytes = UINT64_MAX;
  out.read_only = read_only;
  out.clock = &clock;
  out.files = &files;
  return out;
}

log::AppendBatch events(TopicId topic, std::mt19937_64& random) {
  BatchBuilder builder;
  for (std::uint64_t n = 1 + random() % 4; n > 0; --n) {
    const std::string value(50 + random() % 400, static_cast<char>('a' + random() % 26));
    EXPECT_TRUE(builder.add({.value = value, .key = {}, .timestamp = {}, .headers = {}}));
  }
  log::AppendBatch batch;
  batch.topic = topic;
  batch.count = builder.count();
  batch.body = builder.take();
  batch.uncompressed_length = static_cast<std::uint32_t>(batch.body.size());
  batch.producer_id = ProducerId(7);
  return batch;
}

std::vector<TrueBatch> read_truth(Log& log) {
  std::vector<TrueBatch> truth;
  const auto reader = log.reader(Offset(0), {});
  for (;;) {
    const auto view = reader->next();
    EXPECT_TRUE(view) << to_string(view.error());
    if (!view || !*view) return truth;
    const log::BatchView& batch = **view;
    truth.push_back({batch.header.base_offset, batch.header.end_offset(), batch.header.topic_id, batch.header_hash,
                     std::string(as_text(batch.body))});
  }
}

Offset watermark_of(const Image& image) {
  const auto page = log::decode_control(as_bytes(image.at("CONTROL")));
  return page ? page->watermark_offset : Offset(0);
}

// First the scene a SIGKILL leaves, then the one of a clean end.
std::vector<Scene> make_scenes(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  MemoryFileSystem files;
  FixedClock clock;
  auto log = std::move(*Log::open(options(files, clock, false)));
  Scene killed{"killed", {}, {}, {}, {}, {}, {}};
  Scene closed{"closed", {}, {}, {}, {}, {}, {}};
  const TopicId topics[] = {*log->ensure_topic("one"), *log->ensure_topic("two")};
  std::uint64_t sequence[2] = {0, 0};
  std::size_t appended = 0;
  const auto append = [&] {
    const std::size_t i = random() % 3 == 0 ? 1 : 0;
    log::AppendBatch batch = events(topics[i], random);
    batch.producer_sequence = sequence[i];
    sequence[i] += batch.count;
    const auto ack = log->append(std::move(batch));
    ASSERT_TRUE(ack) << to_string(ack.error());
    if (++appended % 16 == 5) {
      ASSERT_TRUE(log->append_system("key" + std::to_string(appended % 3), "value"));
    }
  };
  while (log->status().segments < 6) {
    append();
    if (appended % 11 == 0) killed.older.push_back(image_of(files));
  }
  for (int i = 0; i < 5; ++i) append();
  // The watermark is written when the log is idle for a moment: some append ends with it behind.
  for (;;) {
    append();
    killed.image = image_of(files);
    killed.watermark = watermark_of(killed.image);
    if (killed.watermark < log->durable_end()) break;
  }
  killed.end = log->durable_end();
  killed.truth = read_truth(*log);
  // The sealing of the last but one segment ends with the log at the latest.
  log.reset();
  closed.image = image_of(files);
  closed.older = killed.older;
  closed.truth = killed.truth;
  closed.end = killed.end;
  closed.watermark = watermark_of(closed.image);
  EXPECT_EQ(closed.watermark, closed.end);
  killed.tree = tree_of(killed.image);
  closed.tree = tree_of(closed.image);
  return {killed, closed};
}

// Every "offsets [a, b)" of a text.
std::vector<Range> ranges_in(std::string_view text) {
  static constexpr std::string_view kMark = "offsets [";
  std::vector<Range> found;
  for (std::size_t at = text.find(kMark); at != std::string_view::npos; at = text.find(kMark, at + 1)) {
    Range range;
    const char* end = text.data() + text.size();
    auto parsed = std::from_chars(text.data() + at + kMark.size(), end, range.from);
    if (parsed.ec != std::errc{} || end - parsed.ptr < 3) continue;
    parsed = std::from_chars(parsed.ptr + 2, end, range.to);
    if (parsed.ec == std::errc{}) found.push_back(range);
  }
  return found;
}

class LogFlip : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    spdlog::set_level(spdlog::level::off);  // A line a case would be most of the time.
    seed_ = std::random_device{}();
    if (const char* given = std::getenv("KAPPA_SEED")) seed_ = std::strtoull(given, nullptr, 10);
    std::printf("seed %llu\n", static_cast<unsigned long long>(seed_));
    scenes_ = make_scenes(seed_);
  }
  static void TearDownTestSuite() { scenes_.clear(); }

  void SetUp() override { started_ = std::chrono::steady_clock::now(); }
  void TearDown() override {
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started_;
    std::printf("%llu cases, %llu with damage reported, %llu not opened, %.1f s\n",
                static_cast<unsigned long long>(cases_), static_cast<unsigned long long>(reported_),
                static_cast<unsigned long long>(refused_), took.count());
  }

  // What one opening of a changed directory showed.
  struct Seen {
    bool opened = false;
    bool damaged = false;  // status().damage, or a read that failed.
    std::vector<Range> unread;
    Offset end;
    Error refusal;
  };

  // Opens and reads everything; checks what holds for every change. `what` describes the change.
  Seen look(const Scene& scene, const Tree& tree, bool read_only, const std::string& what) {
    ++cases_;
    Seen seen;
    MemoryFileSystem files(tree);
    FixedClock clock;
    auto opened = Log::open(options(files, clock, read_only));
    if (!opened) {
      ++refused_;
      seen.refusal = opened.error();
      return seen;
    }
    seen.opened = true;
    Log& log = **opened;
    const auto damage = log.status().damage;
    seen.end = log.durable_end();
    read(scene, log, {}, seen.unread, what);
    for (const TopicId topic : {TopicId(1), TopicId(2)}) {
      std::vector<Range> of_topic;
      read(scene, log, topic, of_topic, what);
    }
    seen.damaged = damage.has_value() || !seen.unread.empty();
    if (seen.damaged) ++reported_;
    // Nothing below the watermark may be gone without a word.
    if (seen.end < scene.watermark) {
      const auto ranges = ranges_in(damage.value_or(""));
      const bool told = std::ranges::any_of(ranges, [&](const Range& range) {
        return range.from <= seen.end.value() && range.to >= scene.watermark.value();
      });
      EXPECT_TRUE(told) << what << ": ends at " << seen.end.value() << ", " << scene.watermark.value()
                        << " were durable; report: " << damage.value_or("none");
    }
    EXPECT_LE(seen.end, scene.end) << what;
    if (damage) {
      EXPECT_TRUE(log.status().read_only) << what;
    }
    return seen;
  }

  // Reads to the durable end; everything served must be true, everything else reported.
  static void read(const Scene& scene, Log& log, std::optional<TopicId> topic, std::vector<Range>& unread,
                   const std::string& what) {
    const auto reader = log.reader(log.start(), {topic});
    std::uint64_t next = log.start().value();
    const std::uint64_t end = log.durable_end().value();
    std::size_t at = 0;
    for (std::size_t steps = 0; steps < 10'000; ++steps) {
      const auto view = reader->next();
      if (!view) {
        const auto ranges = ranges_in(view.error().message);
        ASSERT_EQ(ranges.size(), 1U) << what << ": " << to_string(view.error());
        ASSERT_GT(ranges[0].to, ranges[0].from) << what << ": " << to_string(view.error());
        if (!topic) {
          ASSERT_EQ(ranges[0].from, next) << what << ": " << to_string(view.error());
        }
        unread.push_back(ranges[0]);
        next = std::max(next, ranges[0].to);
        while (at < scene.truth.size() && scene.truth[at].from.value() < next) ++at;
        if (next >= end) return;
        ASSERT_TRUE(reader->seek(Offset(next))) << what;
        continue;
      }
      if (!*view) {
        if (!topic) {
          ASSERT_EQ(next, end) << what << ": ends early";
        } else {
          while (at < scene.truth.size() && scene.truth[at].topic != *topic) ++at;
          ASSERT_TRUE(at == scene.truth.size() || scene.truth[at].from.value() >= end)
              << what << ": topic " << topic->value() << " lacks offset " << scene.truth[at].from.value();
        }
        return;
      }
      const log::BatchView& batch = **view;
      if (topic) {
        while (at < scene.truth.size() && scene.truth[at].topic != *topic) ++at;
      }
      ASSERT_LT(at, scene.truth.size()) << what;
      const TrueBatch& truth = scene.truth[at];
      ASSERT_EQ(batch.header.base_offset, truth.from) << what;
      ASSERT_EQ(batch.header_hash, truth.header_hash) << what;
      ASSERT_TRUE(as_text(batch.body) == truth.body) << what << ": another body at " << truth.from.value();
      next = truth.to.value();
      ++at;
    }
    FAIL() << what << ": reading does not end";
  }

  // Both ways to open. `exact`: offsets that may be unreadable, nothing else.
  void check(const Scene& scene, const Tree& tree, const std::string& what, std::optional<Range> exact = {}) {
    for (const bool read_only : {true, false}) {
      const std::string full = scene.name + (read_only ? ", read only, " : ", ") + what;
      const Seen seen = look(scene, tree, read_only, full);
      if (exact) {
        EXPECT_TRUE(seen.opened) << full << ": " << to_string(seen.refusal);
        for (const Range& range : seen.unread) {
          EXPECT_TRUE(range.from >= exact->from && range.to <= exact->to)
              << full << ": reports [" << range.from << ", " << range.to << "), damaged is [" << exact->from << ", "
              << exact->to << ")";
        }
      } else if (!seen.opened) {
        EXPECT_TRUE(seen.refusal.code == ErrorCode::kCorrupt || seen.refusal.code == ErrorCode::kNotFound)
            << full << ": " << to_string(seen.refusal);
      }
      if (HasFailure()) return;
    }
  }

  static Tree with(const Scene& scene, const std::string& name, std::string bytes) {
    Tree changed = scene.tree;
    changed.files[path_of(name)] = std::move(bytes);
    return changed;
  }
  static std::string path_of(const std::string& name) { return std::string(kDirectory) + "/" + name; }

  // Leaves the scene as it was.
  void flip(Scene& scene, const std::string& name, std::size_t byte, unsigned bit, bool both,
            std::optional<Range> exact) {
    char& changed = scene.tree.files.at(path_of(name))[byte];
    const char before = changed;
    changed = static_cast<char>(static_cast<unsigned char>(before) ^ (1U << bit));
    const std::string what = name + " byte " + std::to_string(byte) + " bit " + std::to_string(bit);
    if (both) {
      check(scene, scene.tree, what, exact);
    } else {
      look(scene, scene.tree, true, scene.name + ", read only, " + what);
    }
    changed = before;
  }

  static bool same_in(const Scene& scene, const std::string& name, const std::string& bytes) {
    const auto found = scene.image.find(name);
    return found != scene.image.end() && found->second == bytes;
  }
  static bool is_segment(const std::string& name) { return name.ends_with(".segment"); }

  // Where a batch's bytes lie in its segment file.
  struct Place {
    std::size_t at = 0;
    std::size_t bytes = 0;
    Range offsets;
  };
  static std::vector<Place> places(const std::string& segment) {
    std::vector<Place> found;
    const auto header = log::decode_segment_header(as_bytes(segment));
    EXPECT_TRUE(header);
    std::size_t at = log::kSegmentHeaderBytes;
    while (at + kBatchHeaderBytes <= segment.size()) {
      const auto batch = decode_batch_header(as_bytes(segment).subspan(at), header->log_id.low);
      if (!batch) break;
      found.push_back({at, batch->stored_bytes(), {batch->base_offset.value(), batch->end_offset().value()}});
      at += batch->stored_bytes();
    }
    return found;
  }

  inline static std::uint64_t seed_ = 0;
  inline static std::vector<Scene> scenes_;
  std::chrono::steady_clock::time_point started_;
  std::uint64_t cases_ = 0;
  std::uint64_t reported_ = 0;
  std::uint64_t refused_ = 0;
};

TEST_F(LogFlip, UnchangedDirectoriesAreWhole) {
  for (Scene& scene : scenes_) {
    for (const bool read_only : {true, false}) {
      const Seen seen = look(scene, scene.tree, read_only, scene.name);
      ASSERT_TRUE(seen.opened);
      EXPECT_FALSE(seen.damaged);
      EXPECT_EQ(seen.end, scene.end);
    }
    std::size_t segments = 0;
    for (const auto& [name, bytes] : scene.image) segments += is_segment(name) ? 1 : 0;
    EXPECT_GE(segments, 3U);
  }
}

TEST_F(LogFlip, EveryBitOfHeaderPagesBatchHeadersAndFooters) {
  for (Scene& scene : scenes_) {
    for (const auto& [name, shared] : scene.image) {
      // What both scenes have is changed in one of them.
      if (!is_segment(name) || (&scene == &scenes_[0] && same_in(scenes_[1], name, shared))) continue;
      const std::string& bytes = shared;
      // What the header page holds, then its hash.
      for (std::size_t byte = 0; byte < log::kSegmentHeaderBytes; ++byte) {
        if (byte == 64) byte = log::kSegmentHeaderBytes - 8;
        for (unsigned bit = 0; bit < 8; ++bit) flip(scene, name, byte, bit, true, {});
        if (HasFailure()) return;
      }
      std::size_t end = log::kSegmentHeaderBytes;
      for (const Place& place : places(bytes)) {
        for (std::size_t byte = 0; byte < kBatchHeaderBytes; ++byte)
          for (unsigned bit = 0; bit < 8; ++bit) {
            flip(scene, name, place.at + byte, bit, (byte * 8 + bit) % 4 == seed_ % 4, {});
            if (HasFailure()) return;
          }
        end = place.at + place.bytes;
      }
      if (bytes.compare(end, 4, "KFTR") != 0) continue;
      for (std::size_t byte = end; byte < bytes.size(); ++byte)
        for (unsigned bit = 0; bit < 8; ++bit) {
          flip(scene, name, byte, bit, true, {});
          if (HasFailure()) return;
        }
    }
  }
}

TEST_F(LogFlip, EveryBitOfControlManifestAndIndexes) {
  for (Scene& scene : scenes_) {
    for (const auto& [name, bytes] : scene.image) {
      const bool derived = name.ends_with(".index");
      if (name != "CONTROL" && name != "MANIFEST" && !derived) continue;
      if (&scene == &scenes_[0] && same_in(scenes_[1], name, bytes)) continue;
      for (std::size_t byte = 0; byte < bytes.size(); ++byte) {
        // The zeros of a control page, which its hash covers, once.
        const std::size_t in_page = byte % log::kControlPageBytes;
        const bool zeros = name == "CONTROL" && in_page >= 64 && in_page < log::kControlPageBytes - 8;
        if (zeros && &scene == &scenes_[0]) continue;
        for (unsigned bit = 0; bit < 8; ++bit) {
          // A derived file costs nothing at all.
          const std::optional<Range> nothing = derived ? std::optional<Range>(Range{}) : std::nullopt;
          flip(scene, name, byte, bit, !zeros && bit == byte % 8, nothing);
          if (HasFailure()) return;
        }
      }
    }
  }
}

TEST_F(LogFlip, AHundredThousandBitsElsewhere) {
  std::mt19937_64 random(seed_ + 1);
  struct Target {
    std::size_t scene = 0;
    std::string name;
    std::vector<Place> places;
  };
  std::vector<Target> targets;
  for (std::size_t i = 0; i < scenes_.size(); ++i)
    for (const auto& [name, bytes] : scenes_[i].image)
      if (is_segment(name)) targets.push_back({i, name, places(bytes)});
  for (int n = 0; n < 100'000; ++n) {
    const Target& target = targets[random() % targets.size()];
    Scene& scene = scenes_[target.scene];
    const std::size_t byte = random() % scene.image.at(target.name).size();
    const auto hit = std::ranges::find_if(target.places, [byte](const Place& place) {
      return byte >= place.at && byte < place.at + place.bytes;
    });
    // A flip within one batch costs that batch at most, and nothing of a clean log's other bytes. What the
    // last segment's chain loses is decided by recovery, whose reports look() compares.
    std::optional<Range> exact;
    const bool last = target.name == targets[target.scene == 0 ? 0 : targets.size() - 1].name;
    if (!last && hit != target.places.end() && hit->at + kBatchHeaderBytes <= byte) exact = hit->offsets;
    flip(scene, target.name, byte, static_cast<unsigned>(random() % 8), n % 8 == 0, exact);
    if (HasFailure()) return;
  }
}

TEST_F(LogFlip, EveryBlockZeroedSwappedAndDoubled) {
  static constexpr std::size_t kBlock = 512;
  std::mt19937_64 random(seed_ + 2);
  for (Scene& scene : scenes_) {
    for (const auto& [name, shared] : scene.image) {
      const std::string& bytes = shared;
      for (std::size_t at = 0; at < bytes.size(); at += kBlock) {
        const std::size_t size = std::min(kBlock, bytes.size() - at);
        const std::string where = name + " block " + std::to_string(at / kBlock);
        std::string zeroed = bytes;
        std::fill_n(zeroed.begin() + static_cast<std::ptrdiff_t>(at), size, '\0');
        check(scene, with(scene, name, std::move(zeroed)), where + " zeroed");
        const std::size_t blocks = (bytes.size() + kBlock - 1) / kBlock;
        for (const std::size_t other : {at + kBlock, random() % blocks * kBlock}) {
          if (other >= bytes.size() || other == at) continue;
          const std::size_t both = std::min({size, kBlock, bytes.size() - other});
          std::string swapped = bytes;
          swapped.replace(at, both, bytes, other, both);
          std::string doubled = swapped;
          swapped.replace(other, both, bytes, at, both);
          check(scene, with(scene, name, std::move(swapped)), where + " swapped with " + std::to_string(other / kBlock));
          check(scene, with(scene, name, std::move(doubled)), where + " replaced by " + std::to_string(other / kBlock));
        }
        if (HasFailure()) return;
      }
    }
  }
}

TEST_F(LogFlip, EveryFileCutDeletedOrReplaced) {
  for (Scene& scene : scenes_) {
    for (const auto& [name, shared] : scene.image) {
      Tree deleted = scene.tree;
      deleted.files.erase(path_of(name));
      check(scene, deleted, name + " deleted");
      for (std::size_t size = 0; size < shared.size(); size += 512)
        check(scene, with(scene, name, shared.substr(0, size)), name + " cut at " + std::to_string(size));
      for (std::size_t i = 0; i < scene.older.size(); ++i) {
        const auto old = scene.older[i].find(name);
        if (old == scene.older[i].end() || old->second == shared) continue;
        check(scene, with(scene, name, old->second), name + " replaced by its copy " + std::to_string(i));
      }
      for (const auto& [other, content] : scene.image) {
        if (other == name) continue;
        check(scene, with(scene, name, content), name + " replaced by " + other);
      }
      if (HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace kappa::flip
