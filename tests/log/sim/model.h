// What a log must hold: the batches that were acknowledged, by offset, and a check that opens a crash
// image and compares. No gtest: problems are texts, so that the caller adds where they come from.
#pragma once

#include "log/log.h"
#include "tests/log/sim/memory_file_system.h"

namespace kappa::log::sim {

inline constexpr const char* kRoot = "/data";
inline constexpr const char* kLogDirectory = "/data/log";
// A file system in which a log can be created.
[[nodiscard]] Tree empty_tree();

struct ModelBatch {
  std::uint64_t base = 0;
  std::string topic{};                // Empty: a record of the system topic.
  std::vector<std::string> values{};  // One an event.
  std::uint64_t producer = 0;         // 0: none.
  std::uint64_t sequence = 0;
  std::string key{};              // System records.
  std::uint64_t header_hash = 0;  // As the log wrote it; 0: not known.
  [[nodiscard]] std::uint64_t end() const { return base + values.size(); }
};

struct Model {
  std::vector<ModelBatch> batches;  // By base offset, without gaps.
  [[nodiscard]] std::uint64_t end() const { return batches.empty() ? 0 : batches.back().end(); }
  // Only what is below `end`, which must be the end of a batch.
  [[nodiscard]] Model prefix(std::uint64_t end) const;
  [[nodiscard]] std::uint64_t next_sequence(const std::string& topic, std::uint64_t producer) const;
  // Live records of the system topic: key -> (offset, value).
  [[nodiscard]] std::map<std::string, std::pair<std::uint64_t, std::string>> records() const;
};

[[nodiscard]] AppendBatch make_batch(TopicId topic, const ModelBatch& batch);

// Empty if the log holds exactly a prefix of `model`, of which `end` is the end: every batch byte by
// byte (the header hash covers it), topics, producers, system records.
[[nodiscard]] std::string compare(Log& log, const Model& model, std::uint64_t* end);
// The same without a bound on what is compared, and notes the header hashes in `model`.
[[nodiscard]] std::string learn_hashes(Log& log, Model& model);

struct CheckOptions {
  std::size_t segment_bytes = 0;
  // Which of the longer checks run; any number, the image's hash for example.
  std::uint64_t variant = 0;
};
struct Checked {
  std::uint64_t end = 0;  // What was recovered.
  std::string problem;    // Empty: none.
};
// Opens the image for writing and checks: no false rot; a prefix of `model`; duplicates are answered
// with their original's offset; a batch of the length of the one that was lost can be appended, is
// there after the next opening and nothing else is. By variant also: opening read-only changes nothing;
// a second recovery finds what the first one did; a kill after the append keeps it.
[[nodiscard]] Checked check_image(const Tree& image, const Model& model, const CheckOptions& options);

}  // namespace kappa::log::sim
