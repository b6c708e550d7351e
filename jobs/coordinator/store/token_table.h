// Tokens in the coordinator's database.
#ifndef CARACAL_JOBS_COORDINATOR_STORE_TOKEN_TABLE_H_
#define CARACAL_JOBS_COORDINATOR_STORE_TOKEN_TABLE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "jobs/coordinator/access/token.h"
#include "jobs/coordinator/store/database.h"

namespace caracal {

// All of them, by id. kDataLoss for a row that can't be.
absl::StatusOr<std::vector<TokenRecord>> LoadTokens(Database& database);

// Each is durable when it returns. Gives the record its id.
absl::Status InsertToken(Database& database, TokenRecord* record);
// Another token in the place of the one with this id.
absl::Status ReplaceToken(Database& database, int64_t id,
                          const std::string& hash);
absl::Status RevokeToken(Database& database, int64_t id, absl::Time when,
                         const std::string& key);
absl::Status TokenWasUsed(Database& database, int64_t id, absl::Time when);

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_STORE_TOKEN_TABLE_H_
