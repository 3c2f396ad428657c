// How `kappa read` prints an event: a format string, or JSON with everything around the value.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tools/client/client.h"

namespace kappa::tools {

class EventFormat {
 public:
  // %o offset, %t timestamp, %a append time, %k key, %v value, %% percent; \n, \t, \\ as in C. Anything
  // else stands for itself. The empty format is JSON, one object a line.
  explicit EventFormat(std::string_view format);
  void append(const ClientEvent& event, std::string& out) const;

 private:
  struct Piece {
    char field;        // 0: text.
    std::string text;
  };
  std::vector<Piece> pieces_;
};

// {"offset":..,"time":"..","append_time":"..","key":..,"value":..}: a value that is a JSON object stands
// as it is, any other as a string; bytes that are not UTF-8 become U+FFFD.
void append_event_json(const ClientEvent& event, std::string& out);

}  // namespace kappa::tools
