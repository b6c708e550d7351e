#include "jobs/coordinator/store/evaluation_table.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace caracal {
namespace {

constexpr const char* kPartStates[] = {"pending", "leased", "done"};

std::optional<EvaluationPhase> PhaseFromName(const std::string& name) {
  for (int i = 0; i < kEvaluationPhases; ++i) {
    const auto phase = static_cast<EvaluationPhase>(i);
    if (name == NameOf(phase)) return phase;
  }
  return std::nullopt;
}

std::optional<PartState> PartStateFromName(const std::string& name) {
  for (int i = 0; i < 3; ++i) {
    if (name == kPartStates[i]) return static_cast<PartState>(i);
  }
  return std::nullopt;
}

absl::Status Damaged(const Database& database, EvaluationId id,
                     absl::string_view what) {
  return absl::DataLossError(
      absl::StrCat(database.path(), ": evaluation ", id, ": ", what));
}

absl::Status LoadParts(Database& database, EvaluationRecord* record) {
  ASSIGN_OR_RETURN(
      Statement rows,
      database.Prepare("SELECT part, state, lease, tries, worker FROM "
                       "evaluation_parts WHERE evaluation = ?1 ORDER BY part"));
  rows.Bind(1, static_cast<int64_t>(record->id));
  record->parts.clear();
  while (true) {
    ASSIGN_OR_RETURN(const bool more, rows.Step());
    if (!more) break;
    const std::optional<PartState> state = PartStateFromName(rows.Text(1));
    if (rows.Integer(0) != static_cast<int64_t>(record->parts.size()) ||
        !state.has_value()) {
      return Damaged(database, record->id, "its parts can't be");
    }
    record->parts.push_back({.state = *state,
                             .lease = static_cast<uint64_t>(rows.Integer(2)),
                             .tries = rows.Integer(3),
                             .worker = rows.Text(4)});
  }
  if (record->parts.empty()) {
    return Damaged(database, record->id, "it has no parts");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<EvaluationContents> LoadEvaluations(Database& database) {
  EvaluationContents out;
  ASSIGN_OR_RETURN(
      Statement rows,
      database.Prepare("SELECT id, owner, spec, idempotency_key, phase, "
                       "reason, version, created, changed FROM evaluations "
                       "ORDER BY id"));
  while (true) {
    ASSIGN_OR_RETURN(const bool more, rows.Step());
    if (!more) break;
    EvaluationRecord record;
    record.id = static_cast<EvaluationId>(rows.Integer(0));
    record.request = {rows.Text(1), rows.Bytes(2), rows.Text(3)};
    const std::optional<EvaluationPhase> phase = PhaseFromName(rows.Text(4));
    if (!phase.has_value()) {
      return Damaged(database, record.id, absl::StrCat("phase ", rows.Text(4)));
    }
    record.phase = *phase;
    record.reason = rows.Text(5);
    record.version = rows.Text(6);
    record.created = absl::FromUnixMicros(rows.Integer(7));
    record.changed = absl::FromUnixMicros(rows.Integer(8));
    out.evaluations.push_back(std::move(record));
  }
  for (EvaluationRecord& record : out.evaluations) {
    RETURN_IF_ERROR(LoadParts(database, &record));
  }
  ASSIGN_OR_RETURN(
      Statement next,
      database.Prepare(
          "SELECT value FROM numbers WHERE name = 'next_evaluation'"));
  RETURN_IF_ERROR(next.Step().status());
  out.next_id = static_cast<EvaluationId>(next.Integer(0));
  if (out.next_id == 0 ||
      (!out.evaluations.empty() && out.evaluations.back().id >= out.next_id)) {
    return absl::DataLossError(absl::StrCat(database.path(),
                                            ": the next evaluation would be ",
                                            out.next_id, ", which is taken"));
  }
  return out;
}

absl::Status WriteEvaluations(Database& database,
                              const EvaluationWrite& write) {
  ASSIGN_OR_RETURN(
      Statement save,
      database.Prepare(
          "INSERT INTO evaluations VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) "
          "ON CONFLICT (id) DO UPDATE SET phase = ?5, reason = ?6, "
          "version = ?7, changed = ?9"));
  for (const EvaluationRecord& record : write.saved) {
    RETURN_IF_ERROR(save.Bind(1, static_cast<int64_t>(record.id))
                        .Bind(2, record.request.owner)
                        .BindBytes(3, record.request.spec)
                        .Bind(4, record.request.idempotency_key)
                        .Bind(5, NameOf(record.phase))
                        .Bind(6, record.reason)
                        .Bind(7, record.version)
                        .Bind(8, absl::ToUnixMicros(record.created))
                        .Bind(9, absl::ToUnixMicros(record.changed))
                        .Run());
  }
  ASSIGN_OR_RETURN(
      Statement save_part,
      database.Prepare(
          "INSERT INTO evaluation_parts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) "
          "ON CONFLICT (evaluation, part) DO UPDATE SET state = ?3, "
          "lease = ?4, tries = ?5, worker = ?6, result = coalesce(?7, "
          "result)"));
  for (const StoredPart& part : write.parts) {
    save_part.Bind(1, static_cast<int64_t>(part.evaluation))
        .Bind(2, part.part)
        .Bind(3, kPartStates[static_cast<int>(part.record.state)])
        .Bind(4, static_cast<int64_t>(part.record.lease))
        .Bind(5, part.record.tries)
        .Bind(6, part.record.worker);
    if (part.result.has_value()) {
      save_part.BindBytes(7, *part.result);
    } else {
      save_part.BindNull(7);
    }
    RETURN_IF_ERROR(save_part.Run());
  }
  for (const EvaluationId id : write.removed) {
    for (const char* sql : {"DELETE FROM evaluations WHERE id = ?1",
                            "DELETE FROM evaluation_parts WHERE "
                            "evaluation = ?1"}) {
      ASSIGN_OR_RETURN(Statement remove, database.Prepare(sql));
      RETURN_IF_ERROR(remove.Bind(1, static_cast<int64_t>(id)).Run());
    }
  }
  if (write.next_id == 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(Statement next,
                   database.Prepare("UPDATE numbers SET value = ?1 WHERE "
                                    "name = 'next_evaluation'"));
  return next.Bind(1, static_cast<int64_t>(write.next_id)).Run();
}

absl::StatusOr<std::string> ReadPartResult(Database& database, EvaluationId id,
                                           int64_t part) {
  ASSIGN_OR_RETURN(
      Statement row,
      database.Prepare("SELECT result FROM evaluation_parts WHERE "
                       "evaluation = ?1 AND part = ?2 AND result IS NOT NULL"));
  row.Bind(1, static_cast<int64_t>(id)).Bind(2, part);
  ASSIGN_OR_RETURN(const bool found, row.Step());
  if (!found) {
    return absl::NotFoundError(
        absl::StrCat("part ", part, " of evaluation ", id, " has no result"));
  }
  return row.Bytes(0);
}

}  // namespace caracal
