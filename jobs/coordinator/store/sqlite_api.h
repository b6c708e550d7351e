// SQLite's interface and what its errors mean. Included by sources of
// jobs/coordinator/store only.
#ifndef CARACAL_JOBS_COORDINATOR_STORE_SQLITE_API_H_
#define CARACAL_JOBS_COORDINATOR_STORE_SQLITE_API_H_

#include <sqlite3.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace caracal {

// "WHERE: WHAT: SQLite's text". kResourceExhausted for a full disk, kDataLoss
// for a damaged file, kUnavailable for what may pass (busy, I/O), kInternal for
// statements that can't be right. OK for SQLITE_OK, ROW and DONE. `db` may be
// null.
absl::Status SqliteStatus(int code, sqlite3* db, const std::string& where,
                          absl::string_view what);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_STORE_SQLITE_API_H_
