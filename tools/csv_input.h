// CSV records as JSON events: the header gives the member names; an unquoted JSON number, true or
// false keeps its type, an unquoted empty field is null, everything else is text (RFC 4180).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "proto/error.h"

namespace kappa::tools {

class CsvInput {
 public:
  // Feeds one line (without its line feed). A quoted field may contain line ends: then the record goes
  // on with the next line. kInvalid 5010 for a malformed record (nothing of it is kept).
  // Gives true when `event()` holds an event.
  [[nodiscard]] Expected<bool> feed(std::string_view line);
  // At the end of the input: kInvalid 5010 if a record is open.
  [[nodiscard]] Status finish();
  [[nodiscard]] const std::string& event() const { return event_; }
  // True inside a record that goes on with the next line.
  [[nodiscard]] bool open() const { return !record_.empty(); }

 private:
  struct Field {
    std::string text;
    bool quoted = false;
  };
  [[nodiscard]] Expected<std::vector<Field>> parse(std::string_view record) const;

  std::vector<std::string> names_;
  std::string record_;  // Lines of an open record so far.
  std::string event_;
};

// RFC 8259 number.
[[nodiscard]] bool is_json_number(std::string_view text);

}  // namespace kappa::tools
