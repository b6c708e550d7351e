#include "jobs/coordinator/store/job_store.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "jobs/coordinator/store/schema.h"
#include "nlohmann/json.hpp"

namespace caracal {
namespace {

constexpr char kSaveJob[] = R"(
INSERT INTO jobs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,
  ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27)
ON CONFLICT (id) DO UPDATE SET
  priority = ?10, state = ?11, epoch = ?12, waits_for = ?13, retries = ?14,
  step_at_start = ?15, changed = ?16, not_before = ?17, reason = ?18,
  given_up = ?19, stage = ?20, global_step = ?21, total_steps = ?22,
  lines = ?23, tuning = ?24, tunings = ?25, hosts = ?26, change_keys = ?27)";

std::string ToJson(const std::vector<JobId>& ids) {
  if (ids.empty()) return "[]";
  return nlohmann::json(ids).dump();
}

absl::StatusOr<std::vector<JobId>> IdsFromJson(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  std::vector<JobId> ids;
  bool good = json.is_array();
  if (good) {
    for (const auto& id : json) {
      good = good && id.is_number_unsigned();
      if (good) ids.push_back(id.get<JobId>());
    }
  }
  if (!good) return absl::DataLossError(absl::StrCat("a list of jobs: ", text));
  return ids;
}

std::string ToJson(const Tuning& tuning) {
  if (tuning == Tuning()) return "{}";
  nlohmann::json json = nlohmann::json::object();
  if (tuning.drop_probability)
    json["drop_probability"] = *tuning.drop_probability;
  if (tuning.window) json["window"] = *tuning.window;
  if (!tuning.by.empty()) json["by"] = tuning.by;
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

absl::StatusOr<Tuning> TuningFromJson(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  const auto wrong = [&](const char* key,
                         bool (nlohmann::json::*is)() const noexcept) {
    return json.contains(key) && !(json[key].*is)();
  };
  if (!json.is_object() ||
      wrong("drop_probability", &nlohmann::json::is_number) ||
      wrong("window", &nlohmann::json::is_number_integer) ||
      wrong("by", &nlohmann::json::is_string)) {
    return absl::DataLossError(absl::StrCat("a tuning: ", text));
  }
  Tuning tuning;
  if (json.contains("drop_probability")) {
    tuning.drop_probability = json["drop_probability"].get<double>();
  }
  if (json.contains("window")) tuning.window = json["window"].get<int64_t>();
  if (json.contains("by")) tuning.by = json["by"].get<std::string>();
  return tuning;
}

std::string ToJson(const std::vector<std::string>& texts) {
  if (texts.empty()) return "[]";
  return nlohmann::json(texts).dump(-1, ' ', false,
                                    nlohmann::json::error_handler_t::replace);
}

absl::StatusOr<std::vector<std::string>> TextsFromJson(
    const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  std::vector<std::string> texts;
  bool good = json.is_array();
  if (good) {
    for (const auto& one : json) {
      good = good && one.is_string();
      if (good) texts.push_back(one.get<std::string>());
    }
  }
  if (!good)
    return absl::DataLossError(absl::StrCat("a list of texts: ", text));
  return texts;
}

std::optional<JobState> StateFromName(const std::string& name) {
  for (int i = 0; i < kJobStates; ++i) {
    if (name == NameOf(static_cast<JobState>(i))) {
      return static_cast<JobState>(i);
    }
  }
  return std::nullopt;
}

int64_t Micros(absl::Time time) { return absl::ToUnixMicros(time); }

// A row of jobs, columns in the table's order.
absl::StatusOr<JobRecord> JobOfRow(const Statement& row) {
  JobRecord job;
  job.id = static_cast<JobId>(row.Integer(0));
  JobRequest& request = job.request;
  request.owner = row.Text(1);
  request.name = row.Text(2);
  request.spec = row.Bytes(3);
  request.slots = row.Integer(4);
  ASSIGN_OR_RETURN(request.after, IdsFromJson(row.Text(5)));
  request.max_retries = row.Integer(6);
  request.idempotency_key = row.Text(7);
  job.submitted = absl::FromUnixMicros(row.Integer(8));
  request.priority = row.Integer(9);
  const std::optional<JobState> state = StateFromName(row.Text(10));
  if (!state.has_value()) {
    return absl::DataLossError(absl::StrCat("state ", row.Text(10)));
  }
  job.state = *state;
  job.epoch = static_cast<uint64_t>(row.Integer(11));
  ASSIGN_OR_RETURN(job.waits_for, IdsFromJson(row.Text(12)));
  job.retries = row.Integer(13);
  job.step_at_start = row.Integer(14);
  job.changed = absl::FromUnixMicros(row.Integer(15));
  if (const auto not_before = row.OptionalInteger(16)) {
    job.not_before = absl::FromUnixMicros(*not_before);
  }
  job.reason = row.Text(17);
  if (const auto given_up = row.OptionalInteger(18)) {
    job.given_up = static_cast<GangEnd>(*given_up);
  }
  job.progress = {row.Text(19), row.Integer(20), row.Integer(21)};
  job.lines = row.Integer(22);
  ASSIGN_OR_RETURN(job.tuning, TuningFromJson(row.Text(23)));
  job.tunings = static_cast<uint64_t>(row.Integer(24));
  ASSIGN_OR_RETURN(job.hosts, TextsFromJson(row.Text(25)));
  ASSIGN_OR_RETURN(job.change_keys, TextsFromJson(row.Text(26)));
  return job;
}

absl::StatusOr<std::unique_ptr<Statement>> Prepared(Database& database,
                                                    absl::string_view sql) {
  ASSIGN_OR_RETURN(Statement statement, database.Prepare(sql));
  return std::make_unique<Statement>(std::move(statement));
}

}  // namespace

