// Goal: after a power cut at any moment nothing that was promised is lost, nothing is changed or made
// up, and the log can be written again. Method: a log runs on a file system that records every
// operation (tests/log/sim/recording_file_system.h); from the recording every image that a crash can
// leave in the model of tests/log/sim/crash_state.h is built, opened and compared with what was
// submitted (check_image in tests/log/sim/model.h lists the invariants). Then once more inside the
// recovery of such images, and of logs whose process was killed before the power went.
//
// KAPPA_CRASH_PERCENT=1000 runs ten times the scenarios; =5 opens one image of twenty.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <random>

#include "log/format.h"
#include "log/segment_scan.h"
#include "tests/log/sim/enumerator.h"
#include "tests/log/sim/load.h"

namespace kappa::log::sim {
namespace {

constexpr std::uint64_t kImagesMin = 50'000;
constexpr unsigned kLoads = 2;  // Of each shape, with seeds of their own.

void report(const std::string& name, const Totals& totals) {
  std::printf("[ images   ] %s: %llu moments, %llu images built, %llu different ones opened, %.1f s\n",
              name.c_str(), static_cast<unsigned long long>(totals.moments),
              static_cast<unsigned long long>(totals.built), static_cast<unsigned long long>(totals.opened),
              totals.time.count());
}

// Lets `image` recover and take two batches, and cuts the power inside that.
Totals crash_again(const std::string& name, const CrashState& state, const Tree& cached,
                   const Numbers& numbers, std::uint64_t kept, std::uint64_t written, const Model& model,
                   const Shape& shape) {
  RecordingFileSystem files(cached, numbers, state.next_file());
  Model grown;
  {
    // What the image holds is known only to its recovery; that it is right was checked before.
    MemoryFileSystem copy(cached);
    LogOptions options = shape.options();
    options.directory = kLogDirectory;
    options.files = &copy;
    options.read_only = true;
    std::uint64_t end = 0;
    if (auto log = Log::open(options)) {
      const std::string problem = compare(**log, model, &end);
      EXPECT_EQ(problem, "") << name;
    }
    grown = model.prefix(end);
  }
  {
    Session session(files, grown, shape.options());
    session.open();
    if (::testing::Test::HasFailure()) return {};
    session.append("a", {"after the crash"}, 1);
    session.append("b", {std::string(700, 'q')}, 9);
    session.close();
  }
  EnumerateOptions options;
  options.name = name;
  options.segment_bytes = kSegmentBytes;
  options.variety.exhaustive_units = 4;
  return enumerate_crashes({state, kept, written}, files.operations(), grown, options);
}

class CrashEnumerator : public ::testing::TestWithParam<Shape> {};

TEST_P(CrashEnumerator, EveryPrefixAndEveryPartOfWhatIsNotSynced) {
  const unsigned loads = kLoads * std::max(1u, percent() / 100);
  for (unsigned i = 0; i < loads; ++i) {
    Shape shape = GetParam();
    shape.seed += 1000 * i;
    SCOPED_TRACE(shape.text());
    const Recorded recorded = record(shape, 6);
    if (HasFailure()) return;
    EnumerateOptions options;
    options.name = shape.text();
    options.segment_bytes = kSegmentBytes;
    options.variety.random_subsets = 8;
    options.variety.seed = shape.seed;
    report(shape.text(), enumerate_crashes({CrashState(empty_tree(), {}), 0, 0}, recorded.operations,
                                           recorded.model, options));
    if (HasFailure()) return;
  }
}

TEST_P(CrashEnumerator, CrashesInsideRecovery) {
  const Shape shape = GetParam();
  SCOPED_TRACE(shape.text());
  const Recorded recorded = record(shape, 3);
  if (HasFailure()) return;
  struct Seed {
    Tree image;
    std::uint64_t kept;
  };
  struct Death {
    CrashState state;
    std::uint64_t kept, written;
  };
  std::vector<Seed> seeds;
  std::vector<Death> deaths;
  EnumerateOptions options;
  options.name = shape.text();
  options.segment_bytes = kSegmentBytes;
  options.variety.tears = true;
  options.samples = 48;
  options.on_image = [&](const Tree& image, std::uint64_t kept) { seeds.push_back({image, kept}); };
  options.on_kill = [&](CrashState state, std::uint64_t kept, std::uint64_t written) {
    deaths.push_back({std::move(state), kept, written});
  };
  enumerate_crashes({CrashState(empty_tree(), {}), 0, 0}, recorded.operations, recorded.model, options);
  if (HasFailure()) return;
  Totals after_power_cut, after_kill;
  for (const Seed& seed : seeds) {
    const Numbers numbers = number_files(seed.image);
    after_power_cut += crash_again(shape.text() + ", inside recovery", CrashState(seed.image, numbers),
                                   seed.image, numbers, seed.kept, seed.kept, recorded.model, shape);
    if (HasFailure()) return;
  }
  for (std::size_t i = 0; i < deaths.size(); ++i) {
    const Death& death = deaths[i];
    // The pages may be written later, or the kernel takes them for clean: none of them, or a part, got
    // to the disk.
    for (unsigned kind = 0; kind < 3; ++kind) {
      CrashState state = death.state;
      Choice written_back;
      for (std::size_t unit = 0; unit < state.pending().size(); ++unit)
        written_back.keep.push_back(kind == 2 && (unit + i) % 2 == 0);
      if (kind == 0)
        state.kill();
      else
        state.kill(written_back);
      after_kill += crash_again(shape.text() + ", killed" + (kind == 0 ? "" : ", pages taken for clean"),
                                state, state.cached(), state.cached_numbers(), death.kept, death.written,
                                recorded.model, shape);
      if (HasFailure()) return;
    }
  }
  report("recovery after a power cut", after_power_cut);
  report("recovery after a kill, then a power cut", after_kill);
}

// A sync that fails may leave pages that the kernel calls clean and the disk never got. The log stops; what
// the next opening shows is promised anew.
TEST_P(CrashEnumerator, FailedSyncsThenAPowerCut) {
  const Shape shape = GetParam();
  SCOPED_TRACE(shape.text());
  Totals totals;
  for (std::uint64_t n = 1;; ++n) {
    SCOPED_TRACE("failing sync " + std::to_string(n));
    RecordingFileSystem files(empty_tree(), {}, 1);
    Model model;
    bool failed = false;
    {
      Session session(files, model, shape.options());
      std::mt19937_64 random(shape.seed + n);
      files.fail_sync(n);
      bool running = session.try_open();
      for (unsigned i = 0; i < 9 && running; ++i)
        running = session.try_append("a", {text_of(random, 1700)}, 1);
      session.close();
      failed = files.stop_failing();
      session.open();
      if (HasFailure()) return;
      session.append("a", {"after the failure"}, 1);
      session.append_system("view", "after the failure");
      session.close();
    }
    if (!failed) break;
    EnumerateOptions options;
    options.name = shape.text() + ", sync " + std::to_string(n) + " fails";
    options.segment_bytes = kSegmentBytes;
    options.variety.tears = false;
    options.variety.exhaustive_units = 3;
    totals += enumerate_crashes({CrashState(empty_tree(), {}), 0, 0}, files.operations(), model, options);
    if (HasFailure()) return;
  }
  report("failed syncs", totals);
}

// The image without its last batch below W, and everything behind it: what no crash of an honest disk leaves.
// nullopt if the active segment has no batch below W.
std::optional<Tree> without_durable_end(Tree image, std::uint64_t& promised) {
  const std::string directory = std::string(kLogDirectory) + "/";
  const auto control = image.files.find(directory + kControlName);
  if (control == image.files.end()) return std::nullopt;
  const auto page = decode_control(as_bytes(control->second));
  // The last by name is the active one.
  const auto active = std::find_if(image.files.rbegin(), image.files.rend(), [&](const auto& file) {
    return file.first.ends_with(".segment") && parse_segment_name(file.first.substr(directory.size()));
  });
  if (!page || active == image.files.rend()) return std::nullopt;
  std::string& bytes = active->second;
  const auto header = decode_segment_header(as_bytes(bytes));
  if (!header || page->watermark <= header->base_position) return std::nullopt;
  const std::uint64_t end = file_byte(*header, page->watermark);
  std::optional<std::uint64_t> last;
  for (std::uint64_t at = kSegmentHeaderBytes; at < end;) {
    const auto found = batch_at(as_bytes(bytes), *header, at);
    if (!found) return std::nullopt;
    if (found->header.has_offsets()) last = at;
    at = found->end();
  }
  if (!last) return std::nullopt;
  std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(*last), bytes.end(), '\0');
  promised = page->watermark_offset.value();
  return image;
}

// The disk forgets what it had: nothing behind tells, so only W does.
TEST_P(CrashEnumerator, ADurableEndThatIsGoneIsReportedAndNothingIsCutOff) {
  const Shape shape = GetParam();
  SCOPED_TRACE(shape.text());
  const Recorded recorded = record(shape, 6);
  if (HasFailure()) return;
  std::size_t images = 0;
  EnumerateOptions options;
  options.name = shape.text();
  options.segment_bytes = kSegmentBytes;
  options.samples = 400;
  options.on_image = [&](const Tree& image, std::uint64_t) {
    std::uint64_t promised = 0;
    const auto changed = without_durable_end(image, promised);
    if (!changed || HasFailure()) return;
    ++images;
    MemoryFileSystem files(*changed);
    LogOptions reopened = shape.options();
    reopened.directory = kLogDirectory;
    reopened.files = &files;
    const auto log = Log::open(reopened);
    ASSERT_TRUE(log) << to_string(log.error());
    EXPECT_TRUE((*log)->status().damage) << "the log ends at " << (*log)->durable_end().value() << ", "
                                         << promised << " were durable";
    EXPECT_TRUE((*log)->status().read_only);
    EXPECT_GE((*log)->durable_end().value(), promised) << "what is lost is not named";
  };
  enumerate_crashes({CrashState(empty_tree(), {}), 0, 0}, recorded.operations, recorded.model, options);
  std::printf("[ images   ] %s: %zu without their durable end\n", shape.text().c_str(), images);
  EXPECT_GT(images, 20U);
}

INSTANTIATE_TEST_SUITE_P(Modes, CrashEnumerator,
                         ::testing::Values(Shape{Durability::kSync, 1, 1}, Shape{Durability::kSync, 0, 2},
                                           Shape{Durability::kStrict, 1, 3},
                                           Shape{Durability::kWritten, 1, 4},
                                           Shape{Durability::kWritten, 0, 5}),
                         [](const auto& shape) {
                           return std::string(log::name_of(shape.param.durability)) + "_prepared_" +
                                  std::to_string(shape.param.prepared_segments);
                         });

// The whole run opens as many images as the issue asks for.
class EnoughImages final : public ::testing::Environment {
 public:
  void TearDown() override {
    const Totals& totals = grand_totals();
    report("all", totals);
    const bool whole = ::testing::GTEST_FLAG(filter) == "*" && percent() >= 100;
    if (whole && ::testing::UnitTest::GetInstance()->Passed()) {
      EXPECT_GE(totals.opened, kImagesMin) << "too few crash images";
    }
  }
};
const ::testing::Environment* const kEnough = ::testing::AddGlobalTestEnvironment(new EnoughImages);

}  // namespace
}  // namespace kappa::log::sim
