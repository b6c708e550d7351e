// The coordinator's tables.
#ifndef CARACAL_JOBS_COORDINATOR_STORE_SCHEMA_H_
#define CARACAL_JOBS_COORDINATOR_STORE_SCHEMA_H_

#include <string>
#include <vector>

namespace caracal {

// What Database::Open takes. Released ones are never changed: a new version
// adds one.
std::vector<std::string> CoordinatorMigrations();

}  // namespace caracal

#endif  // CARACAL_JOBS_COORDINATOR_STORE_SCHEMA_H_
