// The recorded load.
#include "tests/log/sim/load.h"

#include <gtest/gtest.h>

namespace kappa::log::sim {

std::string Shape::text() const {
  return std::string(log::name_of(durability)) + ", " + std::to_string(prepared_segments) +
         " prepared, seed " + std::to_string(seed);
}

LogOptions Shape::options() const {
  LogOptions options;
  options.segment_bytes = kSegmentBytes;
  options.prepared_segments = prepared_segments;
  options.durability = durability;
  return options;
}

std::string text_of(std::mt19937_64& random, std::size_t bytes) {
  std::string text(bytes, 'x');
  for (char& c : text) c = static_cast<char>('a' + random() % 26);
  return text;
}

void run_load(Session& session, const Shape& shape, unsigned rounds) {
  std::mt19937_64 random(shape.seed);
  const std::size_t sizes[] = {1, 40, 300, 500, 513, 1500, 3000};
  const auto value = [&] { return text_of(random, sizes[random() % std::size(sizes)]); };
  for (unsigned round = 0; round < rounds; ++round) {
    session.append("a", {value()}, 1);
    session.append("b", {value(), value()}, random() % 2);
    if (round % 2 == 0) session.append_system("view" + std::to_string(round % 3), text_of(random, 200));
    session.append_in_flight({{.topic = "a", .values = {value()}, .producer = 1},
                              {.topic = "b", .values = {value()}, .producer = 7},
                              {.topic = "a", .values = {value()}}});
    if (round == 1) session.wait_for_watermark();
    if (round == 2) session.append_system("view0", "");
    if (round == 3) {
      session.close();
      session.open();
    }
    if (round == 4) session.append("a", {text_of(random, 9000)}, 3);  // Larger than what is left of any.
  }
}

Recorded record(const Shape& shape, unsigned rounds) {
  Recorded recorded;
  RecordingFileSystem files(empty_tree(), {}, 1);
  {
    Session session(files, recorded.model, shape.options());
    session.open();
    run_load(session, shape, rounds);
    session.close();
    LogOptions options = shape.options();
    options.directory = kLogDirectory;
    MemoryFileSystem copy(files.tree());
    options.files = &copy;
    auto log = Log::open(options);
    EXPECT_TRUE(log);
    if (log) {
      EXPECT_EQ(learn_hashes(**log, recorded.model), "");
    }
  }
  recorded.operations = files.operations();
  return recorded;
}

}  // namespace kappa::log::sim