absl::StatusOr<std::unique_ptr<JobStore>> JobStore::Open(
    const std::string& folder) {
  ASSIGN_OR_RETURN(std::unique_ptr<Database> database,
                   Database::Open(absl::StrCat(folder, "/coordinator.sqlite"),
                                  CoordinatorMigrations()));
  std::unique_ptr<JobStore> store(new JobStore(std::move(database)));
  RETURN_IF_ERROR(store->Prepare());
  return store;
}

absl::Status JobStore::Prepare() {
  ASSIGN_OR_RETURN(save_, Prepared(*database_, kSaveJob));
  ASSIGN_OR_RETURN(remove_,
                   Prepared(*database_, "DELETE FROM jobs WHERE id = ?1"));
  ASSIGN_OR_RETURN(remove_events_,
                   Prepared(*database_, "DELETE FROM events WHERE job = ?1"));
  ASSIGN_OR_RETURN(
      forget_removed_,
      Prepared(*database_, "DELETE FROM removed_events WHERE job = ?1"));
  ASSIGN_OR_RETURN(
      add_event_,
      Prepared(*database_, "INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5)"));
  ASSIGN_OR_RETURN(
      set_number_,
      Prepared(*database_, "UPDATE numbers SET value = ?2 WHERE name = ?1"));
  return absl::OkStatus();
}

absl::StatusOr<StoreContents> JobStore::Load() {
  StoreContents out;
  ASSIGN_OR_RETURN(Statement jobs,
                   database_->Prepare("SELECT * FROM jobs ORDER BY id"));
  while (true) {
    ASSIGN_OR_RETURN(const bool more, jobs.Step());
    if (!more) break;
    absl::StatusOr<JobRecord> job = JobOfRow(jobs);
    if (!job.ok()) {
      return Annotate(job.status(),
                      absl::StrCat(path(), ": job ", jobs.Integer(0)));
    }
    out.jobs.push_back(*std::move(job));
  }
  ASSIGN_OR_RETURN(
      Statement identity,
      database_->Prepare("SELECT value FROM numbers WHERE name = 'database'"));
  RETURN_IF_ERROR(identity.Step().status());
  out.database = static_cast<uint64_t>(identity.Integer(0));
  ASSIGN_OR_RETURN(
      Statement next,
      database_->Prepare("SELECT value FROM numbers WHERE name = 'next_job'"));
  RETURN_IF_ERROR(next.Step().status());
  out.next_id = static_cast<JobId>(next.Integer(0));
  if (out.next_id == 0) {
    return absl::DataLossError(
        absl::StrCat(path(), ": no number for the next job"));
  }
  if (!out.jobs.empty()) {
    out.next_id = std::max(out.next_id, out.jobs.back().id + 1);
  }
  // Of removed events, too.
  ASSIGN_OR_RETURN(
      Statement last,
      database_->Prepare(
          "SELECT seq FROM sqlite_sequence WHERE name = 'events'"));
  ASSIGN_OR_RETURN(const bool any, last.Step());
  if (any) out.last_sequence = static_cast<uint64_t>(last.Integer(0));
  return out;
}

