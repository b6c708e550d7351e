#include "jobs/coordinator/store/schema.h"

namespace caracal {
namespace {

// Times are microseconds since 1970; lists are JSON. A job's `spec` is what was
// submitted; what changes stands beside it.
constexpr char kJobs[] = R"(
CREATE TABLE jobs (
  id INTEGER PRIMARY KEY,
  owner TEXT NOT NULL,
  name TEXT NOT NULL,
  spec TEXT NOT NULL,
  slots INTEGER NOT NULL,
  after TEXT NOT NULL,
  max_retries INTEGER NOT NULL,
  idempotency_key TEXT NOT NULL,
  submitted INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  state TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  waits_for TEXT NOT NULL,
  retries INTEGER NOT NULL,
  step_at_start INTEGER NOT NULL,
  changed INTEGER NOT NULL,
  not_before INTEGER,
  reason TEXT NOT NULL,
  given_up INTEGER,
  stage TEXT NOT NULL,
  global_step INTEGER NOT NULL,
  total_steps INTEGER NOT NULL,
  resume_key TEXT NOT NULL
);
CREATE TABLE events (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  job INTEGER NOT NULL,
  time INTEGER NOT NULL,
  kind TEXT NOT NULL,
  data TEXT NOT NULL
);
CREATE INDEX events_of_job ON events (job, sequence);
CREATE TABLE numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL)
  WITHOUT ROWID;
INSERT INTO numbers VALUES ('next_job', 1)
)";

// `tuning` is a JSON object, {} where nothing was set.
constexpr char kReports[] = R"(
ALTER TABLE jobs ADD COLUMN lines INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN tuning TEXT NOT NULL DEFAULT '{}';
ALTER TABLE jobs ADD COLUMN tunings INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN tune_key TEXT NOT NULL DEFAULT ''
)";

// `hash`: of a bearer token, SHA-256 in hex. Rows stay when a token is revoked.
constexpr char kTokens[] = R"(
CREATE TABLE tokens (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  role TEXT NOT NULL,
  hash TEXT NOT NULL UNIQUE,
  created INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  expires INTEGER,
  revoked INTEGER,
  used INTEGER
)
)";

// `until`: the last event of a job that was removed, while the job is known.
constexpr char kRetention[] = R"(
ALTER TABLE jobs ADD COLUMN hosts TEXT NOT NULL DEFAULT '[]';
CREATE TABLE removed_events (job INTEGER PRIMARY KEY, until INTEGER NOT NULL)
)";

// `spec` and `result` are messages of proto/evaluation.proto; `result` is there
// once the part is done.
constexpr char kEvaluations[] = R"(
CREATE TABLE evaluations (
  id INTEGER PRIMARY KEY,
  owner TEXT NOT NULL,
  spec BLOB NOT NULL,
  idempotency_key TEXT NOT NULL,
  phase TEXT NOT NULL,
  reason TEXT NOT NULL,
  version TEXT NOT NULL,
  created INTEGER NOT NULL,
  changed INTEGER NOT NULL
);
CREATE TABLE evaluation_parts (
  evaluation INTEGER NOT NULL,
  part INTEGER NOT NULL,
  state TEXT NOT NULL,
  lease INTEGER NOT NULL,
  tries INTEGER NOT NULL,
  worker TEXT NOT NULL,
  result BLOB,
  PRIMARY KEY (evaluation, part)
);
INSERT INTO numbers VALUES ('next_evaluation', 1)
)";

// Which database this is, for the folders that are its own.
constexpr char kIdentity[] = R"(
INSERT INTO numbers VALUES ('database', random() & 9223372036854775807)
)";

// Less is written of a submission: 'next_job' is above all jobs that were
// removed, of the others their rows tell; `spec` is MakeSpec's, a BLOB, where
// it was the text of a job file.
constexpr char kShortSubmissions[] = "-- for older programs to keep away\n";

// `change_keys`: a list of texts.
constexpr char kChangeKeys[] = R"(
ALTER TABLE jobs ADD COLUMN change_keys TEXT NOT NULL DEFAULT '[]';
UPDATE jobs SET change_keys =
  json_array('resume ' || resume_key, 'tune ' || tune_key)
  WHERE resume_key <> '' OR tune_key <> '';
ALTER TABLE jobs DROP COLUMN resume_key;
ALTER TABLE jobs DROP COLUMN tune_key
)";

// Of the call that made the token.
constexpr char kTokenKeys[] = R"(
ALTER TABLE tokens ADD COLUMN idempotency_key TEXT NOT NULL DEFAULT ''
)";

// Of the call that revoked it.
constexpr char kRevokeKeys[] = R"(
ALTER TABLE tokens ADD COLUMN revoke_key TEXT NOT NULL DEFAULT ''
)";

}  // namespace

std::vector<std::string> CoordinatorMigrations() {
  return {kJobs,     kReports,          kTokens,     kRetention, kEvaluations,
          kIdentity, kShortSubmissions, kChangeKeys, kTokenKeys, kRevokeKeys};
}

}  // namespace caracal
