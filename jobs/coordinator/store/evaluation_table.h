// Evaluations in the coordinator's database.
#ifndef CARACAL_JOBS_COORDINATOR_STORE_EVALUATION_TABLE_H_
#define CARACAL_JOBS_COORDINATOR_STORE_EVALUATION_TABLE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "jobs/coordinator/evaluation/evaluation_record.h"
#include "jobs/coordinator/store/database.h"

namespace caracal {

struct StoredPart {
  EvaluationId evaluation = 0;
  int64_t part = 0;
  PartRecord record = {};
  std::optional<std::string> result = {};  // none: as it was
};

// What one event changes.
struct EvaluationWrite {
  std::vector<EvaluationRecord> saved = {};  // without their parts
  std::vector<StoredPart> parts = {};
  std::vector<EvaluationId> removed = {};  // with their parts
  EvaluationId next_id = 0;                // 0: as it was
};

struct EvaluationContents {
  std::vector<EvaluationRecord> evaluations;  // by id
  EvaluationId next_id = 1;
};

// All of them, without results. kDataLoss for a row that can't be.
absl::StatusOr<EvaluationContents> LoadEvaluations(Database& database);

// To be called in a transaction.
absl::Status WriteEvaluations(Database& database, const EvaluationWrite& write);

// kNotFound when the part has none.
absl::StatusOr<std::string> ReadPartResult(Database& database, EvaluationId id,
                                           int64_t part);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_STORE_EVALUATION_TABLE_H_
