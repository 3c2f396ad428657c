// Drives a log on a recording file system, and notes both sides: what was promised (marks in the
// recording) and what was submitted (the model).
//
// One thread. Failures of the log are failures of the running gtest case.
#pragma once

#include "tests/log/sim/model.h"
#include "tests/log/sim/recording_file_system.h"

namespace kappa::log::sim {

class Session {
 public:
  // `model` holds what the file system's log holds already, and grows. `options`: directory and files are
  // set here.
  Session(RecordingFileSystem& files, Model& model, LogOptions options);
  ~Session();

  void open();   // From now on everything that the log shows counts as promised.
  void close();  // In good order.
  [[nodiscard]] Log& log() { return *log_; }

  // Appends one batch and waits for the answer.
  void append(const std::string& topic, std::vector<std::string> values, std::uint64_t producer = 0);
  void append_system(const std::string& key, const std::string& value);
  // The same for a log that may fail. False: the log is to be opened again, and the batch of which the
  // outcome is unknown is in the model from then on if it is in the log.
  [[nodiscard]] bool try_open();
  [[nodiscard]] bool try_append(const std::string& topic, std::vector<std::string> values,
                                std::uint64_t producer);
  // Appends several batches while no sync ends: the first waits in its sync, the others are written
  // behind it, in groups of their own.
  void append_in_flight(std::vector<ModelBatch> batches);
  // Waits until the watermark of everything acknowledged is stored.
  void wait_for_watermark();

 private:
  ModelBatch prepare(const std::string& topic, std::vector<std::string> values, std::uint64_t producer);
  void mark(const AppendAck& ack);

  RecordingFileSystem& files_;
  Model& model_;
  LogOptions options_;
  std::unique_ptr<Log> log_;
  std::optional<ModelBatch> unknown_;
  std::string problem_;  // Of the last opening that failed.
};

}  // namespace kappa::log::sim
