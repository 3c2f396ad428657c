// What the exit status of `kappa` says; docs/operations.md lists the same numbers.
#pragma once

#include "proto/error.h"

namespace kappa::tools {

enum ExitCode : int {
  kExitOk = 0,
  kExitRefused = 1,     // Refused, or an error in SQL.
  kExitUsage = 2,       // The command line is wrong.
  kExitConnect = 3,     // No connection to the server.
  kExitNotFound = 4,    // The named thing or key does not exist.
  kExitTimeout = 5,     // The deadline passed.
  kExitRejected = 6,    // Some events were rejected; the others were appended.
  kExitCorrupt = 7,     // Durable bytes are damaged.
  kExitInterrupted = 130,
};

// The status for an error that ends a command. SQL errors always give kExitRefused (see sql.cc).
[[nodiscard]] inline ExitCode exit_code_of(const Error& error) {
  switch (error.code) {
    case ErrorCode::kNotFound: return kExitNotFound;
    case ErrorCode::kTimeout: return kExitTimeout;
    case ErrorCode::kCorrupt: return kExitCorrupt;
    case ErrorCode::kClosed: return kExitConnect;
    case ErrorCode::kIo: return error.number == 1001 ? kExitConnect : kExitRefused;
    case ErrorCode::kInvalid:
    case ErrorCode::kExists:
    case ErrorCode::kBusy:
    case ErrorCode::kTornTail:
    case ErrorCode::kFull:
    case ErrorCode::kUnsupported:
    case ErrorCode::kTooLarge:
    case ErrorCode::kSequence:
    case ErrorCode::kReadOnly: return kExitRefused;
  }
  return kExitRefused;
}

}  // namespace kappa::tools
