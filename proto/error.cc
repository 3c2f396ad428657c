#include "proto/error.h"

#include <cerrno>
#include <cstdio>
#include <system_error>

namespace kappa {

std::unexpected<Error> fail_errno(std::uint16_t number, std::string what, int system_errno) {
  const bool full = system_errno == ENOSPC || system_errno == EDQUOT;
  what += ": ";
  what += std::generic_category().message(system_errno);
  return std::unexpected(Error{full ? ErrorCode::kFull : ErrorCode::kIo, number, std::move(what), {},
                               system_errno, {}});
}

const char* name_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalid: return "invalid";
    case ErrorCode::kNotFound: return "not_found";
    case ErrorCode::kExists: return "exists";
    case ErrorCode::kBusy: return "busy";
    case ErrorCode::kTornTail: return "torn_tail";
    case ErrorCode::kCorrupt: return "corrupt";
    case ErrorCode::kIo: return "io";
    case ErrorCode::kFull: return "full";
    case ErrorCode::kTimeout: return "timeout";
    case ErrorCode::kClosed: return "closed";
    case ErrorCode::kUnsupported: return "unsupported";
    case ErrorCode::kTooLarge: return "too_large";
    case ErrorCode::kSequence: return "sequence";
    case ErrorCode::kReadOnly: return "read_only";
  }
  return "unknown";
}

std::string to_string(const Error& error) {
  char number[16];
  std::snprintf(number, sizeof number, "K%04u: ", unsigned{error.number});
  std::string text = number + error.message;
  if (!error.hint.empty()) {
    text += '\n';
    text += error.hint;
  }
  return text;
}

}  // namespace kappa