absl::Status JobStore::Write(absl::Span<const StoreBatch> batches) {
  return database_->InTransaction([&] {
    for (const StoreBatch& batch : batches) {
      RETURN_IF_ERROR(WriteBatch(batch));
      if (batch.also) RETURN_IF_ERROR(batch.also(*database_));
    }
    return absl::OkStatus();
  });
}

absl::Status JobStore::WriteBatch(const StoreBatch& batch) {
  for (const JobRecord& job : batch.saved) RETURN_IF_ERROR(SaveJob(job));
  for (const StoredEvent& event : batch.events) {
    RETURN_IF_ERROR(add_event_->Bind(1, static_cast<int64_t>(event.sequence))
                        .Bind(2, static_cast<int64_t>(event.job))
                        .Bind(3, Micros(event.time))
                        .Bind(4, event.kind)
                        .Bind(5, event.data)
                        .Run());
  }
  for (const JobId id : batch.removed) {
    const int64_t job = static_cast<int64_t>(id);
    RETURN_IF_ERROR(remove_->Bind(1, job).Run());
    RETURN_IF_ERROR(remove_events_->Bind(1, job).Run());
    RETURN_IF_ERROR(forget_removed_->Bind(1, job).Run());
  }
  if (batch.next_id == 0) return absl::OkStatus();
  return set_number_->Bind(1, "next_job")
      .Bind(2, static_cast<int64_t>(batch.next_id))
      .Run();
}

absl::Status JobStore::SaveJob(const JobRecord& job) {
  const JobRequest& request = job.request;
  std::optional<int64_t> not_before, given_up;
  if (job.not_before > absl::InfinitePast()) {
    not_before = Micros(job.not_before);
  }
  if (job.given_up.has_value()) given_up = static_cast<int64_t>(*job.given_up);
  return save_->Bind(1, static_cast<int64_t>(job.id))
      .Bind(2, request.owner)
      .Bind(3, request.name)
      .BindBytes(4, request.spec.str())
      .Bind(5, request.slots)
      .Bind(6, ToJson(request.after))
      .Bind(7, request.max_retries)
      .Bind(8, request.idempotency_key)
      .Bind(9, Micros(job.submitted))
      .Bind(10, request.priority)
      .Bind(11, NameOf(job.state))
      .Bind(12, static_cast<int64_t>(job.epoch))
      .Bind(13, ToJson(job.waits_for))
      .Bind(14, job.retries)
      .Bind(15, job.step_at_start)
      .Bind(16, Micros(job.changed))
      .Bind(17, not_before)
      .Bind(18, job.reason)
      .Bind(19, given_up)
      .Bind(20, job.progress.stage)
      .Bind(21, job.progress.global_step)
      .Bind(22, job.progress.total_steps)
      .Bind(23, job.lines)
      .Bind(24, ToJson(job.tuning))
      .Bind(25, static_cast<int64_t>(job.tunings))
      .Bind(26, ToJson(job.hosts))
      .Bind(27, ToJson(job.change_keys))
      .Run();
}

