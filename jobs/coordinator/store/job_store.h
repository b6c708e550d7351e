// The coordinator's memory on disk: jobs and what happened to them.
#ifndef CARACAL_JOBS_COORDINATOR_STORE_JOB_STORE_H_
#define CARACAL_JOBS_COORDINATOR_STORE_JOB_STORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "jobs/coordinator/state/job_record.h"
#include "jobs/coordinator/store/database.h"

namespace caracal {

// Something that happened to a job, for those who watch, now or later.
struct StoredEvent {
  uint64_t sequence = 0;  // from 1, over all jobs, without gaps when written
  JobId job = 0;
  absl::Time time;
  std::string kind;  // "state", ...
  std::string data;  // a JSON object
  bool operator==(const StoredEvent&) const = default;
};

// What one event of the state machine changes.
struct StoreBatch {
  std::vector<JobRecord> saved = {};
  std::vector<JobId> removed = {};  // with their events
  std::vector<StoredEvent> events = {};
  // Needed beside `removed`: jobs that are there tell which numbers are given
  // out. 0: as it was.
  JobId next_id = 0;
  // Of other tables, in the same transaction; again when that has failed.
  std::function<absl::Status(Database&)> also = nullptr;
  bool empty() const {
    return saved.empty() && removed.empty() && events.empty() && next_id == 0 &&
           !also;
  }
};

struct StoreContents {
  uint64_t database = 0;        // drawn when it was made
  std::vector<JobRecord> jobs;  // by id
  JobId next_id = 1;            // never given out so far
  uint64_t last_sequence = 0;   // of the events ever written
};

// Used by one thread at a time.
class JobStore {
 public:
  // FOLDER/coordinator.sqlite, which is made if need be. As Database::Open.
  static absl::StatusOr<std::unique_ptr<JobStore>> Open(
      const std::string& folder);

  // kDataLoss naming the row when one can't be.
  absl::StatusOr<StoreContents> Load();

  // All of it or nothing; durable when it returns.
  absl::Status Write(absl::Span<const StoreBatch> batches);

  // Of a job (0: of all), after `sequence`, at most `limit`, in order. Where
  // events were removed stands one more, of kind "removed", with the number of
  // the last of them: {"from", "until"}, and of a job all but its changes of
  // state are gone that lie between.
  absl::StatusOr<std::vector<StoredEvent>> Events(JobId job, uint64_t sequence,
                                                  int64_t limit);
  // The oldest `limit` events of a job but for its changes of state. How many
  // there were; durable when it returns.
  absl::StatusOr<int64_t> RemoveEvents(JobId job, int64_t limit);

  const std::string& path() const { return database_->path(); }
  // For other tables of it, on the thread that uses the store.
  Database& database() { return *database_; }

 private:
  absl::StatusOr<int64_t> NumberOf(absl::string_view sql, int64_t argument);
  explicit JobStore(std::unique_ptr<Database> database)
      : database_(std::move(database)) {}
  absl::Status Prepare();
  absl::Status WriteBatch(const StoreBatch& batch);
  absl::Status SaveJob(const JobRecord& job);

  std::unique_ptr<Database> database_;
  // Prepared once; declared after the database they belong to.
  std::unique_ptr<Statement> save_, remove_, remove_events_, add_event_,
      forget_removed_, set_number_;
};

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_STORE_JOB_STORE_H_
