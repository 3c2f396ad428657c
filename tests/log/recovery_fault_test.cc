// Goal: an error of the system inside recovery loses nothing, and is not taken for damage of the log.
// Method: crash images of a recorded load (tests/log/sim), torn ones among them, are opened on a file
// system of which the n-th call fails, for every n; then once more without faults, which must recover
// exactly what a recovery without the fault finds.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdio>

#include "tests/log/sim/crash_state.h"
#include "tests/log/sim/faulty_file_system.h"
#include "tests/log/sim/load.h"

namespace kappa::log::sim {
namespace {

class RecoveryFault : public ::testing::TestWithParam<int> {};

// Images spread over the recording: with everything pending, and with the last write torn.
std::vector<Tree> images_of(const Recorded& recorded, std::size_t moments) {
  std::vector<Tree> images;
  CrashState state(empty_tree(), {});
  const std::size_t stride = recorded.operations.size() / moments;
  std::size_t due = 0;
  for (const Operation& operation : recorded.operations) {
    state.apply(operation);
    if (++due < stride || operation.kind != Operation::Kind::kWrite) continue;
    due = 0;
    Choice all;
    all.keep.assign(state.pending().size(), true);
    images.push_back(state.image(all));
    const std::size_t last = all.keep.size() - 1;
    const std::size_t sectors = state.pending()[last]->sectors();
    if (sectors < 2) continue;
    all.torn = last;
    all.sectors.assign(sectors, true);
    all.sectors[sectors / 2] = false;
    images.push_back(state.image(all));
  }
  return images;
}

LogOptions options_on(FileSystem& files) {
  LogOptions options;
  options.directory = kLogDirectory;
  options.segment_bytes = kSegmentBytes;
  options.prepared_segments = 0;
  options.files = &files;
  return options;
}

TEST_P(RecoveryFault, AtAnyCallLosesNothing) {
  const int code = GetParam();
  const Recorded recorded = record({Durability::kSync, 1, 11}, 4);
  ASSERT_FALSE(HasFailure());
  std::size_t openings = 0, refused = 0;
  for (const Tree& image : images_of(recorded, 16)) {
    const Checked without = check_image(image, recorded.model, {kSegmentBytes, 3});
    ASSERT_EQ(without.problem, "");
    for (std::int64_t n = 1;; ++n) {
      SCOPED_TRACE("call " + std::to_string(n) + " fails");
      MemoryFileSystem files(image);
      FaultyFileSystem faulty(files, n, code);
      {
        auto log = Log::open(options_on(faulty));
        ++openings;
        if (!log) {
          ++refused;
          EXPECT_NE(log.error().message, "");
          EXPECT_NE(log.error().code, ErrorCode::kCorrupt) << to_string(log.error());
        } else if (code != EIO) {
          EXPECT_FALSE((*log)->status().damage) << *(*log)->status().damage;
        }
      }
      const Checked after = check_image(files.tree(), recorded.model, {kSegmentBytes, 3});
      ASSERT_EQ(after.problem, "");
      ASSERT_EQ(after.end, without.end);
      if (HasFailure()) return;
      if (!faulty.injected()) break;
    }
  }
  std::printf("[ calls    ] errno %d: %zu openings, %zu refused\n", code, openings, refused);
  EXPECT_GT(refused, 50u);
}

INSTANTIATE_TEST_SUITE_P(Errors, RecoveryFault, ::testing::Values(EIO, ENOSPC, EMFILE),
                         [](const auto& code) { return "errno" + std::to_string(code.param); });

}  // namespace
}  // namespace kappa::log::sim