absl::StatusOr<std::vector<StoredEvent>> JobStore::Events(JobId job,
                                                          uint64_t sequence,
                                                          int64_t limit) {
  ASSIGN_OR_RETURN(
      Statement rows,
      database_->Prepare(
          job == 0 ? "SELECT * FROM events WHERE sequence > ?1 "
                     "ORDER BY sequence LIMIT ?2"
                   : "SELECT * FROM events WHERE job = ?3 AND sequence > ?1 "
                     "ORDER BY sequence LIMIT ?2"));
  rows.Bind(1, static_cast<int64_t>(sequence)).Bind(2, limit);
  if (job != 0) rows.Bind(3, static_cast<int64_t>(job));
  std::vector<StoredEvent> events;
  const auto removed = [&](uint64_t from, uint64_t until, absl::Time when) {
    events.push_back(
        {until, job, when, "removed",
         absl::StrCat("{\"from\":", from, ",\"until\":", until, "}")});
  };
  int64_t until = 0;
  if (job != 0) {
    ASSIGN_OR_RETURN(until,
                     NumberOf("SELECT until FROM removed_events WHERE job = ?1",
                              static_cast<int64_t>(job)));
  }
  // Of one job that tells; of all jobs there are no other gaps.
  const auto gap = [&](uint64_t next, uint64_t last, absl::Time when) {
    const uint64_t end = static_cast<uint64_t>(until);
    if (job == 0) {
      if (next > last + 1) removed(last + 1, next - 1, when);
    } else if (last < end && end < next && end > sequence) {
      removed(sequence + 1, end, when);
    }
  };
  uint64_t last = sequence;
  int64_t count = 0;
  while (true) {
    ASSIGN_OR_RETURN(const bool more, rows.Step());
    if (!more) break;
    ++count;
    const uint64_t next = static_cast<uint64_t>(rows.Integer(0));
    const absl::Time when = absl::FromUnixMicros(rows.Integer(2));
    gap(next, last, when);
    events.push_back({next, static_cast<JobId>(rows.Integer(1)), when,
                      rows.Text(3), rows.Text(4)});
    last = next;
  }
  if (job != 0 && count < limit) gap(UINT64_MAX, last, absl::UnixEpoch());
  if (job == 0 && count < limit) {
    ASSIGN_OR_RETURN(
        const int64_t ever,
        NumberOf("SELECT seq FROM sqlite_sequence WHERE name = 'events' AND "
                 "?1 = 0",
                 0));
    if (static_cast<uint64_t>(ever) > last) {
      removed(last + 1, static_cast<uint64_t>(ever), absl::UnixEpoch());
    }
  }
  return events;
}

// The one number of the one row; 0 when there is none.
absl::StatusOr<int64_t> JobStore::NumberOf(absl::string_view sql,
                                           int64_t argument) {
  ASSIGN_OR_RETURN(Statement row, database_->Prepare(sql));
  row.Bind(1, argument);
  ASSIGN_OR_RETURN(const bool any, row.Step());
  return any ? row.Integer(0) : 0;
}

absl::StatusOr<int64_t> JobStore::RemoveEvents(JobId job, int64_t limit) {
  const auto id = static_cast<int64_t>(job);
  int64_t count = 0;
  RETURN_IF_ERROR(database_->InTransaction([&]() -> absl::Status {
    // The last of those.
    ASSIGN_OR_RETURN(Statement last,
                     database_->Prepare(
                         "SELECT MAX(sequence), COUNT(*) FROM (SELECT sequence "
                         "FROM events WHERE job = ?1 AND kind <> 'state' "
                         "ORDER BY sequence LIMIT ?2)"));
    last.Bind(1, id).Bind(2, limit);
    RETURN_IF_ERROR(last.Step().status());
    count = last.Integer(1);
    if (count == 0) return absl::OkStatus();
    const int64_t until = last.Integer(0);
    ASSIGN_OR_RETURN(
        Statement remove,
        database_->Prepare(
            "DELETE FROM events WHERE job = ?1 AND sequence <= ?2 AND "
            "kind <> 'state'"));
    RETURN_IF_ERROR(remove.Bind(1, id).Bind(2, until).Run());
    ASSIGN_OR_RETURN(
        Statement note,
        database_->Prepare("INSERT INTO removed_events VALUES (?1, ?2) ON "
                           "CONFLICT (job) DO UPDATE SET until = ?2"));
    return note.Bind(1, id).Bind(2, until).Run();
  }));
  return count;
}

}  // namespace caracal
