// Comparison of a log with its model, and the check of one crash image.
#include "tests/log/sim/model.h"

#include <algorithm>
#include <set>

namespace kappa::log::sim {
namespace {

// A batch as a reader sees it.
struct Seen {
  BatchHeader header;
  std::uint64_t header_hash = 0;
  std::vector<std::string> values;
};

std::string read_all(Log& log, std::vector<Seen>& seen) {
  auto reader = log.reader(Offset(0), {});
  for (;;) {
    const auto view = reader->next();
    if (!view) return "reading: " + to_string(view.error());
    if (!*view) return {};
    Seen batch{(*view)->header, (*view)->header_hash, {}};
    RecordReader records((*view)->body, (*view)->header.count);
    for (;;) {
      const auto record = records.next();
      if (!record) return "record: " + to_string(record.error());
      if (!*record) break;
      batch.values.emplace_back((*record)->value);
    }
    seen.push_back(std::move(batch));
  }
}

std::string compare_batches(const std::vector<Seen>& seen, const Model& model) {
  if (seen.size() > model.batches.size())
    return "there are " + std::to_string(seen.size()) + " batches, " + std::to_string(model.batches.size()) +
           " were submitted";
  for (std::size_t i = 0; i < seen.size(); ++i) {
    const ModelBatch& expected = model.batches[i];
    const BatchHeader& header = seen[i].header;
    const std::string where = "batch at offset " + std::to_string(expected.base) + ": ";
    if (header.base_offset.value() != expected.base)
      return where + "base offset " + std::to_string(header.base_offset.value());
    if (seen[i].values != expected.values) return where + "the values differ";
    if (header.producer_id.value() != expected.producer || header.producer_sequence != expected.sequence)
      return where + "the producer differs";
    if (expected.header_hash != 0 && expected.header_hash != seen[i].header_hash)
      return where + "the header differs";
    if ((header.topic_id == kSystemTopic) != expected.topic.empty()) return where + "the topic differs";
  }
  return {};
}

// Topics, producers and records that follow from the first batches of the model.
std::string compare_tables(Log& log, const Model& model, std::uint64_t end) {
  const Model prefix = model.prefix(end);
  std::map<std::string, std::uint64_t> events;
  std::set<std::pair<std::string, std::uint64_t>> producers;
  for (const ModelBatch& batch : prefix.batches) {
    if (batch.topic.empty()) continue;
    events[batch.topic] += batch.values.size();
    if (batch.producer != 0) producers.emplace(batch.topic, batch.producer);
  }
  for (const auto& [name, count] : events) {
    const auto topic = log.find_topic(name);
    if (!topic) return "topic " + name + " is lost";
    if (topic->next_sequence.value() != count)
      return "topic " + name + " has sequence " + std::to_string(topic->next_sequence.value()) + ", not " +
             std::to_string(count);
  }
  for (const auto& [name, producer] : producers) {
    const auto state = log.producer(log.find_topic(name)->id, ProducerId(producer));
    if (state.next_sequence != prefix.next_sequence(name, producer))
      return "producer " + std::to_string(producer) + " of " + name + " is expected at " +
             std::to_string(state.next_sequence);
  }
  std::map<std::string, std::pair<std::uint64_t, std::string>> records;
  for (const SystemRecord& record : log.system_records())
    records[record.key] = {record.offset.value(), record.value};
  if (records != prefix.records()) return "the system records differ";
  return {};
}

// The batch that takes the place of the first one that was lost: same length, another content.
ModelBatch lookalike(const Model& model, std::uint64_t end) {
  ModelBatch batch;
  batch.topic = "a";
  batch.values = {"one more"};
  for (const ModelBatch& lost : model.batches)
    if (lost.base == end) batch = lost;
  batch.header_hash = 0;
  batch.base = end;
  for (std::string& value : batch.values)
    for (char& c : value) c = static_cast<char>(c ^ 0x15);
  return batch;
}

std::string append(Log& log, const ModelBatch& batch) {
  if (batch.topic.empty()) {
    const auto offset = log.append_system(batch.key, batch.values[0]);
    if (!offset) return "append_system: " + to_string(offset.error());
    return offset->value() == batch.base ? "" : "a record went to offset " + std::to_string(offset->value());
  }
  const auto topic = log.ensure_topic(batch.topic);
  if (!topic) return "ensure_topic: " + to_string(topic.error());
  const auto ack = log.append(make_batch(*topic, batch));
  if (!ack) return "append: " + to_string(ack.error());
  if (ack->duplicate || ack->base_offset.value() != batch.base)
    return "a new batch got offset " + std::to_string(ack->base_offset.value()) +
           (ack->duplicate ? " as a duplicate" : "");
  return {};
}

// Everything a producer sent last is answered as what it is.
std::string send_duplicates(Log& log, const Model& recovered) {
  std::map<std::pair<std::string, std::uint64_t>, const ModelBatch*> last;
  for (const ModelBatch& batch : recovered.batches)
    if (batch.producer != 0) last[{batch.topic, batch.producer}] = &batch;
  for (const auto& [key, batch] : last) {
    const auto ack = log.append(make_batch(log.find_topic(batch->topic)->id, *batch));
    if (!ack) return "a duplicate is refused: " + to_string(ack.error());
    if (!ack->duplicate || !ack->offsets_known || ack->base_offset.value() != batch->base)
      return "a duplicate of offset " + std::to_string(batch->base) + " got offset " +
             std::to_string(ack->base_offset.value()) + (ack->duplicate ? "" : " as a new one");
  }
  if (log.durable_end().value() != recovered.end()) return "a duplicate made the log longer";
  return {};
}

Expected<std::unique_ptr<Log>> open_image(MemoryFileSystem& files, const CheckOptions& options,
                                          bool read_only) {
  LogOptions log_options;
  log_options.directory = kLogDirectory;
  log_options.segment_bytes = options.segment_bytes;
  log_options.prepared_segments = 0;
  log_options.read_only = read_only;
  log_options.files = &files;
  return Log::open(log_options);
}

}  // namespace

Tree empty_tree() {
  Tree tree;
  tree.directories = {"/", kRoot};
  return tree;
}

Model Model::prefix(std::uint64_t end) const {
  Model out;
  for (const ModelBatch& batch : batches)
    if (batch.end() <= end) out.batches.push_back(batch);
  return out;
}

std::uint64_t Model::next_sequence(const std::string& topic, std::uint64_t producer) const {
  std::uint64_t next = 0;
  for (const ModelBatch& batch : batches)
    if (batch.topic == topic && batch.producer == producer) next = batch.sequence + batch.values.size();
  return next;
}

std::map<std::string, std::pair<std::uint64_t, std::string>> Model::records() const {
  std::map<std::string, std::pair<std::uint64_t, std::string>> live;
  for (const ModelBatch& batch : batches) {
    if (!batch.topic.empty()) continue;
    if (batch.values[0].empty())
      live.erase(batch.key);
    else
      live[batch.key] = {batch.base, batch.values[0]};
  }
  return live;
}

AppendBatch make_batch(TopicId topic, const ModelBatch& batch) {
  BatchBuilder builder;
  for (const std::string& value : batch.values)
    static_cast<void>(builder.add({.value = value, .key = {}, .timestamp = {}, .headers = {}}));
  AppendBatch out;
  out.topic = topic;
  out.count = builder.count();
  out.body = builder.take();
  out.uncompressed_length = static_cast<std::uint32_t>(out.body.size());
  out.producer_id = ProducerId(batch.producer);
  out.producer_sequence = batch.sequence;
  return out;
}

std::string compare(Log& log, const Model& model, std::uint64_t* end) {
  std::vector<Seen> seen;
  if (std::string problem = read_all(log, seen); !problem.empty()) return problem;
  if (std::string problem = compare_batches(seen, model); !problem.empty()) return problem;
  *end = seen.empty() ? 0 : model.batches[seen.size() - 1].end();
  if (log.durable_end().value() != *end)
    return "the durable end is " + std::to_string(log.durable_end().value()) + ", the last batch ends at " +
           std::to_string(*end);
  return compare_tables(log, model, *end);
}

std::string learn_hashes(Log& log, Model& model) {
  std::vector<Seen> seen;
  if (std::string problem = read_all(log, seen); !problem.empty()) return problem;
  if (std::string problem = compare_batches(seen, model); !problem.empty()) return problem;
  if (seen.size() != model.batches.size()) return "an acknowledged batch is missing";
  for (std::size_t i = 0; i < seen.size(); ++i) model.batches[i].header_hash = seen[i].header_hash;
  return {};
}

Checked check_image(const Tree& image, const Model& model, const CheckOptions& options) {
  Checked checked;
  MemoryFileSystem files(image);
  if (options.variant % 8 == 0) {
    if (auto log = open_image(files, options, true)) {
      if ((*log)->status().damage) {
        checked.problem = "read-only: false rot: " + *(*log)->status().damage;
        return checked;
      }
      checked.problem = compare(**log, model, &checked.end);
      if (!checked.problem.empty()) return checked;
    }
    if (files.tree() != image) {
      checked.problem = "opening read-only changed something";
      return checked;
    }
  }
  std::optional<MemoryFileSystem> killed;  // Outlives the log on it.
  auto log = open_image(files, options, false);
  const auto fail_with = [&](const std::string& stage, std::string problem) {
    checked.problem = stage + ": " + std::move(problem);
    return checked;
  };
  if (!log) return fail_with("opening", to_string(log.error()));
  if ((*log)->status().damage) return fail_with("opening", "false rot: " + *(*log)->status().damage);
  std::string problem = compare(**log, model, &checked.end);
  if (!problem.empty()) return fail_with("after recovery", problem);
  if (options.variant % 4 == 1) {
    log->reset();
    log = open_image(files, options, false);
    if (!log) return fail_with("second recovery", to_string(log.error()));
    std::uint64_t again = 0;
    problem = compare(**log, model, &again);
    if (!problem.empty()) return fail_with("second recovery", problem);
    if (again != checked.end) return fail_with("second recovery", "ends at " + std::to_string(again));
  }
  Model now = model.prefix(checked.end);
  problem = send_duplicates(**log, now);
  if (!problem.empty()) return fail_with("duplicates", problem);
  now.batches.push_back(lookalike(model, checked.end));
  problem = append(**log, now.batches.back());
  if (!problem.empty()) return fail_with("append", problem);
  // A kill instead of a clean end: W stays where it was.
  if (options.variant % 4 == 2) killed.emplace(files.tree());
  log->reset();
  MemoryFileSystem& next = killed ? *killed : files;
  log = open_image(next, options, false);
  if (!log) return fail_with("after the append", to_string(log.error()));
  if ((*log)->status().damage) return fail_with("after the append", "false rot: " + *(*log)->status().damage);
  std::uint64_t after = 0;
  problem = compare(**log, now, &after);
  if (!problem.empty()) return fail_with("after the append", problem);
  if (after != now.end()) return fail_with("after the append", "it is lost");
  return checked;
}

}  // namespace kappa::log::sim
