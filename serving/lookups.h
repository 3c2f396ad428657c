// GET, LOOKUP and GET_MANY: rows of views by their keys, on the network thread.
//
// Single reads are gathered while requests are read, and answered together, once a pass: all of one view at one
// applied offset, so that a request costs a part of what it would cost alone. A read whose freshness is not reached
// is gathered when it is. Nothing is allocated for a request once the buffers have grown.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "processor/engine.h"
#include "processor/keyed_view.h"
#include "proto/read_messages.h"
#include "serving/connection.h"

namespace kappa::serving {

// A view that clients have open, shared by the connections that do.
struct OpenView {
  std::string name;
  std::shared_ptr<processor::KeyedView> view;
  std::string columns;             // Wire form of the column list.
  std::size_t largest = 64 << 10;  // What an answer takes: the largest so far. First a guess.
  bool measured = false;
};

class Lookups {
 public:
  Lookups(Core& core, processor::Engine& engine) : core_(core), engine_(engine) {}

  void open(Connection& connection, std::uint64_t request_id, Bytes payload);
  void lookup(Connection& connection, std::uint64_t request_id, Bytes payload);
  void get(Connection& connection, std::uint64_t request_id, Bytes payload);
  void get_many(Connection& connection, std::uint64_t request_id, Bytes payload);
  // Answers what was gathered. Before connections are flushed.
  void run();

 private:
  static constexpr std::size_t kGatheredMax = 512;

  enum class Form : std::uint8_t { kFound, kRow };
  // The connection is dirty, so it and what it has open live until run() is over.
  struct Wanted {
    Connection* connection;
    OpenView* view;
    std::uint64_t request_id;
    std::size_t wire_begin;  // In keys_: the key as it came, of a GET, then the encoded one.
    std::size_t key_begin;
    std::size_t key_end;
    std::size_t charged;
    Form form;
    bool done;
  };

  [[nodiscard]] Expected<std::shared_ptr<OpenView>> find(std::string_view name);
  void one(Connection& connection, std::uint64_t request_id, const std::shared_ptr<OpenView>& view, Form form,
           const FreshnessMessage& freshness, Bytes key);
  // `key` is a row of key values.
  void gather(Connection& connection, std::uint64_t request_id, OpenView& view, Form form, Bytes key);
  void answer_many(Connection& connection, std::uint64_t request_id, const std::string& name, std::uint32_t count,
                   Bytes keys);
  // Calls `then` on the network thread when the view is as fresh as is asked, or answers the error.
  template <class Then>
  void when_fresh(Connection& connection, std::uint64_t request_id, const std::string& name,
                  const FreshnessMessage& freshness, Then then);
  // Reads what picked_ lists, all of one view, and answers.
  void read(OpenView& view);
  void reply(Connection& connection, std::uint64_t request_id, const Error& error);
  void answer(const Wanted& wanted, const OpenView& view, Offset applied, std::optional<std::string_view> row);
  void read_changed(const Wanted& wanted);
  void refuse(const Wanted& wanted, const Error& error);
  void forget(const OpenView& view);

  Core& core_;
  processor::Engine& engine_;
  std::map<std::string, std::weak_ptr<OpenView>, std::less<>> views_;
  std::vector<Wanted> wanted_;
  std::string keys_;  // Of wanted_, end to end.
  std::vector<std::shared_ptr<OpenView>> kept_;  // What wanted_ points to and nobody else keeps.
  bool running_ = false;
  // Scratch.
  std::vector<std::size_t> picked_;
  std::vector<std::string_view> picked_keys_;
  processor::KeyedRows rows_;
  std::string many_;
};

}  // namespace kappa::serving
